"""The daemon's log: plain lines on stderr, written by a thread, so that nobody who reads slowly stops a
heartbeat.

The thread lets lines gather for a moment before it writes them: a turn of the event loop that says much would lose
the interpreter to it again and again."""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

QUEUE_LINES = 20_000
FLUSH_LIMIT_S = 1.0
GATHERING_S = 0.005  # what follows within that is written with the first line


class _QueueHandler(logging.Handler):
    """Formats at once, writes later. Lines that find the queue full are counted, and the count is a line."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="duravip-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() >= QUEUE_LINES:
            self._lost += 1
            return
        if self._lost:
            self._lines.put(f"{self._lost} lines of this log were lost: nobody read them")
            self._lost = 0
        self._lines.put(self.format(record))

    def close(self) -> None:
        """Waits a moment for what is left to be written; a reader that does not read is given up."""
        super().close()
        self._lines.put(None)
        self._thread.join(FLUSH_LIMIT_S)

    def _write(self) -> None:
        goes_on = True
        while goes_on:
            lines = [self._lines.get()]
            if lines[0] is not None:
                time.sleep(GATHERING_S)
                lines += [self._lines.get() for _ in range(self._lines.qsize())]
            goes_on = None not in lines
            try:
                self._stream.write("".join(f"{line}\n" for line in lines if line is not None))
                self._stream.flush()
            except (OSError, ValueError):
                continue  # nobody can be told


@contextmanager
def logging_to(stream: TextIO | None = None, *, level: int = logging.INFO) -> Iterator[None]:
    """While it lasts, the logger `duravip` writes lines with local time and level to `stream` (stderr)."""
    logger = logging.getLogger("duravip")
    handler = _QueueHandler(stream or sys.stderr)
    line = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"
    handler.setFormatter(logging.Formatter(line, "%Y-%m-%d %H:%M:%S"))
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        handler.close()

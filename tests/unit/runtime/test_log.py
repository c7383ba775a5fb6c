import io
import logging
import re
import threading

import pytest

from duravip.runtime.log import logging_to


def test_lines_bear_time_and_level_and_are_written_when_the_log_ends() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        logging.getLogger("duravip").info("ready %d", 1)
        logging.getLogger("duravip").warning("look")
    assert [re.sub(r"^[\d-]{10} [\d:.]{12} ", "T ", line) for line in stream.getvalue().splitlines()] == [
        "T INFO ready 1",
        "T WARNING look",
    ]


class Unwilling(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_ends_nothing() -> None:
    with logging_to(Unwilling()):
        logging.getLogger("duravip").info("ready")
        logging.getLogger("duravip").info("still here")


class Slow(io.StringIO):
    """Takes nothing until it is `read`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.read = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        self.read.wait(10)
        return super().write(text)

    def close(self) -> None:
        """What was written is looked at when the log has ended."""


def test_a_reader_that_is_slow_stops_nobody_and_is_told_how_much_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duravip.runtime.log.QUEUE_LINES", 50)
    stream, logger = Slow(), logging.getLogger("duravip")
    with logging_to(stream):
        logger.info("first")
        assert stream.asked.wait(10)
        for number in range(60):
            logger.info("line %d", number)
        stream.read.set()
        for _ in range(10_000):
            if stream.getvalue().endswith("line 49\n"):
                break
            threading.Event().wait(0.001)
        logger.info("last")
    lines = [re.sub(r"^[\d-]{10} [\d:.]{12} INFO ", "", line) for line in stream.getvalue().splitlines()]
    told = "10 lines of this log were lost: nobody read them"
    assert lines == ["first", *(f"line {number}" for number in range(50)), told, "last"]


def test_the_logger_is_as_before_afterwards() -> None:
    logger = logging.getLogger("duravip")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with logging_to(io.StringIO()):
        assert logger.handlers != before[2]
    assert (logger.level, logger.propagate, list(logger.handlers)) == before

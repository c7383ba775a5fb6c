"""Reading the files of many nodes: in as many processes as there are processors, where that is quicker.

Rules of this file: the configurations are the same whoever reads them, and come in the order of the files; what a child
cannot read or tell is read here.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from duravip.cli.common import without_collector
from duravip.config.node_config import NodeConfig
from duravip.model import Table

WORTH_BYTES = 2_000_000  # of all files together: below, children cost more than they save

_Told = list[tuple[NodeConfig, bytes]]
"""Configurations without their tables, and the tables encoded: half the work of pickling them."""


def read_all(files: Sequence[str], read: Callable[[int], NodeConfig]) -> list[NodeConfig]:
    """`read` reads the file with this number."""
    with without_collector():
        processes = min(len(os.sched_getaffinity(0)), len(files))
        if processes < 2 or sum(map(_size, files)) < WORTH_BYTES:
            return [read(number) for number in range(len(files))]
        shares = [range(first, len(files), processes) for first in range(processes)]
        children = [(_begin(share, read), share) for share in shares[1:]]
        found = {number: read(number) for number in shares[0]}
        for told, share in children:
            configs = _collect(told)
            found.update(zip(share, configs or [read(number) for number in share], strict=True))
        return [found[number] for number in range(len(files))]


def _begin(share: range, read: Callable[[int], NodeConfig]) -> tuple[int, int]:
    """A child's process id, and where it tells what it has read."""
    reads, writes = os.pipe()
    child = os.fork()
    if child:
        os.close(writes)
        return child, reads
    try:
        with open(writes, "wb") as out:
            told: _Told = [(replace(config, table=Table()), config.table.encoded()) for config in map(read, share)]
            pickle.dump(told, out)
    finally:
        os._exit(0)  # whatever went wrong: the parent sees that nothing was told


def _collect(child: tuple[int, int]) -> list[NodeConfig]:
    """Empty when the child has told nothing."""
    process, reads = child
    with open(reads, "rb") as told:
        data = told.read()
    os.waitpid(process, 0)
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        heard: _Told = pickle.loads(data)  # noqa: S301 (of our own child)
        return [replace(config, table=msgspec.msgpack.decode(table, type=Table)) for config, table in heard]
    return []


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except (OSError, ValueError):
        return 0

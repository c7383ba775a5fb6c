"""Any bytes give a table or diagnostics: no other exception, no hang, bounded memory.

    python -m tests.fuzz.configuration [--seconds 60] [--seed 1] [--kind momentum|toml|both]

Takes the corpus (tests/corpus), damages its files, and reads the results as `check` reads a file, in a process that may
have 2 GB. What breaks the promise is written to tests/fuzz/found/, which the normal run replays; exit status 1 then.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from duravip.config.codes import CODES
from duravip.config.load import load_file
from duravip.testing.parser_kit import plain
from duravip_plugins.config_momentum import MomentumParser
from duravip_plugins.config_toml import TomlParser

HERE = Path(__file__).parent
FOUND = HERE / "found"
CORPUS = sorted([*(HERE.parent / "corpus").glob("*/*.conf"), *(HERE.parent / "corpus").glob("*/*.toml")])
PARSERS = (MomentumParser(), TomlParser())
LIMIT_S = 5.0  # of processor time, for one text of at most LARGEST bytes
LARGEST = 200_000
STALLED_S = 300.0  # by the clock: says where it hangs, and ends
MEMORY_BYTES = 2 * 1024**3

_BYTES = [bytes([number]) for number in b"{}[]()=\"'#\\/*\n\r\t ,;:.-+0\0\x7f\xff\x80\xc3"]
_PIECES = [
    *_BYTES,
    *(b"/*", b"*/", b'"""', b"'''", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\r\n", b"[[", b"]]", b" = ", b"{}", b"()"),
    *(b'include "', b"include .\n", b"[[binding]]\n", b"[a.b]\n", b"nodename", b"1979-05-27 07:32:00", b"inf", b"0x"),
    *(b"255.255.255.255", b"::", b"*:25", b"Enable_Duravip", b"Duravip_Follow", b"cluster {", b"9" * 400),
]


class BrokenPromiseError(Exception):
    """The text is what `args[1]` holds."""


def damaged(chance: random.Random, text: bytes, others: Sequence[bytes]) -> bytes:
    """The text with a few things cut out, put in, repeated or exchanged."""
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at, until = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        match chance.randrange(7):
            case 0:
                text = text[:at] + text[min(until, at + chance.randrange(1, 40)) :]
            case 1:
                text = text[:at] + chance.choice(_PIECES) * chance.choice((1, 1, 1, 2, 200)) + text[at:]
            case 2:
                text = text[:at] + text[at:until] * chance.choice((2, 3, 50)) + text[until:]
            case 3:
                other = chance.choice(others)
                begin = chance.randrange(len(other) + 1)
                text = text[:at] + other[begin : begin + chance.randrange(1, 200)] + text[at:]
            case 4:
                text = text[:at]
            case 5:
                text = text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
            case _:
                text = text[:at] + chance.choice(_PIECES) + text[until:]
        text = text[:LARGEST]
    return text


def judge(path: Path, text: bytes) -> None:
    """Raises BrokenPromiseError. `path` is written over; its ending says which language."""
    path.write_bytes(text)
    began = time.process_time()
    try:
        config = load_file(
            path,
            parsers=PARSERS,
            plugin_options={},
            environ={},
            host_name="h",
            resolve=lambda name: ("192.0.2.1",) if len(name) % 3 else (),
        )
    except Exception as error:
        raise BrokenPromiseError(f"{type(error).__name__}: {error}", text) from error
    spent_s = time.process_time() - began
    if spent_s > LIMIT_S:
        raise BrokenPromiseError(f"took {spent_s:.1f} s", text)
    lines = text.decode(errors="replace").split("\n")
    for found in config.diagnostics:
        origin = found.origin
        if found.code not in CODES:
            raise BrokenPromiseError(f"the code {found.code} is not known", text)
        if origin.file != str(path):  # one that is included
            continue
        if not 0 <= origin.line <= len(lines):
            raise BrokenPromiseError(f"{found.code} is in line {origin.line} of {len(lines)}", text)
        if origin.line and not 1 <= origin.column <= len(lines[origin.line - 1]) + 2:
            raise BrokenPromiseError(f"{found.code} is in column {origin.column} of line {origin.line}", text)
    if not config.errors():
        config.table.digest()
        for parser in PARSERS:
            plain(parser.parse(text.decode(), file="x").root)


def main() -> None:
    options = argparse.ArgumentParser(description="Damaged configurations.", prog="tests.fuzz.configuration")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--kind", choices=("momentum", "toml", "both"), default="both")
    given = options.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    chance = random.Random(given.seed)
    paths = [path for path in CORPUS if given.kind in ("both", path.parent.name)]
    texts = [path.read_bytes() for path in paths]
    ends = time.monotonic() + given.seconds
    read = 0
    with tempfile.TemporaryDirectory(prefix="dvfuzz") as folder:
        while time.monotonic() < ends:
            number = chance.randrange(len(paths))
            text = damaged(chance, texts[number], texts)
            faulthandler.dump_traceback_later(STALLED_S, exit=True)
            try:
                judge(Path(folder) / f"text{paths[number].suffix}", text)
            except BrokenPromiseError as broken:
                FOUND.mkdir(exist_ok=True)
                kept = FOUND / f"{given.seed}-{read}{paths[number].suffix}"
                kept.write_bytes(text)
                sys.exit(f"{broken.args[0]}: see {kept}")
            read += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{read} texts read; every one gave a table or diagnostics")


if __name__ == "__main__":
    main()

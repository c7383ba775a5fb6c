"""The worst tables that a member who holds the key can make up: each is as large in one way as the bounds of
`duravip.model` let through, or larger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from duravip.model import (
    MAX_ENTRY_BYTES,
    MAX_TABLE_BYTES,
    MAX_USES,
    MAX_VIPS,
    Address,
    Table,
    Use,
    VipEntry,
    make_table,
)

NOTHING = Use("")
MOST_IN_A_VIP = (MAX_ENTRY_BYTES - 400) // len(msgspec.msgpack.encode(NOTHING))
LONG_NAME = "n" * 60_000


def well_made() -> dict[str, Table]:
    """Those that every member takes, by name."""
    most = range(MAX_VIPS)
    chain = [VipEntry(address=vip(n), follow=Use(vip(n + 1))) for n in most]
    return {
        "most VIPs": make_table(VipEntry(address=vip(n)) for n in most),
        "IPv6": make_table(VipEntry(address=Address(f"2001:db8::{n // 9000 + 1:x}:{n % 9000 + 1:x}")) for n in most),
        "a chain": make_table(chain),
        "a chain backwards": make_table(
            VipEntry(address=vip(n), follow=Use(vip(n - 1 if n else MAX_VIPS))) for n in most
        ),
        "a loop": make_table([*chain[:-1], VipEntry(address=vip(MAX_VIPS - 1), follow=Use(vip(0)))]),
        "one Binding": make_table(VipEntry(address=vip(n), bindings=(Use("x"),)) for n in most),
        "Bindings": make_table(VipEntry(address=vip(n), bindings=(Use(f"b{n}"), Use(f"c{n}"))) for n in most),
        "services": make_table(VipEntry(address=vip(n), services=tuple(map(Use, "abcdef"))) for n in most),
        "preferences": make_table(VipEntry(address=vip(n), preference=Use(f"node{n % 9}")) for n in most),
        "groups": make_table(VipEntry(address=vip(n), anti_affinity="a", together="b", weight=3.0) for n in most),
        "values": make_table(
            VipEntry(address=vip(n), services=(NOTHING,) * MOST_IN_A_VIP) for n in range(MAX_USES // MOST_IN_A_VIP)
        ),
        "misleading ends": make_table(
            VipEntry(address=vip(n), bindings=tuple(Use(f"㌧address{m}") for m in range(2_000))) for n in range(60)
        ),
        "long names": make_table(VipEntry(address=vip(n), bindings=(Use(LONG_NAME + str(n)),)) for n in range(135)),
    }


def no_tables() -> dict[str, Callable[[], bytes]]:
    """Encoded, by name."""
    head = msgspec.msgpack.encode(make_table([VipEntry(address=vip(n)) for n in range(MAX_VIPS)]))[:9]
    nested = b"\x8d\xa7address\xa510.0."
    return {
        "too many values": lambda: make_table(
            VipEntry(address=vip(n), services=(NOTHING,) * MOST_IN_A_VIP) for n in range(125)
        ).encoded(),
        "one VIP of everything": lambda: make_table(
            [VipEntry(address=vip(1), services=(NOTHING,) * (MAX_TABLE_BYTES // 2 - 400))]
        ).encoded(),
        "items of one byte": lambda: head + b"\xdd\x00\x7f\xf0\x00" + b"\xc0" * 0x7FF000,
        "VIPs of one byte": lambda: head + b"\xc0" * 0x7FF000,
        "settings of one byte": lambda: b"\x82\xa4vips\x90\xa8settings\xdd\x00\x7f\xf0\x00" + b"\xc0" * 0x7FF000,
        "nested": lambda: head + b"\x91" * 0x7FF000,
        "nested in VIPs": lambda: head + (nested + b"\xa1x" + b"\x91" * 60_000) * 135,
        "a bomb": lambda: bytes(8 * MAX_TABLE_BYTES),
    }


def crafted() -> Iterator[tuple[str, bytes]]:
    """All of them, encoded."""
    for name, table in well_made().items():
        yield name, table.encoded()
    for name, made in no_tables().items():
        yield name, made()


def vip(number: int) -> Address:
    return Address(f"10.{76 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")

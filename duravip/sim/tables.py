"""Random tables: overlapping memberships, preferences, followers, and everything that can be wrong between nodes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import msgspec

from duravip.model import Address, NodeName, Settings, Table, Use, VipEntry, canonical_address, make_table

VIEW_MATURE_S: Final = 5.0
VIEW_BALANCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What all nodes would say about one VIP if nothing were wrong."""

    entry: VipEntry
    members: tuple[NodeName, ...]


def blueprints(chance: random.Random, names: tuple[NodeName, ...]) -> tuple[Blueprint, ...]:
    """5 to 30 VIPs. Some prefer nodes (not always members of theirs), some follow another; in some worlds they
    differ in weight, and are to be apart or together."""
    groups = [names, *(_some(chance, names) for _ in range(chance.randint(0, 3)))]
    groups_of_vips = chance.random() < 0.3
    made: list[Blueprint] = []
    for number in range(chance.randint(5, 30)):
        members = chance.choice(groups)
        if chance.random() < 0.85:
            address = canonical_address(f"192.0.2.{number + 1}")
        else:
            address = canonical_address(f"2001:db8::{number + 1:x}")
        leaders = [blueprint for blueprint in made if blueprint.entry.follow is None]
        if leaders and chance.random() < 0.12:
            entry = _entry(address, listens=True)
            entry = msgspec.structs.replace(entry, follow=Use(chance.choice(leaders).entry.address))
        else:
            entry = _entry(address, listens=chance.random() < 0.3)
            if chance.random() < 0.25:
                first, *others = (Use(name) for name in chance.sample(names, chance.choice((1, 1, 2, 3))))
                entry = msgspec.structs.replace(entry, preference=first, alternatives=tuple(others))
        if groups_of_vips:
            entry = _grouped(chance, entry)
        made.append(Blueprint(entry, members))
    return tuple(made)


def table_of(name: NodeName, plan: tuple[Blueprint, ...], settings: Settings) -> Table:
    """One node's table, if nobody makes mistakes."""
    return make_table([blueprint.entry for blueprint in plan if name in blueprint.members], settings)


def with_mistakes(chance: random.Random, table: Table, name: NodeName, *, errors: float) -> Table:
    """What this node's file says after somebody edited it. `errors`: the chance, per VIP, that it says something else
    than the others'."""
    vips = list(table.vips)
    for at in range(len(vips)):
        if chance.random() < errors:
            vips[at] = _spoilt(chance, vips[at], name)
    if len(vips) > 2 and chance.random() < errors * 3:
        vips.pop(chance.randrange(len(vips)))
    if chance.random() < errors * 2:
        _swap_names(vips)
    return make_table(vips, table.settings)


def random_settings(chance: random.Random) -> Settings:
    return Settings(
        view_mature_time=VIEW_MATURE_S,
        view_balance_interval=VIEW_BALANCE_S,
        balance_set_size=chance.choice((6, 10, 30)),
        fail_back=chance.choice(("when-mature", "when-mature", "never", "manual")),
    )


def strict_settings(chance: random.Random, settings: Settings, names: tuple[NodeName, ...]) -> Settings:
    """The same under `strict` ownership."""
    breaker = chance.choice(names) if len(names) % 2 == 0 and chance.random() < 0.8 else None
    return msgspec.structs.replace(
        settings,
        ownership="strict",
        members=names,
        tie_breaker=breaker,
        address_lifetime=chance.choice((4.0, 5.0)),
    )


def _some(chance: random.Random, names: tuple[NodeName, ...]) -> tuple[NodeName, ...]:
    chosen = set(chance.sample(names, chance.randint(1, len(names))))
    return tuple(name for name in names if name in chosen)


def _entry(address: Address, *, listens: bool) -> VipEntry:
    services = (Use("esmtp:25"),) if listens else (Use("multivip"),)
    bindings = () if listens else (Use(f"b-{address}"),)
    return VipEntry(
        address=address,
        services=services,
        bindings=bindings,
        interface="eth0",
        prefix=128 if ":" in address else 32,
    )


def _grouped(chance: random.Random, entry: VipEntry) -> VipEntry:
    return msgspec.structs.replace(
        entry,
        weight=chance.choice((1.0, 1.0, 2.0, 3.5)),
        anti_affinity=chance.choice(("", "", "web", "db")),
        together=chance.choice(("", "", "", "shop", "mail")),
    )


def _spoilt(chance: random.Random, entry: VipEntry, name: NodeName) -> VipEntry:
    """BROKEN where it has a Binding, CONFLICT, or UNSAFE."""
    kind = chance.random()
    if kind < 0.4 and entry.bindings:
        return msgspec.structs.replace(entry, bindings=(Use(f"{entry.bindings[0].value}-{name}"),))
    if kind < 0.7 and entry.follow is None:
        return msgspec.structs.replace(entry, preference=Use(name), alternatives=())
    return msgspec.structs.replace(entry, services=(*entry.services, Use("http:80")), follow=None)


def _swap_names(vips: list[VipEntry]) -> None:
    """One Binding name on another address than elsewhere: both addresses are BROKEN."""
    bound = [at for at, vip in enumerate(vips) if vip.bindings]
    for one, other in list(pairwise(bound))[:1]:
        first, second = vips[one], vips[other]
        vips[one] = msgspec.structs.replace(first, bindings=second.bindings)
        vips[other] = msgspec.structs.replace(second, bindings=first.bindings)

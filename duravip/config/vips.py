"""From services to VIPs: the upgrade, preferences and following within one configuration.

An address that one service enables is a VIP on all its services here; an address that a Listen lets follow is
one too. Everything else is only mentioned: it is nobody's business but the administrator's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from duravip.config.diagnostics import Findings, Related, shown
from duravip.config.endpoints import plain_address
from duravip.config.scope import Written
from duravip.config.services import Service
from duravip.config.topology import Topologies
from duravip.model import Address, Origin, Use, VipEntry


def make_vips(
    services: Iterable[Service], topologies: Topologies, findings: Findings
) -> tuple[list[VipEntry], list[tuple[Address, Origin]]]:
    """The VIPs, and the addresses that are only mentioned, with the first place of each; sorted by address
    text."""
    by_address: dict[Address, list[Service]] = {}
    enabled: dict[Address, Origin] = {}
    asked: dict[Address, list[Written]] = {}
    for service in services:
        by_address.setdefault(service.address, []).append(service)
        if service.enabled is not None:
            enabled.setdefault(service.address, service.enabled)
        if service.follow is not None:
            asked.setdefault(service.address, []).append(service.follow)
    follows = _follows(by_address, enabled, asked, findings) if asked else {}
    entries: list[VipEntry] = []
    mentioned: list[tuple[Address, Origin]] = []
    for address in sorted(by_address):
        same = by_address[address]
        follow = follows.get(address)
        origin = enabled.get(address) or (follow.origin if follow else None)
        if origin is None:
            mentioned.append((address, same[0].origin))
            _warn_of_idle_preferences(same, findings)
            continue
        entries.append(_entry(address, same, origin, follow, topologies, findings))
    return entries, mentioned


def _entry(
    address: Address,
    same: list[Service],
    origin: Origin,
    follow: Use | None,
    topologies: Topologies,
    findings: Findings,
) -> VipEntry:
    place = topologies.place(address)
    if place.interface is None:
        findings.warning(
            "DV410",
            f"no Topology names an interface for {address}",
            origin,
            "`run` will use the interface whose connected subnet contains it, or refuse",
        )
    preference = _agreed("duravip_preference", "DV412", address, [one.preference for one in same], findings)
    weight = _agreed("weight", "DV435", address, [one.weight for one in same], findings)
    apart = _agreed("anti_affinity", "DV438", address, [one.anti_affinity for one in same], findings)
    together = _agreed("together", "DV438", address, [one.together for one in same], findings)
    if preference and follow:
        findings.error(
            "DV419",
            f"{address} follows, so it cannot prefer a node",
            preference.origin,
            "give the preference to what it follows",
        )
        preference = None
    ranked = tuple(Use(name, preference.origin) for name in preference.content) if preference else ()
    return VipEntry(
        address=address,
        services=_uses([(one.name, one.origin) for one in same]),
        bindings=_uses([(one.binding, one.origin) for one in same if one.binding is not None]),
        preference=ranked[0] if ranked else None,
        alternatives=ranked[1:],
        follow=follow,
        interface=place.interface,
        prefix=place.prefix,
        weight=weight.content if weight else 1.0,
        anti_affinity=apart.content if apart else "",
        together=together.content if together else "",
        origin=origin,
    )


def _uses(values: Sequence[tuple[str, Origin]]) -> tuple[Use, ...]:
    """Sorted by value, each once, with its first place."""
    if len(values) == 1:
        return (Use(*values[0]),)
    first: dict[str, Origin] = {}
    for value, origin in values:
        first.setdefault(value, origin)
    return tuple([Use(value, first[value]) for value in sorted(first)])


def _agreed(
    option: str, code: str, address: Address, written: list[Written | None], findings: Findings
) -> Written | None:
    """The one value that all services on the address which say something give; the first where they
    differ."""
    if len(written) == 1:
        return written[0]
    given = [one for one in written if one is not None]
    for one in given[1:]:
        if one.content != given[0].content:
            findings.error(
                code,
                f"{option} of {address} is {shown(one.content)} here, {shown(given[0].content)} elsewhere",
                one.origin,
                "an address can have one only",
                Related(given[0].origin, f"{option} is {shown(given[0].content)} here"),
            )
    return given[0] if given else None


def _warn_of_idle_preferences(same: list[Service], findings: Findings) -> None:
    for service in same:
        if service.preference and service.own_preference:
            findings.warning(
                "DV431",
                f"{service.title} has a preference, but {service.address} is not enabled",
                service.preference.origin,
                "write enable_duravip = true beside it",
            )


# --- following ----------------------------------------------------------------------------------------------


def _follows(
    by_address: Mapping[Address, list[Service]],
    enabled: Mapping[Address, Origin],
    asked: Mapping[Address, list[Written]],
    findings: Findings,
) -> dict[Address, Use]:
    """Follower -> what it follows directly, as an address. Mistakes are reported and left out."""
    names: dict[str, Address] = {
        service.binding: address
        for address, same in by_address.items()
        for service in same
        if service.binding is not None
    }
    follows: dict[Address, Use] = {}
    for address, wishes in asked.items():
        targets = [_target(wish, names, enabled, asked, findings) for wish in wishes]
        found = [(target, wish) for target, wish in zip(targets, wishes, strict=True) if target]
        if not found:
            continue
        target, wish = found[0]
        for other, other_wish in found[1:]:
            if other != target:
                findings.error(
                    "DV413",
                    f"{address} follows {other} here, {target} elsewhere",
                    other_wish.origin,
                    "an address can follow one thing only",
                    Related(wish.origin, f"it follows {target} here"),
                )
        if address in enabled:
            findings.error(
                "DV414",
                f"{address} follows here and is enabled elsewhere",
                wish.origin,
                "keep one of them",
                Related(enabled[address], "it is enabled here"),
            )
        elif target == address:
            findings.error(
                "DV417",
                f"{address} follows itself",
                wish.origin,
                "let it follow another address, or enable it",
            )
        else:
            follows[address] = Use(target, wish.origin)
    for address in _on_loops(follows):
        findings.error(
            "DV415",
            f"{address} follows {follows[address].value}, which leads back to it",
            follows[address].origin,
        )
    return follows


def _target(
    wish: Written,
    names: Mapping[str, Address],
    enabled: Mapping[Address, Origin],
    asked: Mapping[Address, object],
    findings: Findings,
) -> Address | None:
    text: str = wish.content
    target = names.get(text)
    if target is None:
        try:
            target = plain_address(text)
        except ValueError:
            target = None
    if target is None:
        findings.error(
            "DV416",
            f"there is no Binding {shown(text)} to follow",
            wish.origin,
            "name a Binding that has an address, or a VIP",
        )
    elif target not in enabled and target not in asked:
        what = shown(text) if text == target else f"{shown(text)} ({target})"
        findings.error(
            "DV416",
            f"{what} is no VIP here and cannot be followed",
            wish.origin,
            "enable it: enable_duravip = true",
        )
        return None
    return target


def _on_loops(follows: Mapping[Address, Use]) -> list[Address]:
    """The addresses that a chain of follows leads back to. Each address is walked over twice at most."""
    state: dict[Address, int] = {}
    found: list[Address] = []
    for number, start in enumerate(follows):
        walked: list[Address] = []
        address = start
        while address in follows and address not in state:
            state[address] = number
            walked.append(address)
            address = Address(follows[address].value)
        if state.get(address) == number:
            found += walked[walked.index(address) :]
    return found

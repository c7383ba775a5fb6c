"""Every service that a configuration runs on an address: its Bindings and its Listens, with what they ask
for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from duravip.config import original, schema
from duravip.config.diagnostics import shown
from duravip.config.document import Stanza
from duravip.config.endpoints import ANY, BindAddresses, ListenError, Resolve, parse_listen, unfit_as_vip
from duravip.config.scope import Named, Reader, Scope, Written
from duravip.model import Address, Origin

MULTIVIP = "multivip"
_LISTENER_ENDING = "_listener"
_NAME = re.compile(r"[^\s:]+")
_NOTHING: Mapping[str, Written] = {}
_CLUSTER_LISTENER = "eccluster"
"""The node's own point-to-point address: no service that could move."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One Binding or Listen on one address. `name` as the table has it; `binding` None for a Listen.
    `enabled` is the place that enables it, None when nothing does. `own_preference`: written on the service
    itself."""

    address: Address
    name: str
    title: Named
    binding: str | None
    origin: Origin
    enabled: Origin | None
    preference: Written | None
    own_preference: bool
    follow: Written | None
    weight: Written | None
    anti_affinity: Written | None
    together: Written | None


def read_services(reader: Reader, root: Stanza, global_scope: Scope, resolve: Resolve) -> list[Service]:
    """In the order of the text, Bindings first. Whatever is switched off with `enable = false` is left
    out."""
    addresses = BindAddresses(resolve, reader.findings)
    return [*_bindings(reader, root, global_scope, addresses), *_listens(reader)]


# --- Bindings -----------------------------------------------------------------------------------------------


def _bindings(reader: Reader, root: Stanza, global_scope: Scope, addresses: BindAddresses) -> Iterator[Service]:
    group_pieces: dict[str, list[Stanza]] = {}
    pieces: dict[str, list[Stanza]] = {}
    group_of: dict[str, str] = {}
    for stanza in root.stanzas():
        word = reader.word(stanza.keyword)
        if word == "binding":
            _put(reader, pieces, stanza)
        elif word == "binding_group" and _put(reader, group_pieces, stanza):
            for inner in reader.stanzas(stanza, "binding"):
                if not _put(reader, pieces, inner) or inner.name is None:
                    continue
                group = group_of.setdefault(inner.name, stanza.name or "")
                if group != stanza.name:
                    reader.findings.error(
                        "DV429",
                        f"Binding {shown(inner.name)} stands in binding_group {shown(stanza.name)} "
                        f"and in {shown(group)}",
                        inner.origin,
                        "keep it in one of them",
                    )
    foreign = reader.foreign(original.IN_BINDING)
    groups = {
        name: reader.scope(Named("binding_group", name), same, schema.BINDING_GROUP, ignored=foreign).written
        for name, same in group_pieces.items()
    }
    for name, same in pieces.items():
        title = Named("Binding", name)
        scope = reader.scope(title, same, schema.BINDING, ignored=foreign)
        if not _NAME.fullmatch(name):
            reader.findings.error(
                "DV308",
                f"{shown(name)} cannot be a Binding's name",
                scope.origin,
                "no space and no colon in it",
            )
            continue
        own, of_group = scope.written, groups[group_of[name]] if name in group_of else _NOTHING
        if not all(one["enable"].content for one in (own, of_group) if "enable" in one):
            continue
        bind = own.get("bind_address") or of_group.get("bind_address") or global_scope.written.get("bind_address")
        if bind is None and reader.is_torn(scope.origin):
            continue
        address = addresses.find(bind.content, bind.origin) if bind else ANY
        enable = own.get("enable_duravip") or of_group.get("enable_duravip")
        if address is None or not _fit(reader, title, address, enable):
            continue
        preference = own.get("duravip_preference") or of_group.get("duravip_preference")
        yield Service(
            address=address,
            name=MULTIVIP,
            title=title,
            binding=name,
            origin=scope.origin,
            enabled=enable.origin if enable and enable.content else None,
            preference=preference if preference and preference.content else None,
            own_preference="duravip_preference" in own,
            follow=None,
            weight=own.get("weight"),
            anti_affinity=own.get("anti_affinity"),
            together=own.get("together"),
        )


def _put(reader: Reader, pieces: dict[str, list[Stanza]], stanza: Stanza) -> bool:
    if stanza.name is None:
        reader.findings.error(
            "DV425",
            f"a {shown(stanza.keyword)} needs a name",
            stanza.origin,
            f"write {stanza.keyword} name {{ ... }}",
        )
        return False
    pieces.setdefault(stanza.name, []).append(stanza)
    return True


def _fit(reader: Reader, title: Named, address: Address, asked: Written | None) -> bool:
    """Whether the service has an address of its own; an error when it is asked to be a VIP and cannot."""
    wanted = asked is not None and asked.content
    if address == ANY:
        if asked is not None and wanted:
            reader.findings.error(
                "DV422", f"{title} has no IP address of its own to manage", asked.origin, "give it one"
            )
        return False
    if asked is not None and wanted and (problem := unfit_as_vip(address)):
        reader.findings.error("DV430", f"{address} is {problem} and can never be a VIP", asked.origin)
        return False
    return True


# --- Listens ------------------------------------------------------------------------------------------------


def _listens(reader: Reader) -> Iterator[Service]:
    listeners: dict[tuple[str, str | None], list[Stanza]] = {}
    for word, stanzas in reader.keywords().items():
        if word.endswith(_LISTENER_ENDING) and word != _LISTENER_ENDING:
            for stanza in stanzas:
                listeners.setdefault((word, stanza.name), []).append(stanza)
    for (word, _), same in listeners.items():
        kind = word.removesuffix(_LISTENER_ENDING).lower()
        scope = reader.scope(same[0].keyword, same, schema.LISTENER, others_are_normal=True)
        pieces: dict[str, list[Stanza]] = {}
        for stanza in same:
            for inner in reader.stanzas(stanza, "listen"):
                _put(reader, pieces, inner)
        if kind == _CLUSTER_LISTENER or not scope.get("enable"):
            continue
        for text, listens in pieces.items():
            service = _listen(reader, kind, text, listens)
            if service:
                yield service


def _listen(reader: Reader, kind: str, text: str, pieces: list[Stanza]) -> Service | None:
    title = Named("Listen", text)
    scope = reader.scope(title, pieces, schema.LISTEN, ignored=reader.foreign(original.IN_LISTEN))
    if not scope.get("enable"):
        return None
    try:
        parsed = parse_listen(text)
    except ListenError as error:
        reader.findings.error(
            "DV307",
            f"{title}: {error}",
            scope.origin,
            '"192.0.2.1:25", "[2001:db8::1]:25", "*:25", ":25", "/path"',
        )
        return None
    enable, follow = scope.written.get("enable_duravip"), scope.written.get("duravip_follow")
    enabled = enable is not None and bool(enable.content)
    if follow is not None and not follow.content:
        follow = None
    preference = scope.written.get("duravip_preference")
    preference = preference if preference and preference.content else None
    address = parsed.address or ANY
    if parsed.name:
        asked = (enable if enabled else None) or follow or preference
        report = reader.findings.error if asked else reader.findings.warning
        report(
            "DV307",
            f"{title}: a host name stands for no VIP here",
            asked.origin if asked else scope.origin,
            "write its address, if that is a VIP on any node",
        )
        return None
    if not _fit(reader, title, address, enable if enabled else follow):
        return None
    if follow and enabled:
        reader.findings.error(
            "DV414",
            f"{title} both follows and is enabled itself",
            follow.origin,
            "leave enable_duravip out: what follows is managed",
        )
        enabled = False
    if follow and preference:
        reader.findings.error(
            "DV419",
            f"{title} follows, so it cannot prefer a node",
            preference.origin,
            "give the preference to what it follows",
        )
    return Service(
        address=address,
        name=f"{kind}:{parsed.port}",
        title=title,
        binding=None,
        origin=scope.origin,
        enabled=enable.origin if enable and enabled else None,
        preference=None if follow else preference,
        own_preference=True,
        follow=follow,
        weight=scope.written.get("weight"),
        anti_affinity=scope.written.get("anti_affinity"),
        together=scope.written.get("together"),
    )

"""What a configuration that was read again would change, compared with the one in force.

Rules of this file: pure. Where something is written does not count: a line that was inserted above changes nothing.
"""

from __future__ import annotations

from dataclasses import fields

import msgspec

from duravip.config.node_config import NodeConfig, PluginStanza
from duravip.model import Address, Settings, Use, VipEntry, address_order

KEYS = ("key_file", "insecure", "seal")  # read with every configuration: `runtime.rekeying`


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses in address order. `changed`: what is different about an address, as names of `VipEntry`'s fields.
    `settings`: settings of the whole cluster that differ. `at_next_start`: what stays on this host and is read at a
    start only: `nodename`, fields of `LocalSettings`, and stanzas of plugins (`webhook pager`) that came, went or
    changed."""

    added: tuple[Address, ...] = ()
    removed: tuple[Address, ...] = ()
    changed: dict[Address, tuple[str, ...]] = {}
    settings: tuple[str, ...] = ()
    at_next_start: tuple[str, ...] = ()


def difference(old: NodeConfig, new: NodeConfig) -> Difference:
    """From `old` to `new`, both without errors."""
    before = {vip.address: vip for vip in old.table.vips}
    after = {vip.address: vip for vip in new.table.vips}
    changed = {
        address: names
        for address in sorted(before.keys() & after.keys(), key=address_order)
        if (names := _changed_fields(before[address], after[address]))
    }
    return Difference(
        added=tuple(sorted(after.keys() - before.keys(), key=address_order)),
        removed=tuple(sorted(before.keys() - after.keys(), key=address_order)),
        changed=changed,
        settings=tuple(
            name
            for name in Settings.__struct_fields__
            if getattr(old.table.settings, name) != getattr(new.table.settings, name)
        ),
        at_next_start=(
            *(("nodename",) if old.name != new.name else ()),
            *(
                name
                for field in fields(old.local)
                if field.name not in KEYS
                for name in _changed_setting(field.name, getattr(old.local, field.name), getattr(new.local, field.name))
            ),
        ),
    )


def _changed_setting(name: str, before: object, after: object) -> tuple[str, ...]:
    """What people would look for: the stanzas of plugins, else the setting."""
    if _placeless(before) == _placeless(after):
        return ()
    if isinstance(before, PluginStanza) and isinstance(after, PluginStanza):
        return (after.title,) if before.title == after.title else (name,)
    was, will_be = _stanzas(before), _stanzas(after)
    return tuple(title for title in (was | will_be) if was.get(title) != will_be.get(title)) or (name,)


def _stanzas(value: object) -> dict[str, object]:
    """Title -> what it says, of a list of stanzas."""
    stanzas = value if isinstance(value, tuple) else ()
    return {stanza.title: _placeless(stanza) for stanza in stanzas if isinstance(stanza, PluginStanza)}


def _changed_fields(before: VipEntry, after: VipEntry) -> tuple[str, ...]:
    if before == after:
        return ()
    return tuple(
        name
        for name in VipEntry.__struct_fields__
        if name != "origin" and _placeless(getattr(before, name)) != _placeless(getattr(after, name))
    )


def _placeless(value: object) -> object:
    """The value without the places where its parts are written."""
    if isinstance(value, Use):
        return value.value
    if isinstance(value, PluginStanza):
        return value.plugin, value.name, dict(value.options)
    if isinstance(value, tuple):
        return tuple(map(_placeless, value))
    return value

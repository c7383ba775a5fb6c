from __future__ import annotations

from dataclasses import replace
from typing import Any

from duravip.config.difference import Difference, difference
from duravip.config.node_config import LocalSettings, NodeConfig, PluginStanza
from duravip.model import Address, NodeName, Origin, Settings, Use, VipEntry, make_table

A, B, C = (Address(f"192.0.2.{number}") for number in (9, 10, 100))


def vip(address: Address, *, line: int = 1, **fields: Any) -> VipEntry:
    place = Origin("node1.conf", line, 1)
    return VipEntry(address=address, bindings=(Use("example", place),), origin=place, **fields)


def config(*vips: VipEntry, local: LocalSettings | None = None, **settings: Any) -> NodeConfig:
    return NodeConfig(
        name=NodeName("node1"),
        file="node1.conf",
        table=make_table(vips, Settings(**settings)),
        local=local or LocalSettings(transports=(PluginStanza(plugin="multicast", name=None, options={"port": 1}),)),
    )


def test_the_same_file_is_no_difference() -> None:
    assert difference(config(vip(A)), config(vip(A))) == Difference()


def test_what_only_stands_elsewhere_in_the_file_is_no_difference() -> None:
    moved = PluginStanza(plugin="multicast", name=None, options={"port": 1}, origin=Origin("node1.conf", 7, 1))
    fresh = config(vip(A, line=9), local=LocalSettings(transports=(moved,)))
    assert difference(config(vip(A)), fresh) == Difference()


def test_addresses_come_and_go_in_address_order() -> None:
    found = difference(config(vip(A)), config(vip(C), vip(B)))
    assert (found.added, found.removed) == ((B, C), (A,))


def test_what_changes_about_an_address_is_named() -> None:
    fresh = vip(A, prefix=24, preference=Use("node1"))
    assert difference(config(vip(A), vip(B)), config(fresh, vip(B))).changed == {A: ("preference", "prefix")}


def test_settings_of_the_cluster_and_of_this_host_are_told_apart() -> None:
    before = config(vip(A))
    other = PluginStanza(plugin="multicast", name=None, options={"port": 2})
    fresh = config(vip(A), local=LocalSettings(transports=(other,), weight=2.0), view_mature_time=9.0)
    found = difference(before, replace(fresh, name=NodeName("node2")))
    assert found.settings == ("view_mature_time",)
    assert found.at_next_start == ("nodename", "weight", "multicast")


def plugin(title: str, **options: Any) -> PluginStanza:
    word, _, name = title.partition(" ")
    return PluginStanza(plugin=word, name=name or None, options=options)


def test_stanzas_of_plugins_that_come_go_and_change_are_named() -> None:
    before = LocalSettings(
        transports=(plugin("multicast"), plugin("unicast backup", port=1)),
        notifiers=(plugin("syslog"), plugin("webhook pager", url="a")),
        backend=plugin("ifconfig", marks="a"),
    )
    fresh = LocalSettings(
        transports=(plugin("unicast backup", port=2), plugin("unicast")),
        notifiers=(plugin("webhook pager", url="a"), plugin("webhook wiki")),
        backend=plugin("ifconfig", marks="b"),
    )
    found = difference(config(vip(A), local=before), config(vip(A), local=fresh)).at_next_start
    assert found == ("multicast", "unicast backup", "unicast", "ifconfig", "syslog", "webhook wiki")


def test_another_backend_and_another_order_are_named_by_their_settings() -> None:
    before = LocalSettings(transports=(plugin("a"), plugin("b")), backend=plugin("netlink"))
    fresh = LocalSettings(transports=(plugin("b"), plugin("a")), backend=plugin("ifconfig"))
    found = difference(config(vip(A), local=before), config(vip(A), local=fresh)).at_next_start
    assert found == ("transports", "backend")

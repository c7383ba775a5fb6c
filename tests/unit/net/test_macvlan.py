from __future__ import annotations

from duravip.model import Address
from duravip.net.macvlan import hardware_address, link_name

A, B = Address("10.0.0.1"), Address("10.0.0.2")


def test_a_virtual_hardware_address_is_one_hosts_locally_administered_and_for_ever_the_same() -> None:
    assert hardware_address("ec_cluster", A).hex(":") == "52:5b:78:bf:54:66"
    for number in range(200):
        found = hardware_address("ec_cluster", Address(f"10.0.0.{number}"))
        assert len(found) == 6
        assert found[0] & 0x03 == 0x02


def test_addresses_and_clusters_have_their_own() -> None:
    found = {hardware_address(group, address) for group in ("one", "two") for address in (A, B)}
    assert len(found) == 4


def test_the_interfaces_name_tells_the_hardware_address_and_is_as_long_as_a_name_may_be() -> None:
    assert link_name(bytes.fromhex("0201030405ff")) == "dv-0201030405ff"
    assert len(link_name(bytes(6))) == 15

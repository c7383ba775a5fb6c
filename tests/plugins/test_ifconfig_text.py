"""What ifconfig prints, in the words of both generations of net-tools."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duravip_plugins.ifconfig_text import free_label, read_listing

NEW = """\
eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 10.77.0.1  netmask 255.255.255.0  broadcast 0.0.0.0
        inet6 fd77::51  prefixlen 128  scopeid 0x0<global>
        inet6 fe80::a818:15ff:fe20:fff8  prefixlen 64  scopeid 0x20<link>
        ether aa:18:15:20:FF:f8  txqueuelen 1000  (Ethernet)
        RX packets 1  bytes 90 (90.0 B)

eth0:dv7: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 10.77.0.51  netmask 255.255.255.255  broadcast 0.0.0.0
        ether aa:18:15:20:ff:f8  txqueuelen 1000  (Ethernet)

lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536
        inet 127.0.0.1  netmask 255.0.0.0
        inet6 ::1  prefixlen 128  scopeid 0x10<host>
        loop  txqueuelen 1000  (Local Loopback)

tun0: flags=4305<UP,POINTOPOINT,RUNNING,NOARP,MULTICAST>  mtu 1500
        inet 10.8.0.2  netmask 255.255.255.255  destination 10.8.0.1
        unspec 00-00-00-00-00-00-00-00-00-00-00-00-00-00-00-00  txqueuelen 500  (UNSPEC)

"""

OLD = """\
eth0      Link encap:Ethernet  HWaddr AA:18:15:20:FF:F8
          inet addr:10.77.0.1  Bcast:10.77.0.255  Mask:255.255.255.0
          inet6 addr: fd77::51/128 Scope:Global
          inet6 addr: fe80::a818:15ff:fe20:fff8/64 Scope:Link
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1

eth0:dv7  Link encap:Ethernet  HWaddr AA:18:15:20:FF:F8
          inet addr:10.77.0.51  Bcast:0.0.0.0  Mask:255.255.255.255
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1

lo        Link encap:Local Loopback
          inet addr:127.0.0.1  Mask:255.0.0.0
          inet6 addr: ::1/128 Scope:Host

tun0      Link encap:UNSPEC  HWaddr 00-00-00-00-00-00-00-00-00-00-00-00-00-00-00-00
          inet addr:10.8.0.2  P-t-P:10.8.0.1  Mask:255.255.255.255
"""


@pytest.mark.parametrize("text", [NEW, OLD], ids=["net-tools 2", "net-tools 1.60"])
def test_both_generations_say_the_same(text: str) -> None:
    listing = read_listing(text)
    assert listing.labels == {"eth0", "eth0:dv7", "lo", "tun0"}
    assert [(row.address, row.label, row.interface, row.prefix, row.hardware_address) for row in listing.rows] == [
        ("10.77.0.1", "eth0", "eth0", 24, "aa:18:15:20:ff:f8"),
        ("fd77::51", "eth0", "eth0", 128, "aa:18:15:20:ff:f8"),
        ("fe80::a818:15ff:fe20:fff8", "eth0", "eth0", 64, "aa:18:15:20:ff:f8"),
        ("10.77.0.51", "eth0:dv7", "eth0", 32, "aa:18:15:20:ff:f8"),
        ("127.0.0.1", "lo", "lo", 8, ""),
        ("::1", "lo", "lo", 128, ""),
        ("10.8.0.2", "tun0", "tun0", 32, ""),
    ]
    assert [row.address for row in listing.rows if row.has_our_label] == ["10.77.0.51"]


@pytest.mark.parametrize("label", ["eth0", "eth0:web", "eth0:dv", "eth0:dvx", "eth0:1"])
def test_other_labels_are_not_ours(label: str) -> None:
    (row,) = read_listing(f"{label}: flags=1\n  inet 10.0.0.1  netmask 255.0.0.0\n").rows
    assert not row.has_our_label


@given(st.text(alphabet="inet6adr:0123456789./ \n%ethHW", max_size=200) | st.text(max_size=60))
def test_any_text_gives_a_listing(text: str) -> None:
    for row in read_listing(text).rows:
        assert row.label


def test_the_lowest_free_label_is_taken_as_long_as_the_name_leaves_room() -> None:
    assert free_label("eth0", frozenset({"eth0", "eth0:dv0", "eth0:dv2"})) == "eth0:dv1"
    assert free_label("elevenchars", frozenset({"elevenchars"})) == "elevenchars:dv0"
    assert free_label("elevenchars", frozenset(f"elevenchars:dv{number}" for number in range(10))) is None
    assert free_label("twelve-chars", frozenset()) is None

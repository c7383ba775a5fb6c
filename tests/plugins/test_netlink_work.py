"""What is said of each address when the kernel refuses it; the kernel itself is in test_backend_netlink.py."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import pytest

from duravip.model import Address
from duravip.plugin.api import Answer, Placement
from duravip_plugins import netlink_socket as rtnetlink
from duravip_plugins import netlink_work as work

GOOD = Placement(address=Address("192.0.2.50"), interface="eth0", prefix=32)


def placement(address: str) -> Placement:
    return Placement(address=Address(address), interface="eth0", prefix=128 if ":" in address else 32)


@pytest.mark.parametrize(
    ("address", "refusal", "said"),
    [
        ("192.0.2.51", (errno.EPERM, ""), "cannot add 192.0.2.51 to eth0: the capability CAP_NET_ADMIN is missing"),
        ("192.0.2.51", (errno.ENODEV, ""), "cannot add 192.0.2.51: the interface eth0 has just gone"),
        ("192.0.2.51", (errno.ENOBUFS, ""), "cannot add 192.0.2.51/32 to eth0: No buffer space available"),
        ("192.0.2.51", (errno.EINVAL, "bad scope"), "cannot add 192.0.2.51/32 to eth0: bad scope"),
        ("fd00::51", (errno.EACCES, ""), "cannot add fd00::51 to eth0: IPv6 is switched off there"),
        ("fd00::51", (errno.EEXIST, "is elsewhere"), "cannot add fd00::51/128 to eth0: is elsewhere"),
    ],
)
@pytest.mark.parametrize("job", [work.add, work.renew])
def test_a_refusal_is_a_sentence_for_its_address_and_the_one_beside_it_is_done(
    monkeypatch: pytest.MonkeyPatch, job: work.Job, address: str, refusal: tuple[int, str], said: str
) -> None:
    code, words = refusal

    def exchange(link: object, requests: Sequence[bytes], *, not_after: float) -> list[rtnetlink.Refusal]:
        assert len(requests) == 2
        return [rtnetlink.Refusal(errno=code, text=words), rtnetlink.DONE]

    monkeypatch.setattr(rtnetlink, "exchange", exchange)
    with socket.socket(socket.AF_UNIX) as unused:
        outcome = job(unused, [placement(address), GOOD], frozenset(), lambda name: 3)
    assert outcome.answers == (
        Answer(address=Address(address), error=said, interface="eth0"),
        Answer(address=GOOD.address, interface="eth0"),
    )

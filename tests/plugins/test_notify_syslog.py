"""The syslog notifier and a real rsyslogd, on this machine's loopback; and sockets that behave worse."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from duravip.errors import NotifierError, PluginError
from duravip.events import LinkUp, OwnerElected
from duravip.model import Address, NodeName
from duravip.testing.notifier_kit import Open, check_notifier, stamp
from duravip.testing.rsyslogd import Rsyslogd
from duravip_plugins import syslog_notifier
from duravip_plugins.notify_syslog import OPTIONS
from duravip_plugins.syslog_notifier import SyslogNotifier, Target, default_format, parse_target

needs_rsyslogd = pytest.mark.needs("rsyslogd")
WAYS = ("unix", "udp", "tcp")
ELECTED = OwnerElected(address=Address("192.0.2.51"), owner=NodeName("node2"), previous=None, reason='"next"')


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Rsyslogd]:
    with Rsyslogd(tmp_path) as running:
        yield running


def notifier(target: str, **options: object) -> SyslogNotifier:
    return SyslogNotifier({option.name: option.default for option in OPTIONS} | options | {"target": target})


def target(receiver: Rsyslogd, way: str) -> str:
    if way == "unix":
        return f"unix:{receiver.unix}"
    return f"{way}:127.0.0.1:{receiver.udp if way == 'udp' else receiver.tcp}"


async def arrived(receiver: Rsyslogd, count: int) -> Sequence[Mapping[str, str]]:
    with trio.fail_after(10):
        while len(receiver.messages()) < count:  # noqa: ASYNC110 (another process)
            await trio.sleep(0.01)
    return receiver.messages()


# --- a real rsyslogd


@needs_rsyslogd
@pytest.mark.parametrize("way", WAYS)
async def test_rsyslogd_understands_all_of_a_message(receiver: Rsyslogd, way: str) -> None:
    async with notifier(target(receiver, way), facility="local3") as told:
        await told.notify(stamp(ELECTED, seq=7))
    [message] = await arrived(receiver, 1)
    assert message["msg"] == 'election.owner_elected address=192.0.2.51 owner=node2 previous="" reason="\\"next\\""'
    assert message["structured-data"] == (
        '[duravip@32473 incarnation="7.1700000000" seq="7" node="node1" view="3.node1" '
        'address="192.0.2.51" owner="node2" previous="" reason="\\"next\\""]'
    )
    assert {key: message[key] for key in ("msgid", "app-name", "syslogfacility", "syslogseverity", "inputname")} == {
        "msgid": "election.owner_elected",
        "app-name": "duravip",
        "syslogfacility": "19",
        "syslogseverity": "5",
        "inputname": {"unix": "imuxsock", "udp": "imudp", "tcp": "imtcp"}[way],
    }
    if way != "unix":  # imuxsock puts its own time and host
        assert message["timereported"] == "2026-11-22T17:18:19.123+00:00"
        assert message["hostname"] == socket.gethostname()


@needs_rsyslogd
@pytest.mark.parametrize("way", WAYS)
async def test_rsyslogd_understands_the_old_format(receiver: Rsyslogd, way: str) -> None:
    async with notifier(target(receiver, way), format="rfc3164") as told:
        await told.notify(stamp(LinkUp(interface="eth0"), seq=7))
    [message] = await arrived(receiver, 1)
    assert message["msg"] == " interface.link_up interface=eth0 node=node1 seq=7"
    assert re.fullmatch(r"duravip\[\d+\]:", message["syslogtag"])
    assert (message["syslogfacility"], message["syslogseverity"]) == ("3", "5")
    assert message["hostname"] == socket.gethostname()


@needs_rsyslogd
@pytest.mark.parametrize(
    ("style", "read"),
    [
        ("rfc3164", {"app-name": "duravip", "msg": " interface.link_up interface=eth0 node=node1 seq=7"}),
        ("rfc5424", {"app-name": "1"}),
    ],
)
async def test_where_rsyslogd_reads_as_on_dev_log_only_the_old_format_is_read_right(
    receiver: Rsyslogd, style: str, read: Mapping[str, str]
) -> None:
    async with notifier(f"unix:{receiver.dev_log}", format=style) as told:
        await told.notify(stamp(LinkUp(interface="eth0"), seq=7))
    [message] = await arrived(receiver, 1)
    assert {key: message[key] for key in read} == read


class AtRsyslogd:
    """A receiver of the kit."""

    def __init__(self, receiver: Rsyslogd, open_deaf: Open | None) -> None:
        self.receiver = receiver
        self.open_deaf = open_deaf

    async def told(self) -> Sequence[str]:
        return [f"{message['structured-data']} {message['msg']}" for message in self.receiver.messages()]


@needs_rsyslogd
@pytest.mark.parametrize("way", WAYS)
async def test_the_notifier_does_what_every_notifier_must(receiver: Rsyslogd, tmp_path: Path, way: str) -> None:
    with socket.socket(socket.AF_UNIX) if way == "unix" else socket.socket() as deaf:
        if way == "unix":
            deaf.bind(str(tmp_path / "deaf"))
            aim = f"unix:{tmp_path / 'deaf'}"
        else:
            deaf.bind(("127.0.0.1", 0))
            aim = f"tcp:127.0.0.1:{deaf.getsockname()[1]}"
        deaf.listen()
        await check_notifier(lambda: notifier(target(receiver, way)), AtRsyslogd(receiver, lambda: notifier(aim)))


@needs_rsyslogd
@pytest.mark.parametrize("way", ["unix", "tcp"])
async def test_a_restart_of_rsyslogd_loses_nothing(receiver: Rsyslogd, way: str) -> None:
    async with notifier(target(receiver, way)) as told, trio.open_nursery() as nursery:
        await told.notify(stamp(LinkUp(interface="before"), seq=1))
        await arrived(receiver, 1)
        receiver.stop()
        nursery.start_soon(told.notify, stamp(LinkUp(interface="while-away"), seq=2))
        await trio.testing.wait_all_tasks_blocked(0.05)
        receiver.start()  # not in a thread of trio's: one that a test before made in a namespace may serve again
    await arrived(receiver, 2)  # rsyslogd keeps the order within a connection, not between two
    async with notifier(target(receiver, way)) as told:
        await told.notify(stamp(LinkUp(interface="after"), seq=3))
    words = [message["msg"].rpartition("=")[2] for message in await arrived(receiver, 3)]
    assert words == ["before", "while-away", "after"]


@needs_rsyslogd
@pytest.mark.parametrize("way", ["unix", "tcp"])
async def test_the_first_message_after_a_restart_arrives(receiver: Rsyslogd, way: str) -> None:
    async with notifier(target(receiver, way)) as told:
        await told.notify(stamp(LinkUp(interface="before"), seq=1))
        await arrived(receiver, 1)
        receiver.stop()
        receiver.start()
        await told.notify(stamp(LinkUp(interface="after"), seq=2))
        assert [message["msg"].rpartition("=")[2] for message in await arrived(receiver, 2)] == ["before", "after"]


# --- without rsyslogd


async def test_over_tcp_octets_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with notifier(f"tcp:127.0.0.1:{listener.getsockname()[1]}") as told:
            await told.notify(stamp(LinkUp(interface="é"), seq=1))
        with listener.accept()[0] as link:
            content = link.recv(1 << 16)
    count, _, message = content.partition(b" ")
    assert int(count) == len(message)
    assert message.startswith(b"<29>1 ")


async def test_a_unix_stream_gets_lines(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.listen()
        async with notifier(f"unix:{tmp_path / 'log'}") as told:
            await told.notify(stamp(LinkUp(interface="a"), seq=1))
            await told.notify(stamp(LinkUp(interface="b"), seq=2))
        with listener.accept()[0] as link:
            content = link.recv(1 << 16)
    assert [line.rpartition(b"=")[2] for line in content.splitlines()] == [b"a", b"b"]
    assert content.endswith(b"\n")


async def test_a_receiver_that_stays_away_is_given_up_with_its_name(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(NotifierError, match=rf"unix:{tmp_path}/nobody: No such file or directory"):
        async with notifier(f"unix:{tmp_path}/nobody") as told:
            await told.notify(stamp(LinkUp(interface="a"), seq=1))
    assert syslog_notifier.RETRY_LIMIT_S / 2 < trio.current_time() <= syslog_notifier.RETRY_LIMIT_S


# --- targets


@pytest.mark.parametrize(
    ("text", "style"),
    [("unix:/dev/log", "rfc3164"), ("unix:/run/duravip/log", "rfc5424"), ("udp:loghost", "rfc5424")],
)
def test_the_format_is_by_default_the_one_that_is_read_right_there(text: str, style: str) -> None:
    assert default_format(parse_target(text)) == style


async def test_without_a_format_the_default_one_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_notifier, "OWN_SOCKET", str(tmp_path / "log"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.bind(str(tmp_path / "log"))
        for options in ({}, {"format": "rfc5424"}):
            async with notifier(f"unix:{tmp_path / 'log'}", **options) as told:
                await told.notify(stamp(LinkUp(interface="eth0"), seq=7))
        old, new = own.recv(1 << 16), own.recv(1 << 16)
    assert re.match(rb"<29>\w{3} [ \d]\d [\d:]{8} duravip\[\d+\]: interface\.link_up ", old)
    assert new.startswith(b"<29>1 ")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("unix:/dev/log", Target(way="unix", path="/dev/log")),
        ("udp:loghost", Target(way="udp", host="loghost", port=514)),
        ("udp:192.0.2.1:10514", Target(way="udp", host="192.0.2.1", port=10514)),
        ("tcp:[2001:db8::1]", Target(way="tcp", host="2001:db8::1", port=601)),
        ("tcp:[2001:db8::1]:6514", Target(way="tcp", host="2001:db8::1", port=6514)),
    ],
)
def test_targets_are_understood(text: str, parsed: Target) -> None:
    assert parse_target(text) == parsed
    assert parse_target(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        *("", "unix:", "unix:log", "udp:", "udp::514", "tcp:host:0", "tcp:host:65536", "tcp:host:x"),
        *("tcp:2001:db8::1", "tcp:[::1", "tcp:[::1]x", "tls:host:6514", "host:514", "udp:host:１"),
    ],
)
def test_what_is_no_target_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PluginError, match=r'is no target: write "unix:/dev/log"') as caught:
        notifier(text)
    assert caught.value.exit_code == 2

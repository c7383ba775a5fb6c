from __future__ import annotations

import datetime
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from duravip.bus import Bus
from duravip.cluster.electorate import Candidate, Circumstances
from duravip.cluster.explanation import Grounds
from duravip.cluster.flags import survey
from duravip.cluster.holdings import HoldState
from duravip.errors import ControlError, UsageError
from duravip.events import ConfigRejected, ConfigReloaded, LinkDown, LinkUp, OwnerElected, Stamped
from duravip.model import (
    Address,
    Decision,
    Incarnation,
    Member,
    NodeName,
    Origin,
    Reason,
    Use,
    View,
    ViewId,
    VipEntry,
    make_table,
)
from duravip.runtime import client, control
from duravip.runtime.control import ControlServer
from duravip.runtime.reloading import Reread
from duravip.runtime.status import Status

A, B = Address("192.0.2.9"), Address("192.0.2.10")
N1, N2 = NodeName("node1"), NodeName("node2")


class StillMachine:
    """A node whose state does not change: two members, A owned by node1 and UNSAFE, B unowned."""

    def __init__(self) -> None:
        one, two = Member(N1, Incarnation(7, 1)), Member(N2, Incarnation(8, 2))
        self.view: View | None = View(ViewId(3, N1, one.incarnation), (one, two))
        self.view_mature = True
        self.stable_since = 0.0
        self.number = 12
        smtp = (Use("esmtp:25", Origin("node1.conf", 4, 1)), Use("multivip"))
        binding = (Use("example"),)
        self.tables = {
            N1: make_table(
                [
                    VipEntry(address=A, services=smtp, bindings=binding),
                    VipEntry(address=B, services=(Use("multivip"),), bindings=(Use("other"),)),
                ]
            ),
            N2: make_table([VipEntry(address=A, services=(Use("multivip"),), bindings=binding)]),
        }
        self.landscape = survey(self.tables)

    def owners(self) -> dict[Address, Decision]:
        return {A: Decision(N1, Reason.LEAST_LOADED), B: Decision(None, Reason.NOBODY_ELIGIBLE)}

    def grounds(self) -> Grounds:
        candidates = (Candidate(name=N1), Candidate(name=N2, drained=True))
        given = Circumstances(candidates=candidates, holders={A: (N1,)}, view_mature=True)
        return Grounds(tables=self.tables, given=given, decisions=self.owners())

    def held(self) -> frozenset[Address]:
        return frozenset({A})

    def pins(self) -> dict[Address, NodeName]:
        return {B: N2}

    def holding_state(self, address: Address) -> HoldState | None:
        return HoldState.TAKING if address == A else None

    def describer(self) -> Any:
        return lambda address: f"because of {address}"

    def member_infos(self) -> list[Any]:
        common = {
            "online": True,
            "mature": True,
            "eligible": True,
            "drained": False,
            "penalty": 0.0,
            "addresses": 1,
            "version": "0.1.0",
        }
        return [
            SimpleNamespace(name=N2, incarnation="8.2", **common),
            SimpleNamespace(name=N1, incarnation="7.1", **common),
        ]


class Rig:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.machine = StillMachine()
        self.status = Status(node=N1, machine=self.machine, paths_of=lambda name: ("multicast",), now=0.0)
        self.bus = Bus(node=N1, incarnation="7.1", view=self.status.view_text)
        self.reloads = 0
        self.asked: list[tuple[Any, ...]] = []

    async def reload(self, *, dry_run: bool) -> Reread:
        self.reloads += 1
        self.asked.append(("reload", dry_run))
        return Reread(refusal="" if self.reloads == 1 else "the file has errors", warnings=("beware",))

    async def reload_together(self) -> Reread:
        self.asked.append(("reload together",))
        return Reread(members=(N1, NodeName("node2")))

    def move(self, address: Address, node: NodeName | None) -> str:
        self.asked.append(("move", address, node))
        return "node3 is no member" if node == "node3" else ""

    def announce(self, *, everywhere: bool) -> str:
        self.asked.append(("announce", everywhere))
        return ""

    async def drain(self, name: NodeName | None, *, force: bool) -> str:
        self.asked.append(("drain", name, force))
        return "" if force else "nobody else could own it"

    async def undrain(self, name: NodeName | None) -> str:
        self.asked.append(("undrain", name))
        return ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Rig]:
        with ControlServer(self.path) as server:
            async with trio.open_nursery() as nursery:

                async def serve(task_status: trio.TaskStatus[Any]) -> None:
                    await server.serve(
                        status=self.status,
                        bus=self.bus,
                        info=lambda: {"node": "node1"},
                        operator=self,
                        reloader=self,
                        task_status=task_status,
                    )

                await nursery.start(serve)
                yield self
                nursery.cancel_scope.cancel()

    async def ask(self, **message: Any) -> Any:
        return await trio.to_thread.run_sync(client.request, self.path, message)

    async def say(self, data: bytes) -> list[Any]:
        """What comes back for raw bytes, until the server hangs up."""
        stream = await trio.open_unix_socket(self.path)
        heard = b""
        with suppress(trio.BrokenResourceError):  # the server may have hung up already
            await stream.send_all(data)
            await stream.send_eof()
        with suppress(trio.BrokenResourceError):
            while piece := await stream.receive_some():
                heard += piece
        await stream.aclose()
        return [json.loads(line) for line in heard.splitlines()]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path / "run" / "node1.sock").serving() as serving:
        yield serving


async def test_show_has_the_shape_of_the_contract(rig: Rig) -> None:
    shown = await rig.ask(command="show")
    assert shown["node"] == "node1"
    assert {key: shown["view"][key] for key in ("id", "members", "coordinator", "mature")} == {
        "id": "3@node1#7",
        "members": ["node1", "node2"],
        "coordinator": "node1",
        "mature": True,
    }
    assert shown["view"]["stable_s"] > 0
    first, second = shown["vips"]
    evidence, since = first.pop("evidence"), first.pop("since_s")
    assert since > 0
    assert first == {
        "address": A,
        "owner": "node1",
        "held_here": True,
        "holding": "taking",
        "flags": ["UNSAFE"],
        "reason": "because of 192.0.2.9",
        "virtual_members": ["node1", "node2"],
        "bindings": ["example"],
        "services": {"node1": ["esmtp:25", "multivip"], "node2": ["multivip"]},
        "pinned": False,
    }
    assert [(item["node"], item["file"], item["line"], item["value"]) for item in evidence] == [
        ("node1", "node1.conf", 4, "esmtp:25, multivip"),
        ("node2", "", 0, "multivip"),
    ]
    assert (second["owner"], second["held_here"], second["holding"], second["flags"]) == (None, False, None, [])
    assert second["pinned"], "a pin that cannot be followed now is shown all the same"
    assert shown["config"] == {"stale": False, "error": None}


async def test_a_refused_reload_makes_the_configuration_stale_until_one_succeeds(rig: Rig) -> None:
    rig.status.observe(ConfigRejected(text="a.conf:3:4: error"), now=0.0)
    assert (await rig.ask(command="show"))["config"] == {"stale": True, "error": "a.conf:3:4: error"}
    rig.status.observe(ConfigReloaded(digest="ab"), now=0.0)
    assert (await rig.ask(command="show"))["config"] == {"stale": False, "error": None}


async def test_show_of_one_address_takes_any_spelling_of_it(rig: Rig) -> None:
    assert [vip["address"] for vip in (await rig.ask(command="show", address="192.0.2.10"))["vips"]] == [B]


async def test_show_dates_the_present_owner(rig: Rig) -> None:
    rig.status.observe(OwnerElected(address=A, owner=N1, previous=None, reason=""), now=trio.current_time() - 5)
    vip = (await rig.ask(command="show", address=A))["vips"][0]
    assert 5 <= vip["since_s"] < 60


async def test_show_outside_any_view_is_empty(rig: Rig) -> None:
    rig.machine.view = None
    rig.machine.landscape = survey({})
    shown = await rig.ask(command="show")
    assert (shown["view"]["id"], shown["view"]["members"], shown["view"]["mature"]) == ("", [], False)
    assert shown["vips"] == []


@pytest.mark.parametrize(
    ("message", "error", "code"),
    [
        ({"command": "show", "address": "192.0.2.77"}, "is no DuraVIP", 1),
        ({"command": "show", "address": "example"}, "'example' is no IP address", 2),
        ({"command": "dance"}, "does not understand", 2),
        ({"command": "show", "adress": "192.0.2.9"}, "does not understand", 2),
        ({}, "does not understand", 2),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused_with_a_status(
    rig: Rig, message: dict[str, str], error: str, code: int
) -> None:
    with pytest.raises(client.RefusedError, match=error) as caught:
        await rig.ask(**message)
    assert caught.value.exit_code == code


async def test_members_has_the_shape_of_the_contract(rig: Rig) -> None:
    first, second = await rig.ask(command="members")
    assert second["name"] == "node2"
    version = first.pop("version")
    assert version
    assert first == {
        "name": "node1",
        "incarnation": "7.1",
        "online": True,
        "mature": True,
        "eligible": True,
        "drained": False,
        "penalty": 0.0,
        "addresses": 1,
        "paths": ["multicast"],
    }


async def test_explain_has_the_shape_of_the_contract(rig: Rig) -> None:
    at = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    elected = OwnerElected(address=A, owner=N1, previous=N2, reason="node2 drained; node1 is preferred")
    rig.status.history.observe(Stamped(event=elected, node=N1, incarnation="7", seq=1, time=at, view=""))
    assert await rig.ask(command="explain", address=A) == {
        "address": A,
        "owner": "node1",
        "reason": "node1 is the only eligible member",
        "candidates": [
            {"node": "node1", "eligible": True, "why": "node1 is the only eligible member"},
            {"node": "node2", "eligible": False, "why": "node2 drained"},
        ],
        "if_down": {"node1": None, "node2": "node1"},
        "history": [
            {
                "time": "2026-01-31T12:00:00.000+00:00",
                "from": "node2",
                "to": "node1",
                "cause": "node2 drained; node1 is preferred",
            }
        ],
    }
    with pytest.raises(ControlError, match="is no DuraVIP"):
        await rig.ask(command="explain", address="192.0.2.99")


async def test_ping_says_whether_the_view_is_mature(rig: Rig) -> None:
    assert await rig.ask(command="ping") == {"node": "node1", "ready": True, "mature": True}
    rig.machine.view_mature = False
    assert (await rig.ask(command="ping"))["mature"] is False


async def test_events_are_the_recent_ones_that_match(rig: Rig) -> None:
    rig.bus.publish(LinkDown(interface="eth0"))
    rig.bus.publish(LinkUp(interface="eth0"))
    found = await rig.ask(command="events", filters=["*.link_u?", "conflict.*"])
    assert [event["id"] for event in found] == ["interface.link_up"]


async def test_followed_events_are_the_past_then_the_new_without_gap(rig: Rig) -> None:
    rig.bus.publish(LinkDown(interface="eth0"))
    stream = await trio.open_unix_socket(rig.path)
    await stream.send_all(b'{"command": "events", "follow": true}\n')
    lines = Lines(stream)
    assert await lines.next() == {"ok": True, "result": []}
    assert (await lines.next())["event"]["seq"] == 1
    rig.bus.publish(LinkUp(interface="eth0"))
    assert (await lines.next())["event"]["id"] == "interface.link_up"
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert not rig.bus._subscriptions  # who has gone is not served any more


class Lines:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream, self.unread = stream, b""

    async def next(self) -> Any:
        while b"\n" not in self.unread:
            self.unread += await self.stream.receive_some()
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)


async def test_several_questions_may_share_a_connection(rig: Rig) -> None:
    answers = await rig.say(b'{"command": "ping"}\n{"command": "info"}\n')
    assert [answer["result"]["node"] for answer in answers] == ["node1", "node1"]


@pytest.mark.parametrize("data", [b"\n", b"\xff\xfe\n", b"[" * 30_000 + b"\n", b"{}\n", b"null\n", b'"show"\n'])
async def test_nonsense_is_refused_and_the_daemon_goes_on(rig: Rig, data: bytes) -> None:
    (answer,) = await rig.say(data)
    assert (answer["ok"], answer["code"]) == (False, 2)
    assert (await rig.ask(command="ping"))["ready"]


async def test_a_request_without_end_is_cut_off(rig: Rig) -> None:
    (answer,) = await rig.say(b"x" * (control.MAX_REQUEST_BYTES + 20_000))
    assert answer["error"] == "the request is too long"


async def test_more_clients_than_there_is_room_for_are_turned_away(rig: Rig) -> None:
    idle = [await trio.open_unix_socket(rig.path) for _ in range(control.MAX_CLIENTS)]
    await trio.testing.wait_all_tasks_blocked()
    assert await rig.say(b"") == []
    with pytest.raises(ControlError):
        await rig.ask(command="ping")
    await idle.pop().aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert (await rig.ask(command="ping"))["ready"]
    for stream in idle:
        await stream.aclose()


async def test_a_follower_that_does_not_read_is_cut_off_and_nobody_waits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with Rig(tmp_path / "s").serving() as rig:
        stream = await trio.open_unix_socket(rig.path)
        await stream.send_all(b'{"command": "events", "follow": true}\n')
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(20):
            for _ in range(1_000):
                rig.bus.publish(LinkDown(interface="eth0" * 20))
            await trio.testing.wait_all_tasks_blocked()
        assert len(rig.bus._subscriptions) == 1
        await trio.sleep(control.READ_LIMIT_S + 1)
        assert rig.bus._subscriptions == []
        await stream.aclose()


ACTIONS: list[dict[str, Any]] = [
    {"command": "move", "address": A, "node": "node2"},
    {"command": "announce", "everywhere": True},
    {"command": "drain"},
    {"command": "undrain"},
    {"command": "reload"},
    {"command": "reload", "dry_run": True},
    {"command": "reload", "cluster": True},
]


@pytest.mark.parametrize("action", ACTIONS, ids=str)
async def test_only_root_may_act(rig: Rig, monkeypatch: pytest.MonkeyPatch, action: dict[str, Any]) -> None:
    monkeypatch.setattr(control._Conversation, "_is_root", lambda self: False)
    with pytest.raises(client.RefusedError, match="only root may do that"):
        await rig.ask(**action)
    assert rig.asked == []


async def test_what_root_asks_for_is_passed_on_and_refusals_come_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control._Conversation, "_is_root", lambda self: True)
    assert await rig.ask(command="move", address="192.0.2.9", node="node2") is None
    assert await rig.ask(command="move", address=A, node=None) is None
    with pytest.raises(client.RefusedError, match="node3 is no member"):
        await rig.ask(command="move", address=A, node="node3")
    with pytest.raises(client.RefusedError, match="'there' is no IP address") as caught:
        await rig.ask(command="move", address="there", node="node2")
    assert caught.value.exit_code == 2
    await rig.ask(command="announce", everywhere=False)
    with pytest.raises(client.RefusedError, match="nobody else could own it"):
        await rig.ask(command="drain")
    await rig.ask(command="drain", node="node1", force=True)
    await rig.ask(command="undrain")
    assert (await rig.ask(command="reload", dry_run=True))["warnings"] == ["beware"]
    assert (await rig.ask(command="reload", cluster=True))["members"] == ["node1", "node2"]
    with pytest.raises(client.RefusedError, match="the file has errors"):
        await rig.ask(command="reload")
    assert rig.asked == [
        ("move", A, N2),
        ("move", A, None),
        ("move", A, "node3"),
        ("announce", False),
        ("drain", None, False),
        ("drain", N1, True),
        ("undrain", None),
        ("reload", True),
        ("reload together",),
        ("reload", False),
    ]


async def test_a_bug_in_an_answer_does_not_end_the_daemon(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.machine.describer = lambda: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ControlError):
        await rig.ask(command="show")
    assert "a bug in duravip" in caplog.text
    assert (await rig.ask(command="ping"))["ready"]


def test_the_socket_is_for_root_and_its_group_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "run" / "node1.sock"
    with ControlServer(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert not path.exists()


def test_a_socket_that_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with ControlServer(path):
        assert os.path.exists(path)


def test_a_file_in_the_sockets_place_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mail")
    with pytest.raises(UsageError, match="there is a file of that name"), ControlServer(str(path)):
        pass
    assert path.read_text() == "mail"


def test_a_path_that_no_socket_can_have_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be opened"), ControlServer(str(tmp_path / ("x" * 200))):
        pass


# --- the client
# -----------------------------------------------------------------------------------------------


def test_the_socket_is_named_or_the_environments_or_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DURAVIP_CONTROL", raising=False)
    folder = str(tmp_path)
    with pytest.raises(ControlError, match="no duravip daemon runs here"):
        client.find_socket(folder=folder)
    (tmp_path / "no-socket").write_text("")
    with ControlServer(str(tmp_path / "a.sock")):
        assert client.find_socket(folder=folder) == str(tmp_path / "a.sock")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "dead.sock"))
        assert client.find_socket(folder=folder) == str(tmp_path / "a.sock")
        with ControlServer(str(tmp_path / "b.sock")):
            with pytest.raises(UsageError, match=r"several nodes run here: .*a\.sock, .*b\.sock"):
                client.find_socket(folder=folder)
            monkeypatch.setenv("DURAVIP_CONTROL", "/from/environment")
            assert client.find_socket(folder=folder) == "/from/environment"
            assert client.find_socket("/explicit", folder=folder) == "/explicit"


def test_no_daemon_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="there is no socket"):
        client.request(str(tmp_path / "nothing"), {"command": "ping"})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    with pytest.raises(ControlError, match="it has stopped without removing its socket"):
        client.request(str(tmp_path / "dead"), {"command": "ping"})


def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(ControlError, match="does not answer in time"):
            client.request(str(tmp_path / "silent"), {"command": "ping"}, timeout_s=0.01)


def test_the_client_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import duravip.runtime.client, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"trio", "msgspec", "rich", "pyroute2", "cryptography", "pluggy"} & set(out)

"""One life of a node, from its incarnation to its leaving: the parts of a running daemon, put together.

Rules of this file: it wires and supervises. What is decided is decided in `cluster.node`; what is done is
done by the driver, the plumber and the control server.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol, Self

import msgspec
import trio

from duravip import __version__
from duravip.bus import Bus, Subscription
from duravip.cluster import is_compiled
from duravip.cluster.departure import LEAVE_LIMIT_S
from duravip.cluster.effects import AskGateways, ProbeAddress
from duravip.cluster.inputs import Input, LeaveRequested
from duravip.cluster.messages import Neighbours
from duravip.cluster.node import Node
from duravip.cluster.parameters import Parameters
from duravip.config.node_config import NodeConfig, PluginStanza
from duravip.events import ConfigReloaded, Event, Stamped
from duravip.model import Address, Member, NodeName, Table
from duravip.net.neighbourhood import Neighbourhood
from duravip.plugin.api import Backend, Notifier, Transport
from duravip.runtime.acting import Acting
from duravip.runtime.audience import Audience
from duravip.runtime.claim_watch import Homes, homes_of
from duravip.runtime.control import ControlServer
from duravip.runtime.driver import Driver
from duravip.runtime.event_text import event_text
from duravip.runtime.guard import Guard
from duravip.runtime.notifying import Notifying
from duravip.runtime.plumber import Plumber
from duravip.runtime.ready import keep_watchdog, watchdog_interval_s
from duravip.runtime.rekeying import Rekeying
from duravip.runtime.reloading import Reloading, Reread
from duravip.runtime.status import Status
from duravip.runtime.watching import Watching
from duravip.wire.keyring import id_text
from duravip.wire.link import Link

LEAVE_GRACE_S = 3.0  # on top of the core's own limit: who has not left by then is stopped
LAST_WORDS_S = 1.0  # for notifiers and followers of events, when the addresses are with others already
LOG_QUEUE_EVENTS = 20_000
LOG_DELAY_S = 0.01
LOG_PATIENCE_S = 1.0

log = logging.getLogger("duravip")


class AnnouncerLike(Protocol):
    """What a life needs of `net.announce.Announcer`."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, kind: Any, value: Any, trace: Any, /) -> None: ...
    async def run(self) -> None: ...
    def announce(self, address: Address, interface: str) -> None: ...
    def repeat(self, address: Address, interface: str) -> None: ...
    def defend(self, address: Address, interface: str) -> None: ...
    def withdraw(self, address: Address) -> None: ...


class ClaimWatchLike(Protocol):
    """What a life needs of `runtime.claim_watch.ClaimWatch`."""

    async def run(self, homes: Callable[[], Awaitable[Homes]], feed: Callable[[Input], None], /) -> None: ...
    def ask(self, question: ProbeAddress, /) -> None: ...


class GatewayWatchLike(Protocol):
    """What a life needs of `runtime.gateway_watch.GatewayWatch`."""

    async def run(
        self, homes: Callable[[], Awaitable[Homes]], table: Callable[[], Table], feed: Callable[[Input], None], /
    ) -> None: ...
    def ask(self) -> None: ...


class AlarmLike(Protocol):
    """What a life needs of `runtime.alarm.Alarm`."""

    def arm(self, at: float, /) -> None: ...
    def disarm(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a life stands on: all open, and closed by whoever opened it. `neighbourhood` is there when not everybody
    is told who has an address. `reread` reads the configuration again (in a thread); `fits` raises ConfigurationError
    when this machine could not run it; `keep_drained` writes to the disk whether the node is drained (in a thread).
    `guard`, if there is one, is told by `backend` what is on."""

    link: Link
    transports: Mapping[str, Transport]
    backend: Backend
    guard: Guard | None
    announcer: AnnouncerLike
    claim_watch: ClaimWatchLike
    gateway_watch: GatewayWatchLike
    alarm: AlarmLike
    neighbourhood: Neighbourhood | None = None
    control: ControlServer
    notifiers: Sequence[tuple[PluginStanza, Notifier]]
    reread: Callable[[], NodeConfig]
    fits: Callable[[NodeConfig], Awaitable[None]]
    keep_drained: Callable[[bool], None]


class Life:
    def __init__(self, config: NodeConfig, around: Surroundings, *, drained: bool) -> None:
        now = trio.current_time()
        me = around.link.me
        self._config = config
        self._around = around
        self._began = now
        self._node = Node(
            parameters_of(config, me, drained=drained, renews=around.backend.has_lifetimes), config.table, now=now
        )
        self._plumber = Plumber(backend=around.backend, announcer=around.announcer, answer=self._feed)
        self._reloading = Reloading(
            config,
            reread=around.reread,
            fits=around.fits,
            keys=Rekeying(around.link, around.guard.say_last if around.guard is not None else lambda leave: None),
            feed=self._feed,
            publish=self._publish,
            me=me.name,
            members=self._members,
        )
        self._driver = Driver(
            core=self._node,
            link=around.link,
            transports=around.transports,
            order=self._plumber.order,
            switch=self._reloading.order,
            drain=self._drain,
            ask=self._ask,
            arm=around.alarm.arm,
            publish=self._publish,
            path_timeout_s=config.local.failure_timeout,
            advise=self._advised,
        )
        self._audience = (
            Audience(around.neighbourhood, say=self._driver.say, members=self._view_members)
            if around.neighbourhood is not None
            else None
        )
        self._status = Status(node=me.name, machine=self._node, paths_of=self._paths_of, now=now)
        self._bus = Bus(node=me.name, incarnation=str(me.incarnation), view=self._status.view_text)
        self._watching = Watching(
            backend=around.backend,
            plumber=self._plumber,
            table=lambda: self.table,
            feed=self._feed,
            publish=self._publish,
            plugin=config.local.backend.title,
            check_interval_s=config.local.if_check_interval,
        )
        self._acting = Acting(
            me=me.name,
            machine=self._node,
            feed=self._feed,
            keep_drained=around.keep_drained,
            drained=drained,
        )
        self._homes_of: Table | None = None
        self._homes_now: Homes = {}
        self._notifying = tuple(
            Notifying(stanza, notifier, self._bus, self._publish) for stanza, notifier in around.notifiers
        )

    def __repr__(self) -> str:
        return f"<Life of {self._config.name}: {self._node.view}>"

    @property
    def table(self) -> Table:
        """The one read last."""
        return self._reloading.config.table

    @property
    def lifetime_s(self) -> float:
        """How long a kernel keeps an address that nobody renews; 0: for ever. The longer one, of the table read last
        and of what is in force here."""
        return max(self.table.settings.address_lifetime, self._node.lease.lifetime_s)

    @property
    def left(self) -> bool:
        """Whether everything was handed over and LEAVE is said."""
        return self._driver.left

    async def run(
        self, telling: trio.Nursery, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until the node has left. `started` when everything is open and the control socket answers. `telling` is where
        notifiers run: one may not end when it should."""
        async with trio.open_nursery() as self._nursery:
            with self._bus.subscribe(size=LOG_QUEUE_EVENTS) as to_log:
                self._nursery.start_soon(_log_events, to_log, self._plumber)
                if self._around.guard is not None:
                    self._nursery.start_soon(self._around.guard.keep, self._publish)
                if (interval_s := watchdog_interval_s()) is not None:
                    self._nursery.start_soon(keep_watchdog, interval_s)
                self._nursery.start_soon(self._plumber.run)
                self._nursery.start_soon(self._reloading.run)
                for notifying in self._notifying:
                    telling.start_soon(notifying.run)
                self._nursery.start_soon(self._around.announcer.run)
                if self._audience is not None:
                    self._nursery.start_soon(self._audience.run)
                self._nursery.start_soon(partial(self._driver.run, in_real_time=True))
                self._nursery.start_soon(self._around.claim_watch.run, self._homes, self._feed)
                self._nursery.start_soon(self._around.gateway_watch.run, self._homes, lambda: self.table, self._feed)
                self._nursery.start_soon(self._watching.run)
                await self._nursery.start(self._serve)
                task_status.started()
                await trio.sleep_forever()

    def telling(self) -> list[str]:
        """The notifiers that have not ended."""
        return [f"the notifier {one.name}" for one in self._notifying if not one.is_over]

    async def leave(self) -> None:
        """Hands over and leaves: `run` returns. May be asked once."""
        log.info("leaving: handing over")
        self._driver.feed(LeaveRequested())
        with trio.move_on_after(LEAVE_LIMIT_S + LEAVE_GRACE_S) as patience:
            await self._driver.wait_left()
        if patience.cancelled_caught:
            log.warning("the hand-over did not end in time; leaving without it")
        with trio.move_on_after(LAST_WORDS_S):
            await self._bus.wait_dealt_with()
        self._nursery.cancel_scope.cancel()

    async def reload(self) -> Reread:
        """Reads the configuration again and brings its table into force, or keeps the old one. Nobody waits for the
        answer, so its warnings are in the log."""
        found = await self._reloading.reload()
        for warning in found.warnings:
            log.warning("reload: %s", warning)
        return found

    def info(self) -> dict[str, Any]:
        """The answer to `info`."""
        local = self._config.local
        return {
            "node": self._config.name,
            "version": __version__,
            "core": "compiled" if is_compiled() else "interpreted",
            "incarnation": str(self._around.link.me.incarnation),
            "pid": os.getpid(),
            "uptime_s": round(trio.current_time() - self._began, 3),
            "file": self._config.file,
            "control": self._around.control.path,
            "state_dir": local.state_dir,
            "cluster_group": local.cluster_group,
            "sealed": bool(self._around.link.keyring.keys),
            "seal": self._seal(),
            "transports": {path: one.source_address() for path, one in self._around.transports.items()},
            "backend": local.backend.plugin,
            "guard_pid": self._around.guard.pid if self._around.guard is not None else None,
            "heartbeat_interval_s": local.heartbeat_interval,
            "failure_timeout_s": local.failure_timeout,
            "settings": msgspec.to_builtins(self.table.settings),
            "table": {"digest": self.table.digest(), "vips": len(self.table.vips)},
            "config": {**self._status.config(), "in_force": self._status.is_in_force(self.table)},
            "lifetime": {
                "configured_s": self._node.lease.configured_s,
                "in_force_s": self._node.lease.lifetime_s,
                "pass_s": round(self._node.lease.pass_s, 6),
            },
            "lists_of_members": [list(roll.members) for roll in self._node.charter.rolls],
            "orders_waiting": self._plumber.waiting,
            "announced_to": self._audience.as_json() if self._audience is not None else "everybody",
            "duplicates": {
                address: [one.text for one in evidence] for address, evidence in self._node.duplicates().items()
            },
            "events": self._bus.published,
            "counters": asdict(self._driver.counters),
            "dropped": {reason.name.lower(): n for reason, n in self._around.link.counters.items() if n},
        }

    def _seal(self) -> dict[str, Any]:
        """Whose datagrams are sealed with what: before a key is removed, nobody should be heard with it."""
        link = self._around.link
        heard = {name: id_text(number) if number else None for name, number in sorted(link.heard_with().items())}
        return {**link.keyring.as_json(), "wire_version": link.version, "heard": heard}

    async def _homes(self) -> Homes:
        """Where each address of the table read last belongs on this machine, as far as is known."""
        table = self.table
        if table is self._homes_of:
            return self._homes_now
        unplaced = any(vip.interface is None for vip in table.vips)
        try:
            plumbed = await self._around.backend.list() if unplaced else ()
        except Exception:  # a plugin's
            return self._homes_now  # it is asked again in a moment
        self._homes_now = await trio.to_thread.run_sync(homes_of, table, plumbed)
        self._homes_of = table
        return self._homes_now

    async def _serve(self, task_status: trio.TaskStatus[Any]) -> None:
        await self._around.control.serve(
            status=self._status,
            bus=self._bus,
            info=self.info,
            operator=self._acting,
            reloader=self._reloading,
            task_status=task_status,
        )

    def _feed(self, given: Input) -> None:
        self._driver.feed(given)

    def _ask(self, question: ProbeAddress | AskGateways) -> None:
        match question:
            case ProbeAddress():
                self._around.claim_watch.ask(question)
            case AskGateways():
                self._around.gateway_watch.ask()

    def _publish(self, event: Event) -> None:
        self._status.observe(event, now=trio.current_time())
        self._status.history.observe(self._bus.publish(event))
        if isinstance(event, ConfigReloaded):
            self._watching.look_again()

    def _drain(self, drained: bool) -> None:
        """Another node's operator wants it."""
        self._nursery.start_soon(self._acting.obey, drained)

    def _members(self) -> tuple[NodeName, ...]:
        view = self._node.view
        return view.names() if view is not None else ()

    def _view_members(self) -> tuple[Member, ...]:
        view = self._node.view
        return view.members if view is not None else ()

    def _advised(self, sender: Member, advice: Neighbours) -> None:
        if self._audience is not None:
            self._audience.hear(sender, advice)

    def _paths_of(self, name: NodeName) -> tuple[str, ...]:
        if name == self._config.name:
            return self._driver.paths
        return self._driver.paths_of(name, within_s=self._config.local.failure_timeout)


def parameters_of(config: NodeConfig, me: Member, *, drained: bool, renews: bool) -> Parameters:
    local = config.local
    return Parameters(
        name=me.name,
        incarnation=me.incarnation,
        heartbeat_interval_s=local.heartbeat_interval,
        failure_timeout_s=local.failure_timeout,
        weight=local.weight,
        on_isolation=local.on_isolation,
        on_duplicate=local.on_duplicate,
        probe_before_taking=local.probe_before_taking,
        if_down_limit_s=local.if_down_limit,
        if_flap_limit=local.if_flap_limit,
        drained=drained,
        renews=renews,
    )


async def _log_events(events: Subscription, plumber: Plumber) -> None:
    """A moment after they happened, and after what the kernel has to do: a hand-over does not wait for its log."""
    try:
        while True:
            stamped: Stamped | None = await events.receive()
            with trio.CancelScope(shield=True):
                await trio.sleep(LOG_DELAY_S)
                with trio.move_on_after(LOG_PATIENCE_S):
                    await plumber.wait_idle()
            while stamped is not None:
                _log(stamped, lost=events.take_lost())
                await trio.lowlevel.checkpoint()
                stamped = events.receive_nowait()
    finally:
        while (stamped := events.receive_nowait()) is not None:
            _log(stamped, lost=events.take_lost())


def _log(stamped: Stamped, *, lost: int) -> None:
    if lost:
        log.warning("%d events are missing here: they came too fast", lost)
    log.info("%s", event_text(stamped.to_json_object()))

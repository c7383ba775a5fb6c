"""The daemon: from a checked configuration to the moment when everything is off again.

Order of a start: keys; the state directory's lock; the control socket; the backend; what this machine must
look like; the transports' sockets; the announcer. Up to here no address has been touched and every refusal is
one sentence, so only here does the log have what the configuration is warned of. Then the clean slate, acknowledged by
the kernel; a new incarnation, on the disk; and only then the first datagram (protocol rules 6 and 10).

However it ends (asked, cancelled, failed), our addresses are taken off last; only notifiers may still be at work then,
and not for long (`ending`). Whatever ends it without asking (a signal,
the kernel for want of memory), the guard takes them off: it is up before the first datagram. It is dismissed only
when this node has said LEAVE itself.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial

import trio

from duravip.config.diagnostics import Severity
from duravip.config.node_config import LocalSettings, NodeConfig
from duravip.errors import BackendError, ConfigurationError, DuravipError, leaves
from duravip.model import Address, Claim, Member, Table
from duravip.net.announce import Announcer, everybody
from duravip.net.neighbourhood import Neighbourhood
from duravip.plugin.api import Backend, Farewell, FarewellTransport, Transport, TransportContext, UndoingBackend
from duravip.plugin.manager import PluginSet
from duravip.runtime import machine
from duravip.runtime.alarm import Alarm
from duravip.runtime.claim_watch import ClaimWatch
from duravip.runtime.control import ControlServer
from duravip.runtime.foreign import transport_failure
from duravip.runtime.garbage import tidy
from duravip.runtime.gateway_watch import GatewayWatch
from duravip.runtime.guard import Guard
from duravip.runtime.guarded import GuardedBackend
from duravip.runtime.life import AlarmLike, AnnouncerLike, ClaimWatchLike, GatewayWatchLike, Life, Surroundings
from duravip.runtime.opening import blaming, open_backend, open_notifier, open_transport
from duravip.runtime.priority import come_first
from duravip.runtime.ready import notify
from duravip.runtime.rekeying import keyring_of, warn
from duravip.runtime.reloading import diagnostic_text
from duravip.runtime.state_dir import StateDir
from duravip.runtime.virtual_macs import VirtualMacs
from duravip.wire.link import Link

SWEEP_LIMIT_S = 5.0
SWITCH_INTERVAL_S = 0.0005  # how long a thread that talks to the kernel may wait for a busy event loop; usually 5 ms

log = logging.getLogger("duravip")


def _real_announcer(
    local: LocalSettings,
    neighbourhood: Neighbourhood | None,
    below: Callable[[str], str],
    lifetime_s: Callable[[], float],
) -> AnnouncerLike:
    def known(address: Address, interface: str) -> Sequence[bytes] | None:
        assert neighbourhood is not None
        return neighbourhood.audience(address, below(interface))

    audience = known if neighbourhood is not None else everybody
    return Announcer(
        refresh_s=local.announce_refresh,
        packets_per_s=local.announce_rate,
        audience=audience,
        lifetime_s=lifetime_s,
    )


def _real_claim_watch(is_shared: Callable[[Claim], bool]) -> ClaimWatchLike:
    return ClaimWatch(is_shared=is_shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the daemon asks of the machine beside its plugins; another one for tests and demonstrations. `announcer`
    also gets a function that names the interface on whose segment another one is, and one that tells how long a kernel
    keeps an address that nobody renews; `claim_watch` one that knows the hardware addresses that VIPs share between
    nodes. `end_anyway` is called when everything is off: with the exit
    status, and a function that names what still keeps this from ending."""

    announcer: Callable[
        [LocalSettings, Neighbourhood | None, Callable[[str], str], Callable[[], float]], AnnouncerLike
    ] = _real_announcer
    claim_watch: Callable[[Callable[[Claim], bool]], ClaimWatchLike] = _real_claim_watch
    gateway_watch: Callable[[], GatewayWatchLike] = GatewayWatch
    alarm: Callable[[], AlarmLike] = Alarm
    has_interface: Callable[[str], bool] = machine.has_interface
    end_anyway: Callable[[int, Callable[[], Sequence[str]]], None] = lambda status, hanging: None


class Daemon:
    """`config` has no errors. `reread` reads it again, as at the start; it is called in a thread."""

    def __init__(
        self,
        config: NodeConfig,
        plugins: PluginSet,
        *,
        reread: Callable[[], NodeConfig],
        host: Host = Host(),
    ) -> None:
        self._config = config
        self._plugins = plugins
        self._reread = reread
        self._host = host
        self._life: Life | None = None

    def __repr__(self) -> str:
        return f"<Daemon {self._config.name}: {self._life or 'not started'}>"

    async def run(self, *, task_status: trio.TaskStatus[Life] = trio.TASK_STATUS_IGNORED) -> None:
        """Until it has left. Started, with its life, when ready. Raises DuravipError, perhaps in a group,
        when it cannot start or go on."""
        async with trio.open_nursery() as telling:
            await self._run(telling, task_status)
            telling.cancel_scope.cancel()

    async def _run(self, telling: trio.Nursery, task_status: trio.TaskStatus[Life]) -> None:
        config, local = self._config, self._config.local
        keyring = await trio.to_thread.run_sync(keyring_of, local)
        notifiers = [(stanza, open_notifier(self._plugins, stanza)) for stanza in local.notifiers]
        opening_backend = open_backend(self._plugins, local.backend)
        kernel = partial(blaming, self._plugins.provider(local.backend.plugin), f"the backend {local.backend.title}")
        async with AsyncExitStack() as stack:
            state = await trio.to_thread.run_sync(stack.enter_context, StateDir(local.state_dir))
            control = stack.enter_context(ControlServer(local.control))
            backend = await stack.enter_async_context(opening_backend)
            macs: VirtualMacs | None = None
            if local.macs:
                backend = macs = await stack.enter_async_context(virtual_macs(backend, local))
            transports: dict[str, Transport] = {}

            async def fits(candidate: NodeConfig) -> None:
                machine.refuse_immortal(candidate, backend)
                with kernel("cannot list this machine's addresses"):
                    plumbed = await backend.list()
                    machine.refuse_impossible(candidate, plumbed, has_interface=self._host.has_interface)
                machine.refuse_own_addresses(candidate, self._sources(transports))

            await fits(config)
            for stanza in local.transports:
                context = TransportContext(
                    node=config.name,
                    options=stanza.options,
                    node_address=local.nodeaddr,
                    vips=frozenset(vip.address for vip in config.table.vips),
                )
                path = f"{stanza.plugin}:{stanza.name}" if stanza.name else stanza.plugin
                transports[path] = await stack.enter_async_context(open_transport(self._plugins, stanza, context))
            machine.refuse_own_addresses(config, self._sources(transports))
            neighbourhood = None if local.arp_all_hosts else Neighbourhood()
            announcer = await stack.enter_async_context(
                self._host.announcer(
                    local, neighbourhood, macs.below if macs is not None else lambda name: name, self._lifetime_s
                )
            )
            for found in config.diagnostics:
                log.log(
                    logging.INFO if found.severity is Severity.INFO else logging.WARNING, "%s", diagnostic_text(found)
                )
            with kernel("cannot clear this machine"):
                for address in await machine.clean(backend, config.table):
                    log.info("took off %s, which an earlier run had left", address)
            for name in await macs.clean() if macs is not None else ():
                log.info("removed the interface %s, which an earlier run had left", name)
            incarnation = await trio.to_thread.run_sync(state.next_incarnation)  # waits for the disk
            link = Link(
                me=Member(config.name, incarnation),
                cluster_group=local.cluster_group,
                keys=keyring.keys,
                plain=keyring.plain,
                mtu_bytes=min(transport.mtu_bytes for transport in transports.values()),
            )
            guard: Guard | None = None
            guarded = backend
            if isinstance(backend, UndoingBackend):
                guard = Guard(leave=link.last_words(), farewells=lambda: _farewells(transports), lock=state.guard_lock)
                guarded = GuardedBackend(backend, await stack.enter_async_context(guard))
            alarm = self._host.alarm()
            stack.callback(alarm.disarm)
            around = Surroundings(
                link=link,
                transports=transports,
                backend=guarded,
                guard=guard,
                announcer=announcer,
                neighbourhood=neighbourhood,
                claim_watch=self._host.claim_watch(macs.is_shared if macs is not None else lambda claim: False),
                gateway_watch=self._host.gateway_watch(),
                alarm=alarm,
                control=control,
                notifiers=notifiers,
                reread=self._reread,
                fits=fits,
                keep_drained=state.set_drained,
            )
            self._life = Life(config, around, drained=state.drained)
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(self._life.run, telling)
                    self._say_ready(around)
                    task_status.started(self._life)
            finally:
                swept = await _sweep(backend, self._life.table, kernel("cannot clear this machine"))
                ended = sys.exception()
                failed = ended is not None and any(isinstance(leaf, Exception) for leaf in leaves(ended))
                self._host.end_anyway(1 if failed or not swept else 0, self._life.telling)
                if not swept and not failed:  # nor is the guard dismissed: it may be luckier
                    raise BackendError("ended, and addresses of this node may still be on its interfaces: see the log")
            if guard is not None and self._life.left:
                guard.dismiss()
            log.info("left")

    def _lifetime_s(self) -> float:
        return self._life.lifetime_s if self._life is not None else 0.0

    def _sources(self, transports: Mapping[str, Transport]) -> dict[str, str]:
        """The addresses of this node's own that it talks from, as long as it lives -> what they are."""
        sources = {one.source_address(): f"the transport {path} sends from it" for path, one in transports.items()}
        nodeaddr = self._config.local.nodeaddr
        return {**sources, nodeaddr: "it is the nodeaddr"} if nodeaddr is not None else sources

    def _say_ready(self, around: Surroundings) -> None:
        me = around.link.me
        paths = ", ".join(f"{name} from {one.source_address()}" for name, one in around.transports.items())
        warn(around.link.keyring)
        log.info(
            "ready node=%s incarnation=%s vips=%d control=%s over %s",
            me.name,
            me.incarnation,
            len(self._config.table.vips),
            around.control.path,
            paths,
        )
        notify("READY=1")


async def run_daemon(daemon: Daemon) -> None:
    """A daemon that obeys signals: SIGTERM and SIGINT hand over and leave, a second one takes everything off
    at once; SIGHUP reads the configuration again."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    come_first()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            life: Life | None = None

            async def obey() -> None:
                leaving = False
                async for number in signals:
                    if number == signal.SIGHUP:
                        if life is not None and not leaving:
                            nursery.start_soon(life.reload)
                    elif life is None or leaving:
                        log.info("%s: taking everything off at once", signal.Signals(number).name)
                        nursery.cancel_scope.cancel()
                    else:
                        leaving = True
                        nursery.start_soon(life.leave)

            async def live() -> None:
                nonlocal life
                async with trio.open_nursery() as inner:
                    life = await inner.start(daemon.run)
                    nursery.start_soon(tidy)
                nursery.cancel_scope.cancel()

            nursery.start_soon(obey)
            nursery.start_soon(live)


def _farewells(transports: Mapping[str, Transport]) -> list[Farewell]:
    found = []
    for path, transport in transports.items():
        if isinstance(transport, FarewellTransport):
            try:
                found.append(transport.farewell())
            except Exception as error:
                raise transport_failure(path, "telling how to say farewell", error) from error
    return found


def virtual_macs(backend: Backend, local: LocalSettings) -> VirtualMacs:
    """Raises ConfigurationError for a backend whose addresses cannot be where these are."""
    if not isinstance(backend, UndoingBackend):
        raise ConfigurationError(
            f"the backend {local.backend.plugin} cannot put addresses on interfaces that come and go: write "
            f"mac = real in every Topology, or use the backend netlink"
        )
    return VirtualMacs(backend, cluster_group=local.cluster_group, macs=local.macs)


async def _sweep(backend: Backend, table: Table, blame: AbstractContextManager[None]) -> bool:
    """The last thing of every life: nothing of ours stays on. Tried for some seconds, whatever else ends. Whether that
    is known to be so."""
    with trio.move_on_after(SWEEP_LIMIT_S, shield=True) as patience:
        try:
            with blame:
                for address in await machine.clean(backend, table):
                    log.info("took off %s", address)
        except DuravipError as error:
            log.error("%s", error)  # noqa: TRY400 (its one sentence says it all)
            return False
    if patience.cancelled_caught:
        log.error("the kernel does not answer: addresses of this node may still be on its interfaces")
    return not patience.cancelled_caught

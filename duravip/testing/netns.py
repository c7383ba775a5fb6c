"""A small network on one machine, for tests, measurements and `duravip demo`: hosts in network namespaces on
a bridge.

    client ── eth0      node1 ── eth0      node2 ── eth0
                 │              │                  │          each `eth0` is one end of a veth pair; the other
                 end, [client]       [node1]            [node2]       named after its host, is a port of the
                 bridge `br0` └──────── br0, in a namespace of its own     in the namespace `...-wire`

Hosts may have a second link, `eth1`, to a second bridge (`Lan.second_link`).

Needs root and iproute2 (`ip`, `bridge`), nothing else. Nothing outside the new namespaces is touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from duravip.errors import DuravipError
from duravip.model import Address

_CLONE_NEWNET = 0x40000000
_FORWARDING, _DISABLED = 3, 0  # states of a bridge port (linux/if_bridge.h)
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8913, 0x8914, 1, 0x40
_IFA_F_TENTATIVE, _SCOPE_LINK = 0x40, 0x20  # as /proc/net/if_inet6 has them
_FLAGS = struct.Struct("16sH22x")  # struct ifreq: name, flags
_NAMESPACES = Path("/run/netns")
_USABLE_LIMIT_S = 20.0
_lans = itertools.count(1)


class LanError(DuravipError):
    """The little network cannot be built or changed here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`interface` is always `eth0`. `address` and `address6` are its own there, with `prefix` and `prefix6`
    bits."""

    name: str
    namespace: str
    hardware_address: str
    address: Address
    address6: Address
    prefix: int = 24
    prefix6: int = 64
    interface: str = "eth0"


def why_not() -> str:
    """Why no Lan can be built here, in words; "" when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for command in ("ip", "bridge"):
        if shutil.which(command) is None:
            return f"network namespaces need the command `{command}` (package iproute2)"
    probe = f"dvprobe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if made.returncode:
        return f"this system makes no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)  # noqa: S603, S607
    return ""


class Lan:
    """A context manager. `names`: the hosts, each at most 12 characters; the first has address .1 of
    `network`, and so on. `prefix` starts the namespaces' names (`PREFIX-PID-NUMBER-HOST`). Raises LanError.

    Leaving kills every process in the namespaces and removes them; so does entering, for what a killed
    earlier process with the same prefix left behind. `own`: every address that is a host's own.
    """

    def __init__(
        self,
        names: Sequence[str] = ("node1", "node2", "node3", "client"),
        *,
        prefix: str = "dvlan",
        network: str = "10.77.0.0/24",
        network6: str = "fd77::/64",
    ) -> None:
        stem = f"{prefix}-{os.getpid()}-{next(_lans)}"
        v4, v6 = IPv4Network(network), IPv6Network(network6)
        self._prefix = prefix
        self._wire = f"{stem}-wire"
        self.hosts = {
            name: Host(
                name=name,
                namespace=f"{stem}-{name}",
                hardware_address=f"02:77:00:00:00:{number:02x}",
                address=Address(str(v4[number])),
                address6=Address(str(v6[number])),
                prefix=v4.prefixlen,
                prefix6=v6.prefixlen,
            )
            for number, name in enumerate(names, start=1)
        }
        self.own = {each for host in self.hosts.values() for each in (host.address, host.address6)}
        self._ports = {name: [name] for name in self.hosts}

    def __repr__(self) -> str:
        return f"<Lan {' '.join(self.hosts)}>"

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def __enter__(self) -> Self:
        if refusal := why_not():
            raise LanError(refusal)
        _remove_leftovers(self._prefix)
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def second_link(self, *names: str, network: str = "10.78.0.0/24", network6: str = "fd78::/64") -> None:
        """Gives these hosts another interface, `eth1`, all of them on a bridge of its own. Own addresses are
        numbered as on `eth0`. Faults of a host are faults of both its links, but partitions divide `eth0` only."""
        v4, v6 = IPv4Network(network), IPv6Network(network6)
        _ip(self._wire, _bridge("br-eth1"))
        for number, (name, host) in enumerate(self.hosts.items(), start=1):
            if name not in names:
                continue
            port, addresses = f"{number}-eth1", (Address(str(v4[number])), Address(str(v6[number])))
            _ip(
                self._wire,
                [
                    f"link add name {port} type veth peer name eth1 address 02:78:00:00:00:{number:02x}"
                    f" netns {host.namespace}",
                    f"link set dev {port} master br-eth1 up",
                ],
            )
            self.own.update(addresses)
            self._ports[name].append(port)
            _ip(
                host.namespace,
                [
                    "link set dev eth1 up",
                    f"addr add {addresses[0]}/{v4.prefixlen} dev eth1",
                    f"addr add {addresses[1]}/{v6.prefixlen} dev eth1 nodad",
                ],
            )
        self._wait_usable(names)

    # --- processes ---

    def command(self, host: str, *argv: str) -> list[str]:
        """What to start to have `argv` run on that host. The process keeps its id: `ip` becomes `argv`."""
        return ["ip", "netns", "exec", self.hosts[host].namespace, *argv]

    def run(self, host: str, *argv: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Runs to its end. A failure of the command is in `returncode`; raises subprocess.TimeoutExpired."""
        return subprocess.run(  # noqa: S603
            self.command(host, *argv), capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def popen(
        self,
        host: str,
        *argv: str,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        stdin: int | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Starts it. Its `pid` is that of `argv` itself, so signals go where they should."""
        return subprocess.Popen(  # noqa: S603
            self.command(host, *argv), stdout=stdout, stderr=stderr, stdin=stdin, env=env
        )

    @contextlib.contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """This thread is on that host while the block runs: sockets made in it stay there. So do threads, and trio
        keeps its own for whoever wants one next: what must be elsewhere is not started from those."""
        with entered(self.hosts[host].namespace):
            yield

    # --- faults ---

    def kill_all(self, host: str) -> None:
        """SIGKILL for every process on the host. All are stopped first, so that none sees another die."""
        self.signal_all(host, signal.SIGSTOP)
        self.signal_all(host, signal.SIGKILL)

    def signal_all(self, host: str, number: int) -> None:
        """For every process on the host, one after the other."""
        shown = _run("ip", "netns", "pids", self.hosts[host].namespace)
        for pid in shown.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def silence(self, *names: str) -> None:
        """From now on every frame to and from these hosts vanishes; their carrier stays."""
        self._set_state(names, _DISABLED)

    def unsilence(self, *names: str) -> None:
        self._set_state(names, _FORWARDING)

    def link_down(self, *names: str) -> None:
        """Pulls the cable: the host's interface loses its carrier."""
        _ip(self._wire, [f"link set dev {port} down" for port in self._ports_of(names)])

    def link_up(self, *names: str) -> None:
        _ip(self._wire, [f"link set dev {port} up" for port in self._ports_of(names)])

    def unplug(self, name: str) -> None:
        """Pulls the cable of the host's `eth0` alone; without starting a command, so that it can be timed."""
        with entered(self._wire):
            _switch(name, up=False)

    def plug(self, name: str) -> None:
        with entered(self._wire):
            _switch(name, up=True)

    def remove_interface(self, name: str) -> None:
        """The host has no `eth0` any more."""
        _ip(self._wire, [f"link del dev {name}"])

    def restore_interface(self, name: str) -> None:
        """The host has an `eth0` again, another one that looks the same."""
        self._add_interface(name)
        self._wait_usable((name,))

    def partition(self, *groups: Sequence[str]) -> None:
        """Hosts of different groups no longer hear each other; all carriers stay. Hosts that are in no group
        stay together, on a wire of their own. Each call replaces the one before."""
        lines = []
        for number, group in enumerate(groups, start=1):
            if not self._has_bridge(f"br{number}"):
                lines += _bridge(f"br{number}")
            lines += [f"link set dev {name} master br{number}" for name in group]
        named = {name for group in groups for name in group}
        lines += [f"link set dev {name} master br0" for name in self.hosts if name not in named]
        _ip(self._wire, lines)

    def heal(self) -> None:
        """Undoes silence, pulled cables and partitions."""
        names = tuple(self.hosts)
        self.link_up(*names)
        _ip(self._wire, [f"link set dev {name} master br0" for name in names])
        self.unsilence(*names)

    # --- questions ---

    def holders(self, address: str) -> tuple[str, ...]:
        """The hosts that have the address on an interface now, in order. One look after the other, some 5 ms
        each."""
        return tuple(name for name in self.hosts if address in self.addresses(name))

    def addresses(self, host: str) -> tuple[Address, ...]:
        """Every address on the host's `eth0`, its own included, in the kernel's order."""
        shown = _ip(self.hosts[host].namespace, ["addr show dev eth0"])
        return tuple(Address(found) for found in re.findall(r"^\s+inet6? ([0-9a-f.:]+)", shown, re.MULTILINE))

    def neighbour(self, host: str, address: str, *, interface: str = "eth0") -> str:
        """The hardware address that the host remembers for `address`; "" for none."""
        shown = _ip(self.hosts[host].namespace, [f"neigh show to {address} dev {interface}"])
        found = re.search(r"lladdr ([0-9a-f:]{17})", shown)
        return found.group(1) if found else ""

    # --- building ---

    def _build(self) -> None:
        for namespace in (self._wire, *(host.namespace for host in self.hosts.values())):
            _run("ip", "netns", "add", namespace)
        _ip(self._wire, _bridge("br0"))
        for name, host in self.hosts.items():
            with entered(host.namespace):
                _calm()
            _ip(host.namespace, ["link set dev lo up"])
            self._add_interface(name)
        self._wait_usable(tuple(self.hosts))

    def _wait_usable(self, names: Sequence[str]) -> None:
        for name in names:
            with entered(self.hosts[name].namespace):
                wait_usable(*(port.rpartition("-")[2] if port != name else "eth0" for port in self._ports[name]))
        _wait_until(lambda: self._forwarding() >= set(self._ports_of(names)), "the bridge's ports forward")

    def _forwarding(self) -> set[str]:
        shown = _run("bridge", "-n", self._wire, "link", "show")
        return set(re.findall(r"^\d+: ([^@:]+)[@:].* state forwarding", shown, re.MULTILINE))

    def _add_interface(self, name: str) -> None:
        host = self.hosts[name]
        _ip(
            self._wire,
            [
                f"link add name {name} type veth peer name eth0 address {host.hardware_address} netns {host.namespace}",
                f"link set dev {name} master br0 up",
            ],
        )
        _ip(
            host.namespace,
            [
                "link set dev eth0 up",
                f"addr add {host.address}/{host.prefix} dev eth0",
                f"addr add {host.address6}/{host.prefix6} dev eth0 nodad",
            ],
        )

    def _has_bridge(self, name: str) -> bool:
        with entered(self._wire):
            return Path("/proc/sys/net/ipv4/conf", name).exists()

    def _ports_of(self, names: Sequence[str]) -> list[str]:
        return [port for name in names for port in self._ports[name]]

    def _set_state(self, names: Sequence[str], state: int) -> None:
        # `ip link ... type bridge_slave state` does nothing, and says that all went well.
        lines = [f"link set dev {port} state {state}" for port in self._ports_of(names)]
        _run("bridge", "-n", self._wire, "-batch", "-", text="\n".join(lines) + "\n")

    def _remove(self) -> None:
        for namespace in (*(host.namespace for host in self.hosts.values()), self._wire):
            _remove_namespace(namespace)


@contextlib.contextmanager
def entered(namespace: str) -> Iterator[None]:
    """This thread is in the namespace (a name of `ip netns`) while the block runs. Other threads are not."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    inside = os.open(_NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(inside)
        try:
            yield
        finally:
            _setns(before)
    finally:
        os.close(before)
        os.close(inside)


def wait_usable(*interfaces: str) -> None:
    """Until these interfaces of this thread's namespace carry frames and may speak from their link-local addresses: the
    kernel sees to that in threads of its own, on a busy machine a good while after it was asked. Raises LanError."""
    _wait_until(lambda: all(map(_is_usable, interfaces)), f"{', '.join(interfaces)} can be used")


def _wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _USABLE_LIMIT_S
    while not true():
        if time.monotonic() >= deadline:
            raise LanError(f"waited {_USABLE_LIMIT_S:g} s in vain until {what}")
        time.sleep(0.005)


def _is_usable(interface: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        _, flags = _FLAGS.unpack(fcntl.ioctl(asking, _SIOCGIFFLAGS, _FLAGS.pack(interface.encode(), 0)))
    if not flags & _IFF_RUNNING:
        return False
    off = Path("/proc/sys/net/ipv6/conf", interface, "disable_ipv6")
    if not off.exists() or off.read_text().strip() != "0":
        return True
    rows = [line.split() for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines()]
    states = [int(row[4], 16) for row in rows if row[5] == interface and int(row[3], 16) == _SCOPE_LINK]
    return bool(states) and not any(state & _IFA_F_TENTATIVE for state in states)


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise LanError(f"cannot enter a network namespace: {os.strerror(number)}")


def _switch(interface: str, *, up: bool) -> None:
    """An interface of this namespace (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        name, flags = _FLAGS.unpack(fcntl.ioctl(asking, _SIOCGIFFLAGS, _FLAGS.pack(interface.encode(), 0)))
        flags = flags | _IFF_UP if up else flags & ~_IFF_UP
        fcntl.ioctl(asking, _SIOCSIFFLAGS, _FLAGS.pack(name, flags))


def _calm() -> None:
    """In the new namespace, before it has links: no waiting for duplicate addresses, no limit on echo
    replies."""
    settings = {
        "ipv6/conf/default/accept_dad": "0",
        "ipv6/conf/default/dad_transmits": "0",
        "ipv6/conf/default/router_solicitations": "0",
        "ipv4/icmp_ratelimit": "0",
        "ipv6/icmp/ratelimit": "0",
    }
    for name, value in settings.items():
        with contextlib.suppress(OSError):  # IPv6 may be switched off
            Path("/proc/sys/net", name).write_text(value)


def _bridge(name: str) -> list[str]:
    return [f"link add name {name} type bridge forward_delay 0 mcast_snooping 0", f"link set dev {name} up"]


def _ip(namespace: str, lines: Sequence[str]) -> str:
    """Several `ip` commands at once; the first that fails raises LanError and leaves the rest undone."""
    return _run("ip", "-n", namespace, "-batch", "-", text="\n".join(lines) + "\n")


def _run(*argv: str, text: str = "") -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise LanError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}" + (f" (of: {text!r})" if text else ""))
    return done.stdout


def _remove_leftovers(prefix: str) -> None:
    """Namespaces of Lans with this prefix whose process is no more."""
    named = re.compile(re.escape(prefix) + r"-(\d+)-\d+-[^-]+")
    for entry in sorted(_NAMESPACES.iterdir()) if _NAMESPACES.exists() else ():
        found = named.fullmatch(entry.name)
        if found and not Path("/proc", found.group(1)).exists():
            _remove_namespace(entry.name)


def _remove_namespace(namespace: str) -> None:
    if not (_NAMESPACES / namespace).exists():
        return
    inside = subprocess.run(  # noqa: S603
        ["ip", "netns", "pids", namespace],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    for pid in inside.stdout.split():
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)  # noqa: S603, S607

"""`duravip check --against-host`: the DV6xx diagnostics about the machine that this runs on. It only looks.

The backend is asked which addresses are on which interface; the rest is read below /proc, /sys, /run and /etc.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from duravip.config.diagnostics import Diagnostic, Findings, shown
from duravip.config.node_config import NodeConfig
from duravip.model import Origin, VipEntry

if TYPE_CHECKING:
    from duravip.plugin.api import Plumbed
    from duravip.plugin.manager import PluginSet

_NEEDED = {"cap_net_admin": 12, "cap_net_raw": 13}  # linux/capability.h
_MULTIVIP = "multivip"
_ANSWERS_NOTHING = 8  # arp_ignore: no reply for any local address (Documentation/networking/ip-sysctl)
_MANAGERS = {
    "NetworkManager": ("run/NetworkManager", ("etc/NetworkManager/conf.d",), "*duravip*"),
    "systemd-networkd": ("run/systemd/netif/state", ("etc/systemd/network", "run/systemd/network"), "*.d/*duravip*"),
}
"""Who runs: what exists below / when it does, where our drop-in would be, and its name."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found on it. `plumbed` None: the backend would not say, because of `unasked`. `root`: where its files
    are."""

    root: Path = Path("/")
    plumbed: Sequence[Plumbed] | None = field(default=())
    unasked: str = ""

    def read(self, path: str) -> str:
        """ "" when there is no such file."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return ""

    def sysctl(self, interface: str, name: str) -> int:
        """The greater of the interface's and that of all, as the kernel takes most of them."""
        values = (self.read(f"proc/sys/net/ipv4/conf/{one}/{name}") for one in ("all", interface))
        return max(int(value or 0) for value in values)

    def with_gateway(self) -> set[str]:
        """The interfaces that a default route goes by through a gateway."""
        found = set()
        for line in self.read("proc/net/route").splitlines()[1:]:
            interface, destination, gateway, *_, mask = line.split()[:8]
            if int(destination, 16) == int(mask, 16) == 0 != int(gateway, 16):
                found.add(interface)
        for line in self.read("proc/net/ipv6_route").splitlines():
            destination, prefix, _, _, gateway, *_, interface = line.split()
            if int(destination, 16) == int(prefix, 16) == 0 != int(gateway, 16):
                found.add(interface)
        return found

    def has(self, path: str) -> bool:
        return (self.root / path).exists()


def look(config: NodeConfig, plugins: PluginSet) -> Machine:
    import trio

    from duravip.errors import DuravipError, leaves

    async def plumbed() -> Sequence[Plumbed]:
        async with plugins.backend(config.local.backend.plugin).open(config.local.backend.options) as backend:
            return await backend.list()

    try:
        return Machine(plumbed=trio.run(plumbed))
    except (DuravipError, BaseExceptionGroup) as error:
        for leaf in leaves(error):
            if not isinstance(leaf, DuravipError):
                raise
        return Machine(plumbed=None, unasked="; ".join(str(leaf) for leaf in leaves(error)))


def compare_with(machine: Machine, config: NodeConfig) -> tuple[Diagnostic, ...]:
    findings = Findings()
    by_interface: dict[str, list[VipEntry]] = {}
    for vip in config.table.vips:
        if vip.interface:
            by_interface.setdefault(vip.interface, []).append(vip)
    _capabilities(machine, config, findings)
    asks = config.local.on_isolation == "hold-if-gateway"
    with_gateway = machine.with_gateway() if asks else set(by_interface)
    for interface, vips in by_interface.items():
        if not machine.has(f"sys/class/net/{interface}"):
            _missing(machine, interface, f"where {vips[0].address} goes", vips[0].origin, findings)
            continue
        if machine.read(f"sys/class/net/{interface}/operstate") == "down":
            findings.warning(
                "DV602",
                f"{interface} is down: this node could own none of the {len(vips)} VIPs that go there",
                vips[0].origin,
                f"ip link set {shown(interface)[1:-1]} up, and look whether a cable is in it",
            )
        if interface not in with_gateway:
            findings.warning(
                "DV609",
                f"{interface} has no default gateway: a node that is alone would own none of the {len(vips)} VIPs that "
                "go there",
                vips[0].origin,
                "on_isolation = hold-if-gateway asks the gateway of a default route: add one, or write hold or release",
            )
        _sysctls(machine, interface, vips, findings)
    for stanza in config.local.transports:
        sending = stanza.options.get("interface")
        if isinstance(sending, str) and sending and not machine.has(f"sys/class/net/{sending}"):
            _missing(machine, sending, f"where {stanza.title} sends", stanza.origin, findings)
    _addresses(machine, config, findings)
    _listeners(machine, config.table.vips, findings)
    _managers(machine, config, findings)
    return findings.as_found()


def _missing(machine: Machine, interface: str, why: str, origin: Origin, findings: Findings) -> None:
    folder = machine.root / "sys/class/net"
    there = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.exists() else "none"
    findings.error(
        "DV601", f"this machine has no interface {shown(interface)}, {why}", origin, f"its interfaces are: {there}"
    )


def _capabilities(machine: Machine, config: NodeConfig, findings: Findings) -> None:
    """The bounding set: what is not in it nobody on this machine, or in this container, can have."""
    lines = [line for line in machine.read("proc/self/status").splitlines() if line.startswith("CapBnd:")]
    bounding = int(lines[0].split()[1], 16) if lines else -1
    lacking = [name for name, bit in _NEEDED.items() if not bounding >> bit & 1]
    if lacking:
        findings.error(
            "DV604",
            f"no process here can have {' or '.join(lacking)}, which the daemon needs",
            Origin(config.file),
            "give the container these capabilities: docker run --cap-add NET_ADMIN --cap-add NET_RAW",
        )


def _addresses(machine: Machine, config: NodeConfig, findings: Findings) -> None:
    if machine.plumbed is None:
        findings.info(
            "DV607", f"the addresses of this machine were not compared: {machine.unasked}", Origin(config.file)
        )
        return
    strange = {row.address: row for row in machine.plumbed if not row.ours}
    for vip in config.table.vips:
        if row := strange.get(vip.address):
            findings.error(
                "DV603",
                f"{vip.address} is a VIP, and an address of this machine's own on {row.interface}",
                vip.origin,
                f"take it off, and out of the system's own configuration: ip address del {vip.address}/{row.prefix} "
                f"dev {row.interface}",
            )


def _sysctls(machine: Machine, interface: str, vips: Sequence[VipEntry], findings: Findings) -> None:
    fourth = [vip for vip in vips if ":" not in vip.address]
    if not fourth:
        return
    origin = fourth[0].origin
    short = [vip for vip in fourth if vip.prefix < 32]
    if short and not machine.sysctl(interface, "promote_secondaries"):
        findings.warning(
            "DV605",
            f"promote_secondaries is 0 on {interface}: the kernel would take {short[0].address}'s siblings off with it",
            short[0].origin,
            f"sysctl net.ipv4.conf.{interface}.promote_secondaries=1 (some backends set it themselves), or leave "
            "cidrmask out",
        )
    ignore = machine.sysctl(interface, "arp_ignore")
    if ignore == _ANSWERS_NOTHING:
        findings.warning(
            "DV605",
            f"arp_ignore is 8 on {interface}: nobody who asks for {fourth[0].address} would get an answer",
            origin,
            f"sysctl net.ipv4.conf.{interface}.arp_ignore=1",
        )
    for row in machine.plumbed or ():
        if ignore == 0 and row.interface != interface and _is_beside(row, fourth[0]):
            findings.warning(
                "DV605",
                f"arp_ignore is 0, and {row.interface} is in the network of {fourth[0].address} too: it would answer "
                f"for {interface}",
                origin,
                "sysctl net.ipv4.conf.all.arp_ignore=1",
            )
            break


def _is_beside(row: Plumbed, vip: VipEntry) -> bool:
    if ":" in row.address or row.ours or row.prefix >= 32:
        return False
    return ipaddress.ip_address(vip.address) in ipaddress.ip_network(f"{row.address}/{row.prefix}", strict=False)


def _listeners(machine: Machine, vips: Sequence[VipEntry], findings: Findings) -> None:
    """A server that binds to a VIP's address fails on every node but the owner, unless the kernel lets it."""
    for family, setting in (("", "ipv4/ip_nonlocal_bind"), (":", "ipv6/ip_nonlocal_bind")):
        concerned = [
            vip for vip in vips if (":" in vip.address) == bool(family) and set(vip.service_names()) - {_MULTIVIP}
        ]
        if concerned and machine.read(f"proc/sys/net/{setting}") == "0":
            findings.info(
                "DV606",
                f"ip_nonlocal_bind is 0: {concerned[0].service_names()[0]} can be bound to {concerned[0].address} only "
                "while this node owns it",
                concerned[0].origin,
                f"sysctl net.{setting.replace('/', '.')}=1, or let the server listen on every address",
            )


def _managers(machine: Machine, config: NodeConfig, findings: Findings) -> None:
    for name, (running, folders, drop_in) in _MANAGERS.items():
        if machine.has(running) and not any(any((machine.root / folder).glob(drop_in)) for folder in folders):
            findings.warning(
                "DV608",
                f"{name} runs here and has no drop-in for duravip: it may take VIPs off that it did not put on",
                Origin(config.file),
                "contrib/ has one; docs/how-to/watching.md says where it goes",
            )

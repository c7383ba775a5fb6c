"""`duravip drain`: a node gives its addresses away and takes none."""

from __future__ import annotations

import click

from duravip.cli.output import control_option
from duravip.cli.waiting import bar, refuse_lone_timeout, wait_options, wait_until
from duravip.runtime.client import find_socket, request


@click.command(
    "drain",
    epilog="""\b
Examples:
  duravip drain --wait && systemctl stop postfix
  duravip drain node2 --wait
  duravip drain node1 --force
""",
)
@click.argument("node", required=False)
@click.option("--force", is_flag=True, help="Even if addresses are nobody's then: no other node may own them now.")
@wait_options
@control_option
def command(node: str | None, force: bool, wait: bool, timeout_s: float | None, control: str | None) -> None:
    """Have a node hand over its addresses and own none until `duravip undrain`, restarts included. For root only.

    NODE is any node of the view; without it, the one whose daemon is asked. It stays a member of the cluster. Exit
    status 1, with the reason, when it is no member, or no other node may own an address of its.

    --wait returns when the node has written it to its disk, the whole view knows it, and the kernel has taken off its
    last address.
    """
    refuse_lone_timeout(wait, timeout_s)
    path = find_socket(control)
    name = node or request(path, {"command": "ping"})["node"]
    total = 0
    if wait:
        total = next((one["addresses"] for one in request(path, {"command": "members"}) if one["name"] == name), 0)
    request(path, {"command": "drain", "node": node, "force": force})
    if not wait:
        return

    def look() -> tuple[bool, str]:
        rows = [one for one in request(path, {"command": "members"}) if one["name"] == name]
        if not rows or not rows[0]["online"]:
            return False, f"{name} is not in the view"
        left = rows[0]["addresses"]
        drained = "drained" if rows[0]["drained"] else "not drained yet"
        return rows[0]["drained"] and not left, f"{bar(total - left, total)}{name}: {drained}, has {left} addresses"

    wait_until(look, timeout_s=timeout_s)

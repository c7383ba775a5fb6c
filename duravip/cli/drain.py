"""`duravip drain`: a node gives its addresses away and takes none."""

from __future__ import annotations

import click

from duravip.cli.output import control_option
from duravip.cli.waiting import refuse_lone_timeout, wait_options, wait_until
from duravip.runtime.client import find_socket, request


@click.command(
    "drain",
    epilog="""\b
Examples:
  duravip drain --wait && systemctl stop postfix
  duravip drain node1 --force
""",
)
@click.argument("node", required=False)
@click.option("--force", is_flag=True, help="Even if addresses are nobody's then: no other node may own them now.")
@wait_options
@control_option
def command(node: str | None, force: bool, wait: bool, timeout_s: float | None, control: str | None) -> None:
    """Have this node hand over its addresses and own none until `duravip undrain`, restarts included. For root only.

    It stays a member of the cluster. NODE, if given, must be the name of the daemon that is asked. Exit status 1, with
    the reason, when another node is named or no other node may own an address of this one's.

    --wait returns when no address is on this node's interfaces any more.
    """
    refuse_lone_timeout(wait, timeout_s)
    path = find_socket(control)
    request(path, {"command": "drain", "node": node, "force": force})
    if not wait:
        return

    def look() -> tuple[bool, str]:
        shown = request(path, {"command": "show"})
        here = sum(vip["held_here"] for vip in shown["vips"])
        return here == 0, f"{shown['node']}: {here} of {len(shown['vips'])} addresses here"

    wait_until(look, timeout_s=timeout_s)

"""`duravip announce`: tell the network again who has which address."""

from __future__ import annotations

import click

from duravip.cli.output import control_option
from duravip.runtime.client import find_socket, request


@click.command(
    "announce",
    epilog="""\b
Examples:
  duravip announce arp
  duravip announce view
""",
)
@click.argument("what", type=click.Choice(["arp", "view"]), metavar="arp|view")
@control_option
def command(what: str, control: str | None) -> None:
    """Announce virtual addresses again, by gratuitous ARP and unsolicited neighbour advertisements. For root only.

    `arp`: those of the node that is asked. `view`: every owner in its view announces its own. For clients, switches
    or routers that still know another owner. Owners announce by themselves whenever they get an address.
    """
    request(find_socket(control), {"command": "announce", "everywhere": what == "view"})

"""`duravip demo`: three nodes, real elections and a failure, on this machine."""

from __future__ import annotations

import datetime
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from duravip.cli.output import format_option
from duravip.errors import UsageError

if TYPE_CHECKING:
    from duravip.cli.demo_story import Narrator


@click.command(
    "demo",
    epilog="""\b
Examples:
  sudo duravip demo
  duravip demo --in-memory
  sudo duravip demo --keep
  duravip demo --format json | jq -r '.node + " " + .id'
""",
)
@format_option
@click.option("--keep", is_flag=True, help="Leave it running to play with, until Ctrl-C.")
@click.option("--in-memory", is_flag=True, help="On the simulator's network, even as root.")
def command(style: str, keep: bool, in_memory: bool) -> None:
    """Show three nodes elect owners, lose one of them, and recover. Takes some 15 s and needs no configuration.

    As root: real daemons and kernel addresses in network namespaces of their own (nothing else on this machine is
    touched), and a client that measures its outage. Else: the same decisions on the simulator's network, in one
    process. JSON is the events of all nodes, one object a line.
    """
    from duravip.cli.demo_story import Narrator

    narrator = Narrator(as_json=style == "json", monotonic=time.monotonic)
    refusal = "--in-memory was given" if in_memory else _in_namespaces(narrator, keep=keep)
    if not refusal:
        return
    if keep:
        raise UsageError(f"--keep needs network namespaces: {refusal}")
    click.echo(f"In memory, on the simulator's network ({refusal}); no address of this machine is touched.", err=True)
    _in_memory(narrator)


def _in_namespaces(narrator: Narrator, *, keep: bool) -> str:
    """ "" when it was performed, else why it cannot be."""
    from duravip.cli.demo_in_namespaces import CLIENT, InNamespaces, orderly_end
    from duravip.cli.demo_story import NODES
    from duravip.testing.netns import Lan, LanError, why_not

    if refusal := why_not():
        return refusal
    with ExitStack() as stack:
        stack.enter_context(orderly_end())
        try:
            lan = stack.enter_context(Lan((*NODES, CLIENT), prefix="dvdemo"))
        except LanError as error:
            return str(error)
        InNamespaces(lan, narrator, keep=keep).perform()
    return ""


def _in_memory(narrator: Narrator) -> None:
    from duravip.cli.demo_in_memory import InMemory

    InMemory(
        narrator,
        monotonic=time.monotonic,
        sleep=time.sleep,
        utc_now=lambda: datetime.datetime.now(datetime.UTC),
    ).perform()

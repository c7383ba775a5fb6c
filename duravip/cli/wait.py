"""`duravip wait`: until a node is ready, for scripts."""

from __future__ import annotations

import time

import click

from duravip.cli.output import control_option
from duravip.errors import ControlError
from duravip.runtime.client import find_socket, request

_ASK_EVERY_S = 0.05


@click.command(
    "wait",
    epilog="""\b
Examples:
  duravip wait --timeout 10
  duravip wait --mature && duravip show
""",
)
@click.option("--mature", is_flag=True, help="Wait until the node's view is mature, too.")
@click.option("--timeout", "timeout_s", metavar="S", type=click.FloatRange(min=0), help="Seconds; default: no limit.")
@control_option
def command(mature: bool, timeout_s: float | None, control: str | None) -> None:
    """Wait until the node's daemon is ready. Exit status 1 when it was not in time."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            answer = request(find_socket(control), {"command": "ping"}, timeout_s=2.0)
        except ControlError as error:
            missing = str(error)
        else:
            if answer["mature"] or not mature:
                return
            missing = f"the view of {answer['node']} is not mature"
        if deadline is not None and time.monotonic() >= deadline:
            raise ControlError(f"waited {timeout_s:g} s in vain: {missing}")
        time.sleep(_ASK_EVERY_S)

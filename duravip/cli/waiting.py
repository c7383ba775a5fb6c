"""How commands that act wait until what they asked for is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from duravip.errors import ControlError

F = TypeVar("F", bound=Callable[..., Any])

LIMIT_S = 30.0
_LOOK_EVERY_S = 0.05


def wait_options(command: F) -> F:
    """`--wait` (`wait`) and `--timeout` (`timeout_s`, None: not given)."""
    command = click.option("--wait", is_flag=True, help="Return when it is done, and print the progress.")(command)
    return click.option(
        "--timeout",
        "timeout_s",
        metavar="S",
        type=click.FloatRange(min=0),
        help=f"With --wait: seconds; default: {LIMIT_S:g}. Not done by then: exit status 1.",
    )(command)


def refuse_lone_timeout(wait: bool, timeout_s: float | None) -> None:
    if timeout_s is not None and not wait:
        raise click.UsageError("--timeout goes with --wait")


def wait_until(look: Callable[[], tuple[bool, str]], *, timeout_s: float | None) -> None:
    """`look` says whether it is done, and how things stand, which is printed when it changes. Raises ControlError when
    it was in vain."""
    limit_s = LIMIT_S if timeout_s is None else timeout_s
    deadline = time.monotonic() + limit_s
    said = ""
    while True:
        done, state = look()
        if state != said:
            click.echo(state)
            said = state
        if done:
            return
        if time.monotonic() >= deadline:
            raise ControlError(f"waited {limit_s:g} s in vain: {state}")
        time.sleep(_LOOK_EVERY_S)

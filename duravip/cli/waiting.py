"""How commands that act wait until what they asked for is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from duravip.cli.output import fancy
from duravip.errors import ControlError

F = TypeVar("F", bound=Callable[..., Any])

LIMIT_S = 30.0
BAR_LETTERS = 30
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


def bar(done: int, total: int) -> str:
    """`####....  40 of 80  ` on a terminal; "" elsewhere, and when there is nothing to do."""
    if not fancy() or total <= 0:
        return ""
    filled = BAR_LETTERS * max(0, done) // total
    return f"{'#' * filled}{'.' * (BAR_LETTERS - filled)}  {max(0, done)} of {total}  "


def wait_until(look: Callable[[], tuple[bool, str]], *, timeout_s: float | None) -> None:
    """`look` says whether it is done, and how things stand, which is printed when it changes, on a
    terminal on one line. Raises ControlError when
    it was in vain."""
    limit_s = LIMIT_S if timeout_s is None else timeout_s
    deadline = time.monotonic() + limit_s
    said = ""
    while True:
        done, state = look()
        if state != said:
            click.echo(f"\r\x1b[K{state}" if fancy() else state, nl=done or not fancy())
            said = state
        if done:
            return
        if time.monotonic() >= deadline:
            if fancy():
                click.echo()
            raise ControlError(f"waited {limit_s:g} s in vain: {state}")
        time.sleep(_LOOK_EVERY_S)

"""How commands that talk to a daemon print: aligned plain text into pipes, colours on a terminal, JSON on
request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

Row = Sequence[str]

_MANY = 1_000  # rows: to lay out and colour one takes a third of a millisecond
_COLOURS = {"BROKEN": "red", "CONFLICT": "yellow", "UNSAFE": "yellow", "SAFE": "green", "nobody": "red"}


def control_option(command: F) -> F:
    return click.option(
        "--control",
        metavar="PATH",
        type=click.Path(),
        help="The node's control socket; default: $DURAVIP_CONTROL, else the only one in /run/duravip.",
    )(command)


def format_option(command: F) -> F:
    return click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)(
        command
    )


def ip_address(text: str) -> str:
    """An argument's type: what is no address is wrong usage, whether a daemon runs or not."""
    from duravip.model import canonical_address

    try:
        return canonical_address(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no IP address" if text else "it is empty; name an IP address") from None


def fancy() -> bool:
    """Is stdout a terminal that wants more than plain text?"""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def print_table(columns: Row, rows: Sequence[Row]) -> None:
    """The last column may be long: it is not padded, and wraps on a terminal. What nobody looks through is plain."""
    looks = fancy() and len(rows) <= _MANY
    click.echo(_rich_table(columns, rows) if looks else plain_table(columns, rows), nl=False)


def plain_table(columns: Row, rows: Sequence[Row]) -> str:
    """One line a row, columns two spaces apart, nothing after the last; ends with a newline."""
    lines = (columns, *rows)
    cells = (f"{{:<{max(len(line[at]) for line in lines)}}}  " for at in range(len(columns) - 1))
    write = f"{''.join(cells)}{{}}".format
    return "".join([write(*line).rstrip() + "\n" for line in lines])


def _rich_table(columns: Row, rows: Sequence[Row]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for column in table.columns[:1]:
        column.no_wrap = True
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell.split(",")[0], "")) for cell in row))
    console = Console()
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def yes(value: object) -> str:
    return "yes" if value else "no"


def seconds(value: float) -> str:
    """A duration for people: 4.2 s, 3 min 5 s, 2 h 10 min, 5 d 1 h."""
    if value < 10:
        return f"{value:.1f} s"
    whole = int(value)
    for size, unit, smaller, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {small}"
    return f"{whole} s"


def print_fields(fields: Mapping[str, object]) -> None:
    """`name: value` lines, values aligned; mappings as `key=value` lists."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key}={_plain(item)}" for key, item in value.items()) or "-"
        click.echo(f"{name.ljust(width)}  {_plain(value)}")


def _plain(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return yes(value)
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return str(value)

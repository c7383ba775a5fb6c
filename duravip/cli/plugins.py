"""`duravip plugins`: what is installed, and whether it works."""

from __future__ import annotations

from dataclasses import asdict

import click

from duravip.cli.output import format_option, print_json, print_table, yes
from duravip.cli.with_plugins import plugin_option, plugins_for

_COLUMNS = ("NAME", "KIND", "DISTRIBUTION", "VERSION", "LOADED", "FILE OR ERROR")


@click.command(
    "plugins",
    epilog="""\b
Examples:
  duravip plugins
  duravip plugins --plugin my_module
  duravip plugins --format json | jq '.[] | select(.loaded | not)'
""",
)
@format_option
@plugin_option
def command(style: str, named: tuple[str, ...]) -> None:
    """Show every installed plugin, and whether it could be loaded, or why not."""
    records = plugins_for([], named).records()
    if style == "json":
        print_json([asdict(record) for record in records])
        return
    print_table(
        _COLUMNS,
        [
            (
                record.name,
                record.kind or "-",
                record.distribution,
                record.version,
                yes(record.loaded),
                record.error or record.file or "-",
            )
            for record in records
        ],
    )

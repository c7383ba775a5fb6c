"""`duravip schema`: the configuration's JSON Schema, for editors."""

from __future__ import annotations

import json

import click

from duravip.cli.with_plugins import plugin_option, plugins_for

_EPILOG = """\b
Examples:
  duravip schema > /etc/duravip/schema.json
  duravip schema | jq '.properties.cluster.properties | keys'
"""


@click.command("schema", epilog=_EPILOG)
@plugin_option
def command(named: tuple[str, ...]) -> None:
    """Print the JSON Schema (draft-07) of the TOML form, with the stanzas of all installed plugins.

    An editor that knows it completes options, explains them, and marks what is wrong while you type. Put
    `#:schema /etc/duravip/schema.json` into the first line of a file.
    """
    from duravip.config.json_schema import json_schema

    click.echo(json.dumps(json_schema(plugins_for([], named).plugin_options()), indent=2))

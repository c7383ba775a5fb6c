"""The command `duravip`: finds a sub-command's module only when it is asked for, so that `--version` is instant."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from duravip import __version__
from duravip.errors import DuravipError

# Command -> (module in duravip.cli that defines `command`, one line for --help).
COMMANDS: dict[str, tuple[str, str]] = {
    "announce": ("announce", "Tell the network again who has which address."),
    "check": ("check", "Validate configurations; report CONFLICT, UNSAFE and BROKEN before they are deployed."),
    "convert": ("convert", "Translate a configuration; `check` gives the same table for both."),
    "demo": ("demo", "Three nodes, real elections and a failure on this machine."),
    "drain": ("drain", "Have a node give its addresses away and take none."),
    "events": ("events", "What happens in the cluster, as it happens."),
    "explain": ("explain", "Why an address has its owner, who else could, and what was before."),
    "info": ("info", "This node's daemon: version, counters, settings in force."),
    "keygen": ("keygen", "Make a cluster key, or change one in steps."),
    "members": ("members", "The nodes that this node hears or shares a view with."),
    "move": ("move", "Move an address to a node, and pin it there."),
    "plan": ("plan", "Who would own what, and why, for these configurations."),
    "plugins": ("plugins", "Every installed plugin, and whether it could be loaded."),
    "rehearse": ("rehearse", "Run these configurations through random faults, in a simulated world."),
    "release": ("release", "Take every DuraVIP off this machine, when no daemon runs."),
    "reload": ("reload", "Read the configuration again, and say what changes."),
    "run": ("run", "The daemon, in the foreground."),
    "schema": ("schema", "The JSON Schema of the TOML form, for editors."),
    "show": ("show", "The virtual addresses: owner, flags, members."),
    "undrain": ("undrain", "Let a drained node own addresses again."),
    "wait": ("wait", "Wait until a node is ready, or its view mature."),
}


class LazyGroup(click.Group):
    """A group whose commands are modules, imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"duravip.cli.{COMMANDS[cmd_name][0]}")
        found: click.Command = module.command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items())])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="duravip")
def group() -> None:
    """Keeps IP addresses alive: a cluster elects one owner for each, and moves it when the owner dies."""


def main(arguments: list[str] | None = None) -> Any:
    """Runs the command line; exits 0 fine, 1 the answer is no, 2 wrong usage or configuration."""
    try:
        group.main(args=arguments, prog_name="duravip", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except DuravipError as wrong:
        click.echo(f"duravip: {wrong}", err=True)
        sys.exit(wrong.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)

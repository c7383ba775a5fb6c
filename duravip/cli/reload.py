"""`duravip reload`: the configuration, read again while the node runs."""

from __future__ import annotations

from typing import Any

import click

from duravip.cli.output import control_option, format_option, print_json
from duravip.cli.waiting import refuse_lone_timeout, wait_options, wait_until
from duravip.runtime.client import find_socket, request

_READ_LIMIT_S = 60.0


@click.command(
    "reload",
    epilog="""\b
Examples:
  duravip reload --dry-run
  duravip reload --wait
  duravip reload --cluster
  duravip reload --dry-run --format json | jq -r '.removed[]'
""",
)
@click.option("--cluster", is_flag=True, help="Have all nodes read theirs, and switch at once, or none.")
@click.option("--dry-run", is_flag=True, help="Read and check it aside, print what would change, change nothing.")
@wait_options
@format_option
@control_option
def command(cluster: bool, dry_run: bool, wait: bool, timeout_s: float | None, style: str, control: str | None) -> None:
    """Have the node's daemon read its configuration again, and print what that changes. For root only.

    A configuration with errors, or one that this machine could not run, is refused with exit status 1: the old one
    stays in force, and `show` and `info` call it stale until a reload succeeds. What is not of the VIPs, of the
    whole cluster's settings or of the keys is read at the next start only.

    --wait returns when the view goes by the new table for this node.

    --cluster is for changes that must not be half done, such as another name for a Binding: edit the file on every
    node first. All nodes of the view read theirs aside; when every one can be used, all go over at the same moment;
    when one cannot, all keep the old, and the reason names the node. It returns when that is settled, after 32 s at
    most. A node that is not in the view reads its file when it starts.
    """
    refuse_lone_timeout(wait, timeout_s)
    if dry_run and (wait or cluster):
        raise click.UsageError("--dry-run is about this node and changes nothing: it goes without --wait and --cluster")
    path = find_socket(control)
    found = request(path, {"command": "reload", "dry_run": dry_run, "cluster": cluster}, timeout_s=_READ_LIMIT_S)
    for warning in found["warnings"]:
        click.echo(warning, err=True)
    if style == "json":
        print_json(found)
    else:
        _print(found)
    if wait:
        wait_until(lambda: _in_force(path), timeout_s=timeout_s)


def _in_force(path: str) -> tuple[bool, str]:
    info = request(path, {"command": "info"})
    name = f"table {info['table']['digest'][:8]}"
    return (True, f"{name} is in force") if info["config"]["in_force"] else (False, f"{name} is not in force yet")


def _print(found: dict[str, Any]) -> None:
    lines = [f"+ {address}" for address in found["added"]]
    lines += [f"- {address}" for address in found["removed"]]
    lines += [f"~ {address} ({', '.join(names)})" for address, names in found["changed"].items()]
    if found["settings"]:
        lines.append(f"settings of the cluster: {', '.join(found['settings'])}")
    if found["at_next_start"]:
        lines.append(f"at the next start only: {', '.join(found['at_next_start'])}")
    if seal := found.get("seal"):
        lines.append(f"keys: {seal['mode']}, seals with {seal['seals_with']}, opens {', '.join(seal['opens'])}")
    lines = lines or ["no difference"]
    if found["members"]:
        lines.append(f"in force on {', '.join(found['members'])}")
    click.echo("\n".join(lines))

"""`duravip show`: the virtual addresses as the node sees them now."""

from __future__ import annotations

import time
from typing import Any

import click

from duravip.cli.output import control_option, fancy, format_option, ip_address, print_json, print_table, seconds, yes
from duravip.runtime.client import find_socket, request

_COLUMNS = ("ADDRESS", "OWNER", "HERE", "FLAGS", "SINCE", "MEMBERS", "SERVICES", "WHY")
_REDRAW_S = 1.0


@click.command(
    "show",
    epilog="""\b
Examples:
  duravip show
  duravip show 192.168.0.51
  duravip show --watch
  duravip show --format json | jq '.vips[] | select(.flags != [])'
""",
)
@click.argument("address", required=False, type=ip_address)
@click.option("--watch", is_flag=True, help="Redraw every second, until interrupted.")
@format_option
@control_option
def command(address: str | None, watch: bool, style: str, control: str | None) -> None:
    """Show every virtual address, or ADDRESS alone: who owns it and why, and what is wrong with it."""
    path = find_socket(control)
    question = {"command": "show", **({"address": address} if address else {})}
    while True:
        shown = request(path, question)
        if watch and fancy():
            click.clear()
        if style == "json":
            print_json(shown)
        elif address:
            _print_staleness(shown)
            _print_one(shown["vips"][0])
        else:
            _print_all(shown)
        if not watch:
            return
        time.sleep(_REDRAW_S)
        if not fancy():
            click.echo()


def _print_all(shown: dict[str, Any]) -> None:
    view = shown["view"]
    if view["id"]:
        state = "mature" if view["mature"] else "not mature yet"
        click.echo(
            f"{shown['node']}: view {view['id']} of {', '.join(view['members'])}; "
            f"{state}, stable for {seconds(view['stable_s'])}"
        )
    else:
        click.echo(f"{shown['node']}: in no view yet")
    _print_staleness(shown)
    print_table(
        _COLUMNS,
        [
            (
                vip["address"],
                vip["owner"] or "nobody",
                yes(vip["held_here"]),
                ",".join(vip["flags"]) or "SAFE",
                seconds(vip["since_s"]),
                ",".join(vip["virtual_members"]),
                _services(vip["services"]),
                vip["reason"],
            )
            for vip in shown["vips"]
        ],
    )


def _print_staleness(shown: dict[str, Any]) -> None:
    if shown["config"]["stale"]:
        click.echo(f"{shown['node']}: STALE: the last reload was refused: {shown['config']['error']}")


def _services(by_node: dict[str, list[str]]) -> str:
    """One list where all nodes agree, else one for each."""
    lists = [",".join(services) or "-" for services in by_node.values()]
    if len(set(lists)) == 1:
        return lists[0]
    return " ".join(f"{node}:{services}" for node, services in zip(by_node, lists, strict=True))


def _print_one(vip: dict[str, Any]) -> None:
    names = "/".join((vip["address"], *vip["bindings"]))
    flags = ",".join(vip["flags"]) or "SAFE"
    owned = f"owned by {vip['owner']}" if vip["owner"] else "owned by nobody"
    click.echo(f"{names}: {owned}, {flags}, since {seconds(vip['since_s'])}")
    click.echo(f"    {vip['reason']}")
    if vip["pinned"]:
        click.echo(f"    pinned; `duravip move {vip['address']} auto` ends that")
    for node in vip["virtual_members"]:
        star = "*" if node == vip["owner"] else " "
        click.echo(f"  {star} {node} {' '.join(vip['services'].get(node, ()))}".rstrip())
    for item in vip["evidence"]:
        place = f" ({item['file']}:{item['line']})" if item["line"] else ""
        click.echo(f"  {item['flag']}: {item['text']}{place}")

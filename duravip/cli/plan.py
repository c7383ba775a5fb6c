"""`duravip plan`: who would own what, and why, before anything is deployed or switched off."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from duravip.cli.common import listed, read_checked, without_collector
from duravip.cli.output import print_json, print_table
from duravip.errors import UsageError
from duravip.model import Address, NodeName, address_order, canonical_address

if TYPE_CHECKING:
    from duravip.cluster.election import Circumstances
    from duravip.cluster.flags import Landscape
    from duravip.config.node_config import NodeConfig
    from duravip.model import Decision

_EPILOG = """\b
Examples:
  duravip plan node1.conf node2.conf
  duravip plan node1.conf node2.conf node3.conf --down node2
  duravip plan a=site.conf b=site.conf --current /run/duravip/a.sock --format json
"""


@click.command("plan", epilog=_EPILOG)
@click.argument("files", metavar="[NAME=]FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--down", metavar="NODE", multiple=True, help="Suppose that NODE is off. May be repeated.")
@click.option(
    "--current",
    metavar="SOCKET_OR_JSON",
    help="Start from the present owners: a control socket, or a file as `show --format json` prints it.",
)
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@without_collector()
def command(files: tuple[str, ...], down: tuple[str, ...], current: str | None, style: str) -> None:
    """Show who would own each virtual address, and why, once the cluster of these configurations has settled.

    FILE is one node's configuration; NAME=FILE names the node. Moves are counted from the owners that
    --current gives, else, with --down, from the plan in which all nodes are up.
    """
    checked = read_checked(files, "plan")
    result = plan(
        checked.nodes,
        down=[NodeName(name) for name in down],
        current=_read_owners(current) if current else None,
        landscape=checked.landscape,
    )
    if style == "json":
        print_json(result)
    else:
        _print(result)


def plan(
    nodes: Sequence[NodeConfig],
    *,
    down: Sequence[NodeName] = (),
    current: Mapping[Address, NodeName] | None = None,
    landscape: Landscape | None = None,
) -> dict[str, Any]:
    """The object of contract.md section 2. `current`: present owners, also of VIPs and by nodes not
    configured here. `landscape`: the survey of all their tables, if it is at hand.

    Raises UsageError for a node in `down` that is not configured.
    """
    from duravip.cluster.election import wording
    from duravip.cluster.electorate import Electorate

    known = {node.name for node in nodes}
    for name in down:
        if name not in known:
            raise UsageError(f"--down {name}: there is no such node, only {', '.join(sorted(known))}")
    before = current
    if before is None:
        before = _owners(_settled(nodes, {}, landscape)[2]) if down else {}
    up = [node for node in nodes if node.name not in down]
    landscape, given, decisions = _settled(up, before, None if down else landscape)
    reason = wording(Electorate(landscape, given))
    owners = _owners(decisions)
    every = sorted({vip.address for node in nodes for vip in node.table.vips}, key=address_order)
    return {
        "members": [node.name for node in up],
        "vips": [
            {
                "address": address,
                "owner": owners.get(address),
                "flags": [flag.value for flag in landscape.flags.get(address, {})],
                "reason": reason(address, decisions[address])
                if address in decisions
                else "no eligible member: every node that has it is down",
                "virtual_members": list(landscape.members.get(address, ())),
            }
            for address in every
        ],
        "moves": [
            {"address": address, "from": before[address], "to": owners.get(address)}
            for address in every
            if address in before and owners.get(address) != before[address]
        ],
    }


def _settled(
    nodes: Sequence[NodeConfig], before: Mapping[Address, NodeName], landscape: Landscape | None
) -> tuple[Landscape, Circumstances, dict[Address, Decision]]:
    """All of `nodes` online, mature and undrained, long enough; VIPs start where they were, if that node is
    there."""
    from duravip.cluster.balance import settle
    from duravip.cluster.charter import founding
    from duravip.cluster.election import Candidate, Circumstances
    from duravip.cluster.flags import survey

    names = {node.name for node in nodes}
    if landscape is None:
        landscape = survey({node.name: node.table for node in nodes})
    no_majority, barred = founding({node.name: node.table.settings for node in nodes})
    given = Circumstances(
        candidates=tuple(
            Candidate(name=node.name, weight=node.local.weight, barred=barred.get(node.name, "")) for node in nodes
        ),
        no_majority=no_majority,
        holders={address: (owner,) for address, owner in before.items() if owner in names},
        pins={},
        view_mature=True,
        moving=0,
    )
    return landscape, given, settle(landscape, given)


def _owners(decisions: Mapping[Address, Decision]) -> dict[Address, NodeName]:
    return {address: decision.owner for address, decision in decisions.items() if decision.owner is not None}


# --- input --------------------------------------------------------------------------------------------------


def _read_owners(source: str) -> dict[Address, NodeName]:
    """From a control socket, or a file as `show --format json` prints it. Raises UsageError, ControlError."""
    path = Path(source)
    try:
        is_socket = stat.S_ISSOCK(path.stat().st_mode)
        shown: Any = None if is_socket else json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"--current {source}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--current {source}: is no JSON: {error}") from error
    if is_socket:
        from duravip.runtime.client import request

        shown = request(source, {"command": "show"})
    try:
        return {
            canonical_address(vip["address"]): NodeName(vip["owner"])
            for vip in shown["vips"]
            if vip["owner"] is not None
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"--current {source}: is not what `duravip show --format json` prints") from error


# --- for people ---------------------------------------------------------------------------------------------


def _print(result: Mapping[str, Any]) -> None:
    rows = [
        (vip["address"], vip["owner"] or "nobody", ",".join(vip["flags"]) or "SAFE", vip["reason"])
        for vip in result["vips"]
    ]
    print_table(("ADDRESS", "OWNER", "FLAGS", "WHY"), rows)
    click.echo()
    print_table(("VIPS EACH", "NODES", "WHICH"), _loads(result))
    moves = result["moves"]
    click.echo(f"members: {len(result['members'])}; moves: {len(moves)}")
    for move in moves:
        click.echo(f"  {move['address']}: {move['from']} -> {move['to'] or 'nobody'}")


def _loads(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Which nodes would have how many, the most first; last, what nobody would have."""
    owned = Counter(vip["owner"] for vip in result["vips"])
    nodes: dict[int, list[NodeName]] = {}
    for name in result["members"]:
        nodes.setdefault(owned[name], []).append(name)
    rows = [(str(vips), str(len(names)), listed(names, ", ")) for vips, names in sorted(nodes.items(), reverse=True)]
    return rows + [(str(owned[None]), "0", "nobody")] * (None in owned)

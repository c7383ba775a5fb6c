"""Whether a node may be drained: the question that the node asks which an operator talks to, and the coordinator again.

Rules of this file: pure, of agreed inputs alone.
"""

from __future__ import annotations

from typing import Final

from duravip.cluster.electorate import Circumstances, Electorate, is_broken
from duravip.cluster.flags import Landscape
from duravip.model import Address, NodeName, address_order

SHOWN_ADDRESSES: Final = 3  # of many, in a sentence


def why_not_drain(landscape: Landscape, given: Circumstances, node: NodeName, *, force: bool) -> str:
    """Why `node` cannot be drained; "" when it can, or is already. `force`: whatever becomes of its addresses."""
    electorate = Electorate(landscape, given)
    candidate = electorate.candidates.get(node)
    if candidate is None:
        return why_not_member(given, node)
    if force or candidate.drained:
        return ""
    if left := left_alone(electorate, node):
        return (
            f"nobody else could own {some(left)} now: {node} is the last eligible node. "
            "With --force it is drained all the same, and nobody owns them"
        )
    return ""


def why_not_member(given: Circumstances, node: NodeName) -> str:
    names = [candidate.name for candidate in given.candidates]
    return "" if node in names else f"{node} is no member of the view; its members are {', '.join(names)}"


def left_alone(electorate: Electorate, without: NodeName) -> tuple[Address, ...]:
    """The addresses in the node's table that none of the others may own, in address order; BROKEN ones, which nobody
    may own anyway, left out."""
    landscape = electorate.landscape
    return tuple(
        address
        for address in sorted(landscape.entries.get(without, ()), key=address_order)
        if not is_broken(landscape, address) and not set(electorate.eligible(address)) - {without}
    )


def some(addresses: tuple[Address, ...]) -> str:
    """`a, b, c and 4 more`."""
    more = len(addresses) - SHOWN_ADDRESSES
    return ", ".join(addresses[:SHOWN_ADDRESSES]) + (f" and {more} more" if more > 0 else "")

"""Operators' choices of owners, from view to view.

Rules of this file
- Pure functions of what members promise and of what is numbered: every member comes to the same.
- There are MAX_PINS at the most, whatever members say: where there are more, those that have ended go first, the oldest
  first. So what is promised for the next view always fits into it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from duravip.cluster.addresses import is_canonical
from duravip.cluster.messages import MAX_PINS, MemberState, Pin
from duravip.model import Address


def pins_at_install(states: Iterable[MemberState], *, epoch: int) -> dict[Address, Pin]:
    """The newest word on each pin; one whose node is not in the view has ended. `epoch` is the view's: what a later one
    is said to have decided nobody has."""
    states = tuple(states)
    members = {state.member.name for state in states}
    newest: dict[Address, Pin] = {}
    said = (pin for state in states for pin in state.pins if pin.epoch <= epoch)
    for pin in sorted(said, key=lambda pin: (pin.epoch, pin.number, pin.node or "")):
        newest[pin.address] = pin
    found = [
        pin if pin.node in members else Pin(address=pin.address, node=None, epoch=pin.epoch, number=pin.number)
        for pin in newest.values()
        if _is_address(pin.address)
    ]
    found.sort(key=_worth)
    return {pin.address: pin for pin in sorted(found[:MAX_PINS], key=lambda pin: pin.address)}


def said_once(states: tuple[MemberState, ...], *, epoch: int) -> tuple[MemberState, ...]:
    """The same, for an Install: what comes of all pins is said by the first alone."""
    pins = tuple(pins_at_install(states, epoch=epoch).values())
    return tuple(
        state if state.pins == said else msgspec.structs.replace(state, pins=said)
        for state, said in zip(states, (pins, *((),) * len(states)), strict=False)
    )


def keep(pins: dict[Address, Pin], pin: Pin) -> None:
    """It was numbered. Where there are too many it takes the place of one that has ended."""
    if pin.address not in pins and len(pins) >= MAX_PINS:
        least = max(pins.values(), key=_worth)
        if least.node is not None:
            return
        del pins[least.address]
    pins[pin.address] = pin


def _worth(pin: Pin) -> tuple[bool, int, int, Address]:
    """The smaller the more."""
    return pin.node is None, -pin.epoch, -pin.number, pin.address


def _is_address(text: str) -> bool:
    try:
        return is_canonical(text)
    except ValueError:
        return False

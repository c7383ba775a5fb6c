"""Questions that people ask of a node: who is there, and why an address is where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from duravip import __version__
from duravip.cluster.agreed import AgreedState
from duravip.cluster.agreement import Agreement
from duravip.cluster.detector import Detector
from duravip.cluster.election import wording
from duravip.model import Address, Member, NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo:
    """One line of `duravip members`. `online`: in the present view. `alive`: heard, and hearing us."""

    name: NodeName
    incarnation: str
    online: bool
    mature: bool
    eligible: bool
    drained: bool
    penalty: float
    alive: bool
    version: str  # "" while nothing was heard of it


def member_infos(
    me: Member, detector: Detector, agreement: Agreement, agreed: AgreedState | None, now: float
) -> tuple[MemberInfo, ...]:
    """This node, the members of the view, and every peer heard of; by name."""
    view = agreement.members()
    known = {me} | set(view) | {peer.member for peer in detector.peers.values() if not peer.left}
    infos = []
    for member in sorted(known):
        status = agreed.status.get(member.name) if agreed is not None and member in view else None
        peer = detector.peers.get(member.name)
        version = peer.heartbeat.version if peer is not None and peer.member == member else ""
        infos.append(
            MemberInfo(
                name=member.name,
                incarnation=str(member.incarnation),
                online=member in view,
                mature=agreed is not None and member in view and member.name in agreed.mature,
                eligible=status is not None
                and not status.blocked.everything
                and not status.drained
                and not status.leaving,
                drained=status is not None and status.drained,
                penalty=1.0 if agreement.penalised(member, now) else 0.0,
                alive=detector.is_alive(member),
                version=__version__ if member == me else version,
            )
        )
    return tuple(infos)


def describer(agreed: AgreedState | None) -> Callable[[Address], str]:
    """Why an address has the owner it has, or none, in words; for many addresses, as things are now."""
    if agreed is None:
        return lambda address: "this node is in no view yet"
    decisions, say = dict(agreed.decisions), wording(agreed.landscape, agreed.circumstances())

    def describe(address: Address) -> str:
        decision = decisions.get(address)
        return "no election yet" if decision is None else say(address, decision)

    return describe

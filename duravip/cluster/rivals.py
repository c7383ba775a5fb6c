"""Who else says on the network that it has an address of this node's: strangers are told of, members left to the view.

Rules of this file
- A claim counts only for an address that this node holds, is about to take, or has left to a rival.
- A hardware address that a live member of the group tells as its own is no rival. Nobody is judged before SUSPENSE_S
  have passed: the other part of a merge has told its hardware addresses by then.
- Defended at most once in DEFEND_INTERVAL_S for each address, and only when a claim was heard since the last time.
- A bounded number of rivals is followed, whatever is on the network.

Theory of operation
    A claim is in suspense, then told: the event is raised. From then on the rival is asked every ASK_S, itself alone,
    whether it still has the address, and it is gone when nothing was heard of it for SILENT_S. What follows beside the
    event depends on `on_duplicate`: `defend` announces; `yield` leaves the address to a stranger, for the whole group
    (`claimed`), until it has gone. A rival that is a node of this group, though not heard now, is never yielded to:
    both would, and nobody would have the address.

    Asking first (`probe_before_taking`): everybody is asked ASKS times within ASKING_S, and who answers is judged
    likewise. An address that a stranger has is not taken, whatever `on_duplicate` says.

Source: RFC 5227 sections 2.1.1 and 2.4 (of 2.4, `yield` is (a) and `defend` is (c)), RFC 4862 section 5.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from duravip import events
from duravip.cluster.addresses import AddressSet
from duravip.cluster.effects import AnnounceAddress, DefendAddress, Effect, ProbeAddress, Publish
from duravip.cluster.parameters import Parameters
from duravip.model import Address, Claim, Evidence, NodeName

DEFEND_INTERVAL_S: Final = 10.0  # RFC 5227 section 1.1
SILENT_S: Final = 10.0  # a rival that says nothing for so long, though asked, has gone
ASK_S: Final = 2.0
SUSPENSE_S: Final = 1.0  # at least the failure time-out; and Linux clings to what it learnt less than a second ago
ASKING_S: Final = 0.3
ASKS: Final = 2
MAX_DISPUTES: Final = 256  # addresses
MAX_RIVALS: Final = 4  # for one address
MAX_NAMES: Final = 512

YIELD: Final = "yield"
FLAG: Final = "DUPLICATE"  # what the evidence is of


@dataclass(slots=True)
class _Rival:
    heard_at: float
    judged_at: float
    told: bool = False


@dataclass(slots=True)
class _Dispute:
    """About one address. `left`: nobody of the group may have it."""

    rivals: dict[bytes, _Rival] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    left: bool = False
    ask_at: float = -math.inf
    defended_at: float = -math.inf
    defend_at: float = math.inf

    def undecided(self) -> bool:
        return any(not rival.told for rival in self.rivals.values())

    def deadline(self) -> float:
        times = [rival.heard_at + SILENT_S if rival.told else rival.judged_at for rival in self.rivals.values()]
        return min((*times, self.defend_at, self.ask_at if self.evidence else math.inf), default=math.inf)


@dataclass(slots=True)
class _Asking:
    """`ends_at` is set by the first question."""

    asks: int = 0
    ask_at: float = -math.inf
    ends_at: float = math.inf


class Rivals:
    """All disputes of one node."""

    def __init__(self, parameters: Parameters) -> None:
        self._me = parameters.name
        self._yields = parameters.on_duplicate == YIELD
        self._asks_first = parameters.probe_before_taking
        self._suspense_s = max(SUSPENSE_S, parameters.failure_timeout_s)
        self._disputes: dict[Address, _Dispute] = {}
        self._asking: dict[Address, _Asking] = {}
        self._told: dict[NodeName, tuple[bytes, ...]] = {}
        self._names: dict[bytes, NodeName] = {}

    # --- questions -------------------------------------------------------------------------------------------------

    def claimed(self) -> AddressSet:
        """What strangers have, and nobody of the group may have."""
        return AddressSet(address for address, dispute in self._disputes.items() if dispute.left)

    def unanswered(self) -> AddressSet:
        """What must not be taken yet: it is not known whether somebody has it."""
        return AddressSet(self._asking)

    def evidence(self) -> Mapping[Address, tuple[Evidence, ...]]:
        """The duplicates that are told of now."""
        return {address: found.evidence for address, found in sorted(self._disputes.items()) if found.evidence}

    def is_quiet(self) -> bool:
        """Whether `act` has nothing to look at."""
        return not self._disputes and not self._asking

    def deadline(self) -> float:
        if self.is_quiet():
            return math.inf
        times = [dispute.deadline() for dispute in self._disputes.values()]
        return min(times + [min(asking.ask_at, asking.ends_at) for asking in self._asking.values()])

    # --- what was heard --------------------------------------------------------------------------------------------

    def learn(self, name: NodeName, hardware_addresses: tuple[bytes, ...]) -> None:
        """A member tells its own; this node's are told likewise. The last one to tell a hardware address has it."""
        if self._told.get(name) == hardware_addresses:
            return
        if name not in self._told and len(self._told) >= MAX_NAMES:
            self._forget(next(other for other in self._told if other != self._me))
        self._forget(name)
        self._told[name] = hardware_addresses
        self._names.update(dict.fromkeys(hardware_addresses, name))

    def heard(
        self,
        claims: Iterable[Claim],
        *,
        holds: Callable[[Address], bool],
        friends: Container[NodeName],
        now: float,
    ) -> None:
        """`holds`: what this node has, or is taking. `friends`: the members that are alive or in the view, this node
        among them."""
        for claim in claims:
            address = claim.address
            if self._names.get(claim.hardware_address) in friends:
                continue
            dispute = self._disputes.get(address)
            if dispute is None:
                if len(self._disputes) >= MAX_DISPUTES or not (address in self._asking or holds(address)):
                    continue
                dispute = self._disputes[address] = _Dispute()
            rival = dispute.rivals.get(claim.hardware_address)
            if rival is not None:
                rival.heard_at = now
            elif len(dispute.rivals) < MAX_RIVALS:
                dispute.rivals[claim.hardware_address] = _Rival(heard_at=now, judged_at=now + self._suspense_s)

    def ask_first(self, address: Address) -> None:
        """It is to be taken, and no member was known to have it."""
        if self._asks_first:
            self._asking.setdefault(address, _Asking())

    # --- what follows ----------------------------------------------------------------------------------------------

    def act(self, *, holds: Callable[[Address], bool], friends: Container[NodeName], now: float) -> list[Effect]:
        """Arguments as for `heard`."""
        orders: list[Effect] = []
        for address in sorted(self._disputes):
            orders += self._settle(address, self._disputes[address], holds(address), friends, now)
        for address in sorted(self._asking):
            orders += self._ask(address, self._asking[address], now)
        return orders

    def _ask(self, address: Address, asking: _Asking, now: float) -> list[Effect]:
        if now >= asking.ends_at:
            dispute = self._disputes.get(address)
            if dispute is None or not dispute.undecided():
                del self._asking[address]
            else:
                asking.ends_at = min(rival.judged_at for rival in dispute.rivals.values() if not rival.told)
            return []
        if now < asking.ask_at:
            return []
        if not asking.asks:
            asking.ends_at = now + ASKING_S
        asking.asks += 1
        asking.ask_at = now + ASKING_S / ASKS if asking.asks < ASKS else math.inf
        return [ProbeAddress(address=address, hardware_address=None)]

    def _settle(
        self, address: Address, dispute: _Dispute, is_held: bool, friends: Container[NodeName], now: float
    ) -> list[Effect]:
        for hardware_address, rival in list(dispute.rivals.items()):
            if self._names.get(hardware_address) in friends or (rival.told and now >= rival.heard_at + SILENT_S):
                del dispute.rivals[hardware_address]
            else:
                rival.told = rival.told or now >= rival.judged_at
        if not is_held and not dispute.left and address not in self._asking:
            dispute.rivals.clear()  # whoever holds it now hears for itself
        told = [hardware_address for hardware_address, rival in dispute.rivals.items() if rival.told]
        has_stranger = any(hardware_address not in self._names for hardware_address in told)
        dispute.left = has_stranger and (dispute.left or self._yields or not is_held)
        orders = self._tell(address, dispute, told, is_held)
        if not dispute.rivals:
            del self._disputes[address]
            return orders
        if told and now >= dispute.ask_at:
            dispute.ask_at = now + ASK_S
            orders += [ProbeAddress(address=address, hardware_address=hardware_address) for hardware_address in told]
        dispute.defend_at = math.inf
        if is_held and any(dispute.rivals[one].heard_at > dispute.defended_at for one in told) and not dispute.left:
            dispute.defend_at = dispute.defended_at + DEFEND_INTERVAL_S
            if now >= dispute.defend_at:
                dispute.defended_at, dispute.defend_at = now, math.inf
                orders.append(DefendAddress(address=address))
        return orders

    def _tell(self, address: Address, dispute: _Dispute, told: list[bytes], is_held: bool) -> list[Effect]:
        before = dispute.evidence
        dispute.evidence = tuple(self._evidence(address, hardware_address) for hardware_address in told)
        if dispute.evidence == before:
            return []
        change = "changed" if before and told else "raised" if told else "cleared"
        shown = dispute.evidence or before
        event = events.DuplicateAddress(
            change=change,
            address=address,
            evidence=shown,
            hardware_address=shown[0].value,
            claimant=self._names.get(bytes.fromhex(shown[0].value.replace(":", ""))),
        )
        orders: list[Effect] = [Publish(event=event)]
        if not told and is_held:
            orders.append(AnnounceAddress(address=address))
        return orders

    def _evidence(self, address: Address, hardware_address: bytes) -> Evidence:
        name, text = self._names.get(hardware_address), hardware_address.hex(":")
        who = f"{text} of {name}, which is not heard," if name is not None else f"a stranger, {text},"
        return Evidence(flag=FLAG, node=self._me, value=text, text=f"{who} says on the network that it has {address}")

    def _forget(self, name: NodeName) -> None:
        for hardware_address in self._told.pop(name, ()):
            if self._names.get(hardware_address) == name:
                del self._names[hardware_address]

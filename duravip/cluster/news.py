"""Which events follow from one agreed state after another: members come and go, flags are raised and cleared."""

from __future__ import annotations

from collections.abc import Mapping

from duravip import events
from duravip.cluster.agreed import AgreedState
from duravip.cluster.detector import Peer
from duravip.cluster.effects import Publish
from duravip.cluster.election import Circumstances, wording
from duravip.cluster.electorate import Electorate
from duravip.model import Address, Decision, Evidence, Flag, Member, NodeName, View

EVENT_OF_FLAG = {
    Flag.BROKEN: events.BrokenBinding,
    Flag.CONFLICT: events.PreferenceConflict,
    Flag.UNSAFE: events.UnsafeServices,
}


class News:
    """Remembers what was told last, so that each change is told once."""

    def __init__(self, me: NodeName) -> None:
        self._me = me
        self._flags: dict[tuple[Address, Flag], tuple[Evidence, ...]] = {}
        self._owners: dict[Address, NodeName] = {}
        self._gone: dict[NodeName, str] = {}
        self._carried = False
        self._settings: dict[tuple[NodeName, str], tuple[str, str]] = {}

    def last_owner(self, address: Address) -> NodeName | None:
        """By the assignment that was told last, in whatever view."""
        return self._owners.get(address)

    def view(self, view: View, before: set[Member], peers: Mapping[NodeName, Peer]) -> list[Publish]:
        """A view was installed; `before` are the members of the one it replaces."""
        told: list[events.Event] = [
            events.ViewInstalled(members=view.names(), coordinator=view.id.coordinator),
        ]
        for member in sorted(before - set(view.members)):
            peer = peers.get(member.name)
            if any(other.name == member.name for other in view.members):
                cause = "restarted"
            elif peer is not None and peer.member == member and peer.left:
                cause = "left"
            else:
                cause = "failed"
            told.append(events.NodeLeft(name=member.name, cause=cause))
            self._gone[member.name] = cause
        for name in view.names():
            self._gone.pop(name, None)
        told += [
            events.NodeJoined(name=member.name, node_incarnation=str(member.incarnation))
            for member in view.members
            if member not in before
        ]
        return [Publish(event=event) for event in told]

    def majority(self, agreed: AgreedState) -> list[Publish]:
        """A view was installed; under `strict` ownership it may decide, or not."""
        before, self._carried = self._carried, agreed.is_strict() and agreed.is_carried()
        if before == self._carried:
            return []
        if self._carried:
            return [Publish(event=events.MajorityGained(members=agreed.names()))]
        return [Publish(event=events.MajorityLost(members=agreed.names()))] if agreed.is_strict() else []

    def landscape(self, agreed: AgreedState) -> list[Publish]:
        """The tables in force have changed: flags raised, changed or cleared, settings that differ."""
        now = {
            (address, flag): evidence
            for address, flags in agreed.landscape.flags.items()
            for flag, evidence in flags.items()
        }
        told: list[events.Event] = []
        for address, flag in sorted(now.keys() | self._flags.keys(), key=lambda key: (key[0], key[1].value)):
            old, new = self._flags.get((address, flag)), now.get((address, flag))
            if old == new:
                continue
            change = "raised" if old is None else "cleared" if new is None else "changed"
            event = EVENT_OF_FLAG[flag]
            told.append(event(change=change, address=address, evidence=new if new is not None else old or ()))
        self._flags = now
        told += self._differing_settings(agreed)
        return [Publish(event=event) for event in told]

    def owners(
        self, agreed: AgreedState, given: Circumstances, told: Mapping[Address, Decision], *, tells_moves: bool
    ) -> list[Publish]:
        """The assignment has said who owns these; news are those that had another owner before, in whatever view.
        `given`: the circumstances that it was made in."""
        changed = [address for address in sorted(told) if told[address].owner != self._owners.get(address)]
        if not changed:
            return []
        news: list[events.Event] = []
        electorate = Electorate(agreed.landscape, given)
        say = wording(electorate)
        for address in changed:
            before, owner = self._owners.get(address), told[address].owner
            reason = say(address, told[address])
            if before is not None and owner is not None and before not in electorate.eligible(address):
                fate = self._fate(before, address, electorate)
                reason = reason if fate in reason else f"{fate}; {reason}"
            news.append(events.OwnerElected(address=address, owner=owner, previous=before, reason=reason))
            if owner is None:
                del self._owners[address]
                continue
            self._owners[address] = owner
            if before is not None and tells_moves:
                news.append(events.AddressMoved(address=address, source=before, target=owner, reason=reason))
        return [Publish(event=event) for event in news]

    def _fate(self, node: NodeName, address: Address, electorate: Electorate) -> str:
        """Why the owner of before may not have it any more."""
        if node not in electorate.candidates and node in self._gone:
            return f"{node} {self._gone[node]}"
        return electorate.why_not(node, address)

    def _differing_settings(self, agreed: AgreedState) -> list[events.Event]:
        """What this node's own configuration says and the coordinator's overrules."""
        mine, force = agreed.own_settings(self._me), agreed.settings()
        now: dict[tuple[NodeName, str], tuple[str, str]] = {}
        if mine is not None:
            for setting in mine.__struct_fields__:
                value, in_force = getattr(mine, setting), getattr(force, setting)
                if value != in_force:
                    now[(self._me, setting)] = (str(value), str(in_force))
        told: list[events.Event] = [
            events.ConfigDisagreement(name=name, setting=setting, value=value, in_force=in_force)
            for (name, setting), (value, in_force) in sorted(now.items())
            if self._settings.get((name, setting)) != (value, in_force)
        ]
        self._settings = now
        return told

"""Which cluster is tried: its nodes, with what their configurations say. A value, so that it travels to other
processes."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from duravip.cluster.charter import STRICT, roll_of, wait_s
from duravip.cluster.gateways import HOLD_IF_GATEWAY
from duravip.model import NodeName, Settings, Table
from duravip.sim.tables import blueprints, random_settings, strict_settings, table_of, with_mistakes

STRICT_INTERVAL_S = 0.3  # of heartbeats: what is waited out must be shorter than many a partition, and it goes by
STRICT_TIMEOUT_S = 0.8  # the lifetime, which goes by the failure time-out
KERNEL_SLACK_S = 5.0  # after an address's lifetime: the kernel's own, and a last order on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSetup:
    name: NodeName
    table: Table
    heartbeat_interval_s: float = 1.0
    failure_timeout_s: float = 3.5
    weight: float = 1.0
    on_isolation: str = "hold"
    on_duplicate: str = "defend"
    probe_before_taking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """`errors`: the chance, per VIP, that an edited file says something else than the others'. `invented`: by chance,
    and not an operator's: the nodes begin with edited files, and what is fixed in a daemon, or said in a file, differs
    from world to world."""

    nodes: tuple[NodeSetup, ...]
    errors: float = 0.02
    invented: bool = False

    def is_strict(self) -> bool:
        """Whether all of them own strictly."""
        return all(settings.ownership == STRICT for settings in self.settings())

    def names(self) -> tuple[NodeName, ...]:
        return tuple(node.name for node in self.nodes)

    def new_table(self, chance: random.Random, name: NodeName) -> Table:
        """What somebody who edits the node's file makes of it: often what it was."""
        table = next(node.table for node in self.nodes if node.name == name)
        return with_mistakes(chance, table, name, errors=self.errors)

    @property
    def interval_s(self) -> float:
        """The longest heartbeat interval."""
        return max(node.heartbeat_interval_s for node in self.nodes)

    @property
    def timeout_s(self) -> float:
        return max(node.failure_timeout_s for node in self.nodes)

    def settings(self) -> tuple[Settings, ...]:
        return tuple(node.table.settings for node in self.nodes)

    @property
    def balance_s(self) -> float:
        return max(settings.view_balance_interval for settings in self.settings())

    @property
    def settling_s(self) -> float:
        """Without faults everything is as it should be after so long, but for balance, which comes in rounds."""
        mature_s = max(settings.view_mature_time for settings in self.settings())
        rolls = [roll for settings in self.settings() if (roll := roll_of(settings)) is not None]
        return self.timeout_s + self.interval_s + mature_s + 2 * self.balance_s + 2.0 + (wait_s(rolls) if rolls else 0)

    @property
    def let_go_s(self) -> float:
        """After so long nothing is left in the kernel of a host without a daemon; infinity: for ever."""
        return gone_after_s(max(settings.address_lifetime or float("inf") for settings in self.settings()))


def gone_after_s(lifetime_s: float) -> float:
    """An address with this lifetime that nobody renews is gone after so long, by whatever clock."""
    return lifetime_s * 1.02 + KERNEL_SLACK_S


def random_setup(chance: random.Random, *, ownership: str = "available") -> Setup:
    """3 to 7 nodes with overlapping memberships, preferences and followers, and mistakes in some."""
    count = chance.choice((3, 3, 3, 4, 4, 5, 5, 6, 7))
    names = tuple(NodeName(f"node{number}") for number in range(1, count + 1))
    settings = random_settings(chance)
    is_strict = ownership == STRICT
    if is_strict:
        settings = strict_settings(chance, settings, names)
    plan = blueprints(chance, names)
    errors = chance.choice((0.0, 0.01, 0.05))
    on_isolation = chance.choice(("hold", "hold", "release"))
    weighted = chance.random() < 0.15
    made = Setup(
        nodes=tuple(
            NodeSetup(
                name=name,
                table=table_of(name, plan, settings),
                weight=chance.choice((0.5, 1.0, 2.0)) if weighted else 1.0,
                on_isolation=on_isolation,
                heartbeat_interval_s=STRICT_INTERVAL_S if is_strict else 1.0,
                failure_timeout_s=STRICT_TIMEOUT_S if is_strict else 3.5,
            )
            for name in names
        ),
        errors=errors,
        invented=True,
    )
    if on_isolation == "release" and chance.random() < 0.5:  # asked last: what came before is what it always was
        return replace(made, nodes=tuple(replace(node, on_isolation=HOLD_IF_GATEWAY) for node in made.nodes))
    return made

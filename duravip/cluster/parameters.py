"""What a node's machine is told at its start and never changes: its name, its life, its rhythm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from duravip.cluster.deliberation import Answer, answer
from duravip.cluster.flags import Survey, survey
from duravip.cluster.heartbeat import news_of
from duravip.cluster.messages import Heartbeat
from duravip.cluster.table_codec import PACKER, Packer
from duravip.model import Incarnation, Member, NodeName

MANY_VIPS: Final = 400  # from so many on, each step of what follows from something is a turn of its own
LONG_BYTES: Final = 32_768  # encoded, 100 to 400 VIPs: what is done with such a table takes turns of its own
LONG_VIPS: Final = 512  # from so many on, or so many kinds of them, an election is worked out outside of turns
VAST_VIPS: Final = 2_048  # from so many on, an election is too long for a member to check within a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """What follows from a question, a heartbeat or tables alone. The simulator's remember it for all of its nodes."""

    answer: Answer = answer
    news_of: Callable[[Member, Heartbeat], object] = news_of
    packer: Packer = PACKER
    survey: Survey = survey


FUNCTIONS: Final = Functions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Times in seconds. `failure_timeout_s` >= 2.5 x `heartbeat_interval_s`. `on_isolation`: hold, release or
    hold-if-gateway. `renews`: addresses have lifetimes in this machine's kernel. `many_vips`, `long_vips`,
    `long_bytes`: as the constants; tests have fewer. `on_duplicate`: defend or yield. `probe_before_taking`: ask the
    network for an address that no member was known to have. `functions`: the simulator has others."""

    name: NodeName
    incarnation: Incarnation
    heartbeat_interval_s: float = 0.1
    failure_timeout_s: float = 0.35
    weight: float = 1.0
    on_isolation: str = "hold"
    if_down_limit_s: float = 4.0
    if_flap_limit: int = 5
    drained: bool = False
    renews: bool = True
    on_duplicate: str = "defend"
    probe_before_taking: bool = False
    many_vips: int = MANY_VIPS
    long_vips: int = LONG_VIPS
    long_bytes: int = LONG_BYTES
    functions: Functions = FUNCTIONS

import random

from duravip.cluster.flags import Landscape, survey
from duravip.model import Flag, NodeName
from duravip.sim.tables import blueprints, random_settings, table_of, with_mistakes

NAMES = tuple(NodeName(f"node{number}") for number in range(1, 5))


def landscape(seed: int, errors: float) -> Landscape:
    chance = random.Random(seed)
    plan = blueprints(chance, NAMES)
    settings = random_settings(chance)
    tables = {name: table_of(name, plan, settings) for name in NAMES}
    return survey({name: with_mistakes(chance, table, name, errors=errors) for name, table in tables.items()})


def test_without_errors_nothing_is_wrong() -> None:
    assert not any(landscape(seed, 0.0).flags for seed in range(20))


def test_errors_raise_every_flag_and_there_are_followers_preferences_and_partial_memberships() -> None:
    seen: set[str] = set()
    for seed in range(20):
        found = landscape(seed, 0.05)
        seen |= {flag.name for flags in found.flags.values() for flag in flags}
        seen |= {"follows"} if found.follows else set()
        seen |= {"prefers"} if found.preferences else set()
        seen |= {"partial"} if any(len(members) < len(NAMES) for members in found.members.values()) else set()
    assert seen == {*Flag.__members__, "follows", "prefers", "partial"}


def test_the_same_chance_gives_the_same_tables() -> None:
    assert landscape(7, 0.05) == landscape(7, 0.05)

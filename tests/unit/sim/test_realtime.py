from duravip.events import NodeMatured, ViewInstalled
from duravip.model import Address, NodeName, Settings, Use, VipEntry, make_table
from duravip.sim.realtime import Recorder, play, reachable_holders
from duravip.sim.world import World

A, B = NodeName("a"), NodeName("b")
X = Address("192.0.2.1")


class Wall:
    """A real clock that nobody waits for. Every look at it costs a little."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = 0.0

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept += seconds
        self.now += seconds


def make_world() -> tuple[World, Recorder]:
    recorder = Recorder()
    world = World("play", observer=recorder)
    recorder.watch(world.clock)
    table = make_table([VipEntry(address=X, bindings=(Use("b"),), preference=Use("a"))], Settings(view_mature_time=1.0))
    for name in (A, B):
        world.add_host(name, table, heartbeat_interval_s=0.1, failure_timeout_s=0.35).start()
    return world, recorder


def test_the_world_takes_as_long_as_it_says_and_tells_what_happens_in_order() -> None:
    world, recorder = make_world()
    wall = Wall()
    told = list(play(world, recorder, for_s=5.0, monotonic=wall.monotonic, sleep=wall.sleep))
    assert 4.9 < wall.slept <= 5.0
    assert [happening.at_s for happening in told] == sorted(happening.at_s for happening in told)
    kinds = {type(happening.event) for happening in told}
    assert {ViewInstalled, NodeMatured} <= kinds
    assert {happening.node for happening in told} == {A, B}
    assert all(happening.view for happening in told if isinstance(happening.event, NodeMatured))


def test_a_world_that_is_behind_catches_up_without_sleeping() -> None:
    world, recorder = make_world()
    wall = Wall()
    plays = play(world, recorder, for_s=5.0, monotonic=wall.monotonic, sleep=wall.sleep)
    next(plays)
    wall.now += 60.0
    slept = wall.slept
    list(plays)
    assert wall.slept == slept
    assert world.clock.now == 5.0


def test_a_client_reaches_who_has_the_address_and_is_connected() -> None:
    world, _ = make_world()
    world.clock.run_until(5.0)
    assert reachable_holders(world, X, B) == (A,)
    world.network.split([[A], [B]])
    assert reachable_holders(world, X, B) == ()
    world.clock.run_until(7.0)
    assert reachable_holders(world, X, B) == (B,)
    world.network.heal()
    assert set(reachable_holders(world, X, B)) == {A, B}
    world.clock.run_until(12.0)
    assert reachable_holders(world, X, B) == (A,)

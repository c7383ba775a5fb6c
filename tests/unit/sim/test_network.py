import pytest

from duravip.model import NodeName
from duravip.sim.clock import Clock
from duravip.sim.network import Network, Weather

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


class Net:
    """Three hosts that write down what they receive."""

    def __init__(self, weather: Weather | None = None) -> None:
        self.clock = Clock(1)
        self.network = Network(self.clock)
        self.got: list[tuple[str, bytes]] = []
        for name in (A, B, C):
            self.network.attach(name, lambda datagram, name=name: self.got.append((name, datagram)))
        if weather is not None:
            self.network.weather = weather

    def send(self, source: NodeName, datagram: bytes) -> list[str]:
        """Who has it in the end."""
        self.got.clear()
        self.network.send(source, datagram)
        self.clock.run_until(self.clock.now + 100)
        return sorted(name for name, _ in self.got)


def test_a_datagram_reaches_everybody_else_and_not_its_sender() -> None:
    assert Net().send(A, b"x") == [B, C]


def test_a_cut_works_one_way() -> None:
    net = Net()
    net.network.cut(A, B)
    assert net.send(A, b"x") == [C]
    assert net.send(B, b"x") == [A, C]
    assert not net.network.connected(A, B)
    assert net.network.connected(B, A)


def test_a_split_cuts_between_parts_and_healing_ends_it() -> None:
    net = Net()
    net.network.split([[A, B], [C]])
    assert net.send(A, b"x") == [B]
    assert net.send(C, b"x") == []
    net.network.heal()
    assert net.send(C, b"x") == [A, B]


def test_what_is_under_way_when_a_link_is_cut_still_arrives() -> None:
    net = Net()
    net.network.send(A, b"x")
    net.network.cut(A, B)
    net.clock.run_until(1.0)
    assert sorted(name for name, _ in net.got) == [B, C]


def test_loss_is_as_frequent_as_the_weather_says() -> None:
    net = Net(Weather(loss=0.3))
    arrived = sum(len(net.send(A, b"x")) for _ in range(1000))
    assert arrived == pytest.approx(1400, abs=100)
    assert net.network.lost == 2000 - arrived


def test_duplicates_and_ghosts_come_again() -> None:
    assert Net(Weather(duplicate=1.0)).send(A, b"x") == [B, B, C, C]
    assert Net(Weather(ghost=1.0)).send(A, b"x") == [B, B, C, C]


def test_stragglers_are_overtaken() -> None:
    net = Net(Weather(straggle=0.5, straggle_s=1.0))
    for number in range(20):
        net.network.send(A, bytes((number,)))
        net.clock.run_until(net.clock.now + 0.01)
    net.clock.run_until(10.0)
    order = [datagram[0] for name, datagram in net.got if name == B]
    assert sorted(order) == list(range(20))
    assert order != sorted(order)

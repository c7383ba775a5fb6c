"""Tables that are worked at in steps: what they come to is the same."""

from __future__ import annotations

from collections import Counter

from duravip.cluster.flags import survey
from duravip.cluster.parameters import LONG_BYTES
from duravip.model import Address, NodeName, Origin, Table, Use, VipEntry, make_table
from duravip.sim.observer import Observer
from duravip.sim.world import World

NAMES = tuple(map(NodeName, ("n1", "n2", "n3")))


def table_of(name: NodeName, vips: int = 400) -> Table:
    return make_table(
        VipEntry(
            address=Address(f"10.0.{number >> 8}.{number & 255}"),
            services=(Use("multivip", Origin(f"/etc/duravip/{name}.conf", number, 1)),),
            bindings=(Use(f"binding-{number}", Origin(f"/etc/duravip/{name}.conf", number, 5)),),
        )
        for number in range(vips)
    )


def test_long_tables_come_into_force_in_every_kind_of_change() -> None:
    tables = {name: table_of(name) for name in NAMES}
    assert all(len(table.encoded()) > LONG_BYTES for table in tables.values())
    world = World(7, observer=Observer())
    for name, table in tables.items():
        world.add_host(name, table)
    for host in world.hosts.values():
        host.start()

    def settle(for_s: float, *there: NodeName) -> None:
        world.clock.run_until(world.clock.now + for_s)
        on = Counter(address for name in there for address in world.hosts[name].kernel.present)
        assert on == Counter({vip.address: 1 for name in there for vip in tables[name].vips})
        for name in there:
            node = world.hosts[name].node
            assert node is not None
            assert node.landscape == survey({name: tables[name] for name in there})

    settle(40.0, *NAMES)
    world.hosts[NAMES[0]].crash()
    world.hosts[NAMES[0]].kernel.purge(lambda: None)
    settle(40.0, *NAMES[1:])
    tables[NAMES[2]] = table_of(NAMES[2], 410)
    world.hosts[NAMES[2]].reload(tables[NAMES[2]])
    settle(40.0, *NAMES[1:])
    world.hosts[NAMES[0]].start()
    settle(60.0, *NAMES)

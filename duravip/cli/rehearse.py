"""`duravip rehearse`: what would happen to these configurations, under faults that nobody would dare to cause."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from duravip.cli.common import read_nodes
from duravip.cli.output import format_option, print_json
from duravip.errors import UsageError

if TYPE_CHECKING:
    from duravip.config.node_config import NodeConfig
    from duravip.sim.rehearsal import Finding, Rehearsal
    from duravip.sim.setup import Setup

MAX_VIPS_SHOWN = 10  # those that were away for the longest time
MAX_EXPLAINED = 5  # findings whose schedule is shrunk: each takes some thirty runs

_EPILOG = """\b
Examples:
  duravip rehearse node1.conf node2.conf node3.conf
  duravip rehearse a=site.conf b=site.conf --seeds 2000 --faults crash,partition
  duravip rehearse *.toml --first 17 --seeds 1 --format json
\b
Kinds of faults: loss, delay, duplicate, reorder (datagrams); partition, oneway (links between nodes); crash,
pause, restart (daemons); clock (rates up to 2 % apart, suspended machines); reload (edited files); link (the
interface of the VIPs); kernel (slow, failing, late); gateway (silent, where on_isolation is hold-if-gateway).
Beside these, only when named: operator (moves, drains), stranger (another machine claims an address).
"""


@click.command("rehearse", epilog=_EPILOG)
@click.argument("files", metavar="[NAME=]FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--seeds", type=click.IntRange(min=1), default=100, show_default=True, help="How many schedules.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first one's seed.")
@click.option(
    "--faults", metavar="LIST", help="Kinds of faults, with commas between; default: all but the last two below."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; default: one for each core.")
@format_option
def command(files: tuple[str, ...], seeds: int, first: int, faults: str | None, jobs: int | None, style: str) -> None:
    """Run the real core for these configurations in a simulated world, under random faults.

    FILE is one node's configuration; NAME=FILE names the node. Every seed is a schedule: 40 seconds of faults, then 20
    or more in which everything must come right. All properties of the protocol are checked at every step. The same
    seed is the same schedule, every time. Exit status: 1 when one was violated.
    """
    kinds = _kinds(faults)
    setup = setup_of(read_nodes(files, "rehearsal"))
    if warning := vacuous(setup):
        click.echo(warning, err=True)
    report = run(setup, range(first, first + seeds), kinds, jobs or len(os.sched_getaffinity(0)))
    if style == "json":
        print_json(report.as_json())
    else:
        _print(setup, report)
    if report.rehearsal.findings:
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class Report:
    rehearsal: Rehearsal
    schedules: tuple[tuple[str, ...], ...]
    """Of the first findings, the faults that suffice."""
    took_s: float

    @property
    def runs_per_s(self) -> float:
        return self.rehearsal.seeds / self.took_s

    def explained(self) -> Iterator[tuple[Finding, tuple[str, ...] | None]]:
        for number, finding in enumerate(self.rehearsal.findings):
            yield finding, self.schedules[number] if number < len(self.schedules) else None

    def as_json(self) -> dict[str, Any]:
        """The object of contract.md section 2."""
        rehearsal = self.rehearsal
        return {
            "seeds": rehearsal.seeds,
            "violations": [
                {
                    "seed": finding.seed,
                    "property": finding.property,
                    "at_s": round(finding.at_s, 6),
                    "detail": finding.detail,
                    "schedule": list(schedule) if schedule is not None else None,
                }
                for finding, schedule in self.explained()
            ],
            "runs_per_s": round(self.runs_per_s, 2),
            "outage_ms": rehearsal.outage_ms(),
            "outage_ms_by_vip": {address: rehearsal.outage_ms(address) for address in rehearsal.most_away()},
            "moves": rehearsal.moves,
        }


def setup_of(nodes: Sequence[NodeConfig]) -> Setup:
    """In the simulated world every node has one interface for all its VIPs."""
    import msgspec

    from duravip.sim.process import INTERFACE
    from duravip.sim.setup import NodeSetup, Setup

    def placed(node: NodeConfig) -> Any:
        vips = tuple(msgspec.structs.replace(vip, interface=INTERFACE) for vip in node.table.vips)
        return msgspec.structs.replace(node.table, vips=vips)

    return Setup(
        nodes=tuple(
            NodeSetup(
                name=node.name,
                table=placed(node),
                heartbeat_interval_s=node.local.heartbeat_interval,
                failure_timeout_s=node.local.failure_timeout,
                weight=node.local.weight,
                on_isolation=node.local.on_isolation,
                on_duplicate=node.local.on_duplicate,
                probe_before_taking=node.local.probe_before_taking,
            )
            for node in nodes
        )
    )


def vacuous(setup: Setup) -> str:
    """A warning where nodes may own nothing until most of the faults are over; "" where they may."""
    from duravip.sim.schedule import CALM_AT_S

    slow = {node.name: node.table.settings.view_mature_time for node in setup.nodes}
    slow = {name: time_s for name, time_s in slow.items() if time_s > CALM_AT_S / 2}
    if not slow:
        return ""
    return (
        f"warning: view_mature_time is {max(slow.values()):g} s for {', '.join(slow)}, and faults happen in the first "
        f"{CALM_AT_S:g} s: nothing, or hardly anything, is owned while faults happen; try a smaller view_mature_time "
        "in a copy of the files"
    )


def run(setup: Setup, seeds: range, kinds: tuple[str, ...], jobs: int) -> Report:
    """All schedules, and for the first findings what suffices for them; a progress bar on a terminal."""
    from duravip.sim.parallel import spread
    from duravip.sim.rehearsal import Rehearsal, explain, rehearse

    rehearsal = Rehearsal()
    jobs = min(jobs, len(seeds))
    began = time.perf_counter()
    with _progress("rehearsing", len(seeds)) as step:
        job = partial(rehearse, setup=setup, kinds=kinds)
        for outcome in spread(job, seeds, jobs, initializer=_leave_interrupts_to_the_parent):
            rehearsal.add(outcome)
            step()
    took_s = time.perf_counter() - began
    rehearsal.findings.sort(key=lambda finding: (finding.seed, finding.at_s))
    findings = rehearsal.findings[:MAX_EXPLAINED]
    schedules: list[tuple[str, ...]] = []
    if findings:
        with _progress("looking for what suffices", len(findings)) as step:
            job_explaining = partial(explain, setup=setup, kinds=kinds)
            jobs = min(jobs, len(findings))
            for schedule in spread(job_explaining, findings, jobs, initializer=_leave_interrupts_to_the_parent):
                schedules.append(schedule)
                step()
    return Report(rehearsal, tuple(schedules), took_s)


def _kinds(listed: str | None) -> tuple[str, ...]:
    from duravip.sim.faults import ALL_KINDS, KINDS

    if listed is None:
        return KINDS
    wanted = [word.strip() for word in listed.split(",") if word.strip()]
    for word in wanted:
        if word not in ALL_KINDS:
            raise UsageError(f"--faults {word}: there is no such kind of fault; there are {', '.join(ALL_KINDS)}")
    if not wanted:
        raise UsageError(f"--faults: name at least one kind of fault; there are {', '.join(ALL_KINDS)}")
    return tuple(kind for kind in ALL_KINDS if kind in wanted)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _print(setup: Setup, report: Report) -> None:
    rehearsal = report.rehearsal
    vips = len({vip.address for node in setup.nodes for vip in node.table.vips})
    seeds = len({finding.seed for finding in rehearsal.findings})
    click.echo(f"{rehearsal.seeds} schedules of {len(setup.nodes)} nodes and {vips} VIPs, ", nl=False)
    click.echo(f"violations in {seeds} of them:" if seeds else "no violation")
    for finding, schedule in report.explained():
        click.echo(f"seed {finding.seed}: {finding.property} after {finding.at_s:.3f} s: {finding.detail}")
        if schedule is not None:
            click.echo("    this suffices for it:" if schedule else "    without any fault:")
        for line in schedule or ():
            click.echo(f"        {line}")
    away = rehearsal.outage_ms()
    click.echo(f"outages: {_away(away)}")
    if len(rehearsal.outages_s) > 1:
        for address in rehearsal.most_away()[:MAX_VIPS_SHOWN]:
            click.echo(f"    {address}: {_away(rehearsal.outage_ms(address))}")
        if len(rehearsal.outages_s) > MAX_VIPS_SHOWN:
            click.echo(f"    and {len(rehearsal.outages_s) - MAX_VIPS_SHOWN} that were away for less")
    click.echo(f"moves: {rehearsal.moves}; {report.runs_per_s:.1f} schedules per second")


def _away(outage_ms: Mapping[str, float]) -> str:
    p50, p99, longest = (_ms(outage_ms[name]) for name in ("p50", "p99", "max"))
    return f"{outage_ms['count']:.0f}, median {p50}, 99 % {p99}, longest {longest}"


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"

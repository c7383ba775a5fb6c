"""A soak: any number of schedules, over any number of sittings, with a file that knows how far it has come.

Rules of this file
- The file is written whole, and replaces the one before: whatever ends a sitting, no schedule is counted twice and at
  most the last few are run again.
- A core is named by a digest of its source files. Schedules are added up for each core; a seed is never run twice for
  the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from duravip.sim.outcome import Outcome

CORE_ROOMS = ("cluster", "wire", "sim")
FIRST_SEED = 10_000  # CI runs those below


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The first violation under one seed."""

    seed: int
    property: str
    at_s: float
    detail: str


class Sitting(msgspec.Struct, kw_only=True):
    """All that was run on one core at one commit. `commit` ends in `+` when files were edited beside it."""

    core: str
    commit: str
    first_seed: int
    schedules: int = 0
    virtual_s: float = 0.0
    violations: list[Found] = []

    def add(self, outcome: Outcome) -> None:
        self.schedules += 1
        self.virtual_s += outcome.virtual_s
        if outcome.violations:
            first = outcome.violations[0]
            self.violations.append(Found(seed=outcome.seed, property=first.rule, at_s=first.at_s, detail=first.text))

    def seeds(self) -> Iterator[int]:
        """Those that come next, without end."""
        seed = self.first_seed + self.schedules
        while True:
            yield seed
            seed += 1


class Soak(msgspec.Struct, kw_only=True):
    sittings: list[Sitting] = []

    def sitting(self, core: str, commit: str) -> Sitting:
        """The one to go on with: that of this core and commit, else a new one, after all seeds this core has had."""
        for sitting in self.sittings:
            if (sitting.core, sitting.commit) == (core, commit):
                return sitting
        used = [s.first_seed + s.schedules for s in self.sittings if s.core == core]
        self.sittings.append(Sitting(core=core, commit=commit, first_seed=max(used, default=FIRST_SEED)))
        return self.sittings[-1]

    def lines(self) -> Iterator[str]:
        """For people: what each core has been through."""
        for core in dict.fromkeys(sitting.core for sitting in self.sittings):
            mine = [sitting for sitting in self.sittings if sitting.core == core]
            schedules = sum(sitting.schedules for sitting in mine)
            hours = sum(sitting.virtual_s for sitting in mine) / 3600
            found = [violation for sitting in mine for violation in sitting.violations]
            commits = ", ".join(sitting.commit[:12] for sitting in mine)
            yield f"core {core} ({commits}): {schedules} schedules, {hours:.0f} virtual hours, {len(found)} violations"
            yield from (f"  seed {v.seed}: {v.property} after {v.at_s:.3f} s: {v.detail}" for v in found)


def core_digest(package: Path) -> str:
    """`package`: the folder of `duravip`."""
    digest = hashlib.blake2b(digest_size=6)
    for file in _sources(package):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _sources(package: Path) -> Iterable[Path]:
    rooms = [file for room in CORE_ROOMS for file in sorted((package / room).glob("*.py"))]
    return [*rooms, package / "model.py", package / "events.py"]


def load(path: Path) -> Soak:
    """An empty one where there is no file. Raises msgspec.DecodeError for a file that is none."""
    return msgspec.json.decode(path.read_bytes(), type=Soak) if path.exists() else Soak()


def save(soak: Soak, path: Path) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(soak), indent=2) + b"\n")
    new.replace(path)

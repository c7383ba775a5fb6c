"""When each address is announced again, and how fast announcements may leave.

Rules of this file: pure; `now` is monotonic seconds and comes from the caller; equal calls give equal
answers.

Theory of operation. `start` puts an address at the first of `OFFSETS_S`; each time it is handed out it moves
to the next, and after the last to the slow refresh, which a hash of the address spreads over the whole period
so that thousands of addresses do not announce together. `start` for a known address begins again (a rival has
gone, a view was merged). Once more it is due when a former owner that froze must have lost it (`lost_after_s`):
until then that one's kernel answers whoever asks for the address.

Handing out costs tokens (packets); they come back at `packets_per_s`, and at most `burst_packets` are saved up; an
announcement that costs more than that waits for all of them and leaves a debt.
When several addresses are due, first announcements go before repetitions, then the one that has waited longest.
A repetition whose time went by while an earlier one waited for tokens is left out.
"""

from __future__ import annotations

import heapq
import math
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from duravip.model import Address
from duravip.net.frames import frame_count

OFFSETS_S = (0.0, 0.1, 0.3, 1.1, 2.0, 5.0)
"""After the start. Past one second on purpose: Linux ignores a change within a second of the last
(locktime)."""

_SLOWER_CLOCK = 1.02  # of whoever had it before
_LATE_S = 3.0  # a kernel drops an address up to 2.5 s after its lifetime has ended

_ROUNDING = 1e-6  # packets; so that a deadline worked out from the pace is never a hair too early


def lost_after_s(lifetime_s: float) -> float:
    """So long after it was acquired, nobody has an address any more who had it with this lifetime before and does not
    renew it. Infinite for a lifetime of 0, which is for ever."""
    return math.ceil(lifetime_s) * _SLOWER_CLOCK + _LATE_S if lifetime_s else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One announcement to send now. `step`: how many of `OFFSETS_S` have been handed out or left out before."""

    address: Address
    interface: str
    step: int


@dataclass(slots=True)
class _Entry:
    interface: str
    started: float
    last: float  # once more at that time; infinite: no, or it is over
    step: int
    turn: int  # of the schedule's counter: older rows of the heaps are void


class Schedule:
    """`refresh_s` 0: no slow refresh. `packets`: how many one announcement of an address on an interface is now."""

    def __init__(
        self,
        *,
        refresh_s: float = 60.0,
        packets_per_s: float = 10_000.0,
        burst_packets: float = 256.0,
        packets: Callable[[Address, str], int] = lambda address, interface: frame_count(address),
    ) -> None:
        self._refresh_s = refresh_s
        self._packets_per_s = packets_per_s
        self._burst = burst_packets
        self._tokens = burst_packets
        self._packets = packets
        self._wanted = 0.0  # tokens, by the one that waits
        self._counted = -math.inf  # when the tokens were last counted
        self._entries: dict[Address, _Entry] = {}
        self._turns = 0
        self._later: list[tuple[float, int, Address]] = []  # (when, turn, address)
        self._ready: list[tuple[bool, float, int, Address]] = []  # (is a repetition, since, turn, address)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, address: object) -> bool:
        return address in self._entries

    def start(self, address: Address, interface: str, now: float, *, last_s: float = math.inf) -> None:
        """`last_s`: so long after now it is announced once more, whatever else is due; infinite: it is not."""
        entry = _Entry(interface=interface, started=now, last=now + last_s, step=0, turn=0)
        self._entries[address] = entry
        self._put(address, entry, now)

    def stop(self, address: Address) -> None:
        """An unknown address is no error."""
        self._entries.pop(address, None)

    def due(self, now: float, *, at_most: int = sys.maxsize) -> tuple[Due, ...]:
        """What is to be sent now, as far as the pace allows; counted as sent. More than `at_most` are due at once
        again."""
        self._count(now)
        while self._later and self._later[0][0] <= now:
            when, turn, address = heapq.heappop(self._later)
            entry = self._entries.get(address)
            if entry is not None and entry.turn == turn:
                heapq.heappush(self._ready, (entry.step > 0, when, turn, address))
        found: list[Due] = []
        while self._ready:
            if len(found) == at_most:
                self._wanted = 0.0
                break
            _, _, turn, address = self._ready[0]
            entry = self._entries.get(address)
            if entry is None or entry.turn != turn:
                heapq.heappop(self._ready)
                continue
            cost = self._packets(address, entry.interface)
            if self._tokens < min(cost, self._burst) - _ROUNDING:
                self._wanted = min(cost, self._burst)
                break
            heapq.heappop(self._ready)
            self._tokens -= cost
            found.append(Due(address=address, interface=entry.interface, step=entry.step))
            self._advance(address, entry, now)
        return tuple(found)

    def next_deadline(self) -> float | None:
        """When `due` will have something; None: never, unless started again. May be early, never late."""
        if self._ready:
            return self._counted + max(0.0, self._wanted - self._tokens) / self._packets_per_s
        return self._later[0][0] if self._later else None

    def _advance(self, address: Address, entry: _Entry, now: float) -> None:
        while entry.step < len(OFFSETS_S) and entry.started + OFFSETS_S[entry.step] <= now:
            entry.step += 1
        when = math.inf
        if entry.step < len(OFFSETS_S):
            when = entry.started + OFFSETS_S[entry.step]
        elif self._refresh_s > 0:
            first = entry.started + OFFSETS_S[-1] + self._refresh_s * _fraction(address)
            periods = max(0, math.floor((now - first) / self._refresh_s) + 1)
            when = first + self._refresh_s * periods
        if entry.last <= now:
            entry.last = math.inf
        if (when := min(when, entry.last)) < math.inf:
            self._put(address, entry, when)

    def _put(self, address: Address, entry: _Entry, when: float) -> None:
        self._turns += 1
        entry.turn = self._turns
        heapq.heappush(self._later, (when, entry.turn, address))

    def _count(self, now: float) -> None:
        if now > self._counted:
            if self._counted > -math.inf:
                gained = (now - self._counted) * self._packets_per_s
                self._tokens = min(self._burst, self._tokens + gained)
            self._counted = now


def _fraction(address: Address) -> float:
    """In (0, 1], the same everywhere, and even over many addresses."""
    return (zlib.crc32(address.encode()) + 1) / 2**32

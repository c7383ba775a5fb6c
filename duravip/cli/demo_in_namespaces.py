"""`duravip demo` as root: three daemons with kernel addresses in network namespaces, and a client."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from duravip.cli.demo_story import MATURE_S, NODES, STAR, VICTIM, VIPS, Narrator
from duravip.errors import ControlError, DuravipError
from duravip.runtime import client
from duravip.testing.daemons import Daemons
from duravip.testing.netns import Lan
from duravip.testing.probe import Probe

CLIENT = "client"
_SURVIVOR = next(name for name in NODES if name != VICTIM)
_BEFORE_S = 1.3  # of probing; a Linux client keeps for a second to the hardware address that it has just learnt
_AFTER_S = 1.2
_JOIN_LIMIT_S = 2.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InNamespaces:
    """One performance on a network that is built and stays the caller's."""

    def __init__(self, lan: Lan, narrator: Narrator, *, keep: bool) -> None:
        self._lan, self._narrator, self._keep = lan, narrator, keep
        self._reader_failed: OSError | None = None

    def perform(self) -> float:
        """The client's outage in milliseconds. Raises DuravipError when something takes too long, KeyboardInterrupt
        when it is interrupted; nothing is left behind in any case."""
        with (
            tempfile.TemporaryDirectory(prefix="duravip-demo-") as folder,
            self._feeds() as feeds,
            Daemons(self._lan, Path(folder), NODES, VIPS, settings={"view_mature_time": f"{MATURE_S:g}"}) as daemons,
            _then_undisturbed(),
        ):
            self._narrator.say(f"three daemons start, each in a network namespace ({self._lan[VICTIM].namespace}, ...)")
            daemons.wait_ready()
            for node in NODES:
                self._follow(feeds, str(daemons.control(node)))
            daemons.wait_settled()
            self._narrator.table(daemons.ask(_SURVIVOR, "show")["vips"])
            outage_ms = self._cut_off(daemons)
            if self._keep:
                self._stay(daemons)
            self._narrator.say("all nodes leave")
        self._narrator.say("nothing is left behind")
        if self._reader_failed is not None:
            raise self._reader_failed
        return outage_ms

    def _cut_off(self, daemons: Daemons) -> float:
        narrator, lan = self._narrator, self._lan
        with Probe(lan, CLIENT, STAR) as probe:
            narrator.say(f"a client asks {STAR} for an echo every millisecond")
            time.sleep(_BEFORE_S)
            narrator.say(f"{VICTIM} is cut off: every frame to and from it vanishes")
            narrator.muted = frozenset({VICTIM})
            lan.silence(VICTIM)
            time.sleep(_AFTER_S)
        outage_ms = probe.longest_gap_ms()
        answering = probe.answered_by()
        if len(answering) < 2:
            raise DuravipError(f"nobody took {STAR} over within {_AFTER_S:g} s of the cut")
        names = {host.hardware_address: name for name, host in lan.hosts.items()}
        narrator.say(
            f"the client had no answer for {outage_ms:.0f} ms; {names.get(answering[0], answering[0])} answered "
            f"before, {names.get(answering[-1], answering[-1])} since"
        )
        narrator.table(daemons.ask(_SURVIVOR, "show")["vips"])
        narrator.say(f"{VICTIM} is connected again: the views merge, and of two owners one lets go")
        narrator.muted = frozenset()
        lan.heal()
        daemons.wait_settled()
        narrator.say("as before: one view, each address with the node that it prefers")
        return outage_ms

    def _stay(self, daemons: Daemons) -> None:
        wire = self._lan[VICTIM].namespace.removesuffix(VICTIM) + "wire"
        namespace = self._lan[CLIENT].namespace
        port = f"bridge -n {wire} link set dev {VICTIM} state"
        self._narrator.say("stays until Ctrl-C. To play with it, from another shell:")
        self._narrator.lines(
            [
                ("who has what", f"duravip show --control {daemons.control(_SURVIVOR)}"),
                ("what happens", f"duravip events --follow --control {daemons.control(_SURVIVOR)}"),
                ("as the client", f"ip netns exec {namespace} ping -i 0.1 {STAR}"),
                (f"cut {VICTIM} off", f"{port} 0"),
                ("and back", f"{port} 3"),
                (f"stop {VICTIM}", f"kill {daemons.pid(VICTIM)}"),
                ("sockets and logs", str(daemons.folder)),
            ]
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()

    # --- the daemons' events ---

    @contextlib.contextmanager
    def _feeds(self) -> Iterator[list[threading.Thread]]:
        """Threads that tell each node's events until its daemon ends."""
        feeds: list[threading.Thread] = []
        yield feeds
        for feed in feeds:
            feed.join(_JOIN_LIMIT_S)

    def _follow(self, feeds: list[threading.Thread], path: str) -> None:
        feed = threading.Thread(target=self._tell, args=(path,), daemon=True)
        feed.start()
        feeds.append(feed)

    def _tell(self, path: str) -> None:
        try:
            for line in client.stream(path, {"command": "events", "filters": ["*"], "follow": True, "past": True}):
                if "event" in line:
                    self._narrator.event(line["event"])
        except ControlError:
            return
        except OSError as error:  # nobody reads what is told, or the daemon broke off
            self._reader_failed = error if isinstance(error, BrokenPipeError) else None


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """While it lasts, SIGTERM and SIGHUP are KeyboardInterrupt, as SIGINT is. Goes around whatever must be cleaned
    up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        for number in _ENDING:
            signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _then_undisturbed() -> Iterator[None]:
    """Once it is left, `orderly_end` is hurried no more."""
    try:
        yield
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)

"""What is wrong, where, and what to do: one value for every problem that reading a configuration can find."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from duravip.model import Origin


class Severity(enum.Enum):
    """How bad it is: with an ERROR nothing starts; a WARNING is probably a mistake; an INFO is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that a diagnostic is about, and in a few words what stands there: the other definition."""

    origin: Origin
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """`code` is stable: DV1xx syntax, DV2xx files, DV3xx values, DV4xx within one node, DV5xx between nodes, DV6xx this
    machine or the running cluster; a plugin's own begin with letters of its own. `message`: what is wrong, in a
    sentence without full stop. `hint`: what to do. `related`: other places to look at, the most telling first."""

    severity: Severity
    code: str
    message: str
    origin: Origin = field(default_factory=Origin)
    hint: str = ""
    related: tuple[Related, ...] = ()


class Findings:
    """Collects diagnostics while a configuration is read; nothing stops at the first problem."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []

    def error(self, code: str, message: str, origin: Origin, hint: str = "", *related: Related) -> None:
        self._add(Severity.ERROR, code, message, origin, hint, related)

    def warning(self, code: str, message: str, origin: Origin, hint: str = "", *related: Related) -> None:
        self._add(Severity.WARNING, code, message, origin, hint, related)

    def info(self, code: str, message: str, origin: Origin, hint: str = "", *related: Related) -> None:
        self._add(Severity.INFO, code, message, origin, hint, related)

    def extend(self, found: Iterable[Diagnostic]) -> None:
        self._found += found

    def as_found(self) -> tuple[Diagnostic, ...]:
        return tuple(self._found)

    def in_text_order(self, file: str) -> tuple[Diagnostic, ...]:
        """Sorted by place: `file` first, then others as they were found; those without a line stand last, in the order
        found. Exact repetitions once."""
        unique = dict.fromkeys(self._found)
        files = {
            name: number for number, name in enumerate(dict.fromkeys((file, *(one.origin.file for one in unique))))
        }

        def place(found: Diagnostic) -> tuple[bool, int, int, int]:
            origin = found.origin
            return origin.line == 0, files[origin.file], origin.line, origin.column

        return tuple(sorted(unique, key=place))

    def _add(
        self, severity: Severity, code: str, message: str, origin: Origin, hint: str, related: tuple[Related, ...]
    ) -> None:
        self._found.append(
            Diagnostic(severity=severity, code=code, message=message, origin=origin, hint=hint, related=related)
        )


_SHOWN_CHARACTERS = 60


def shown(text: object) -> str:
    """A user's word, or a list of them, as messages quote it: on one line, printable, not longer than a message can
    bear."""
    plain = " ".join(map(str, text)) if isinstance(text, tuple) else str(text)
    if len(plain) <= _SHOWN_CHARACTERS and plain.isprintable():
        return f"`{plain}`"
    plain = "".join(char if char.isprintable() else "?" for char in plain[: _SHOWN_CHARACTERS + 1])
    if len(plain) > _SHOWN_CHARACTERS:
        plain = plain[: _SHOWN_CHARACTERS - 3] + "..."
    return f"`{plain}`"


# Code -> its meaning in one sentence. The reference page is generated from this.
CODES: dict[str, str] = {
    "DV101": "A quoted string is not closed.",
    "DV102": "A /* comment is not closed.",
    "DV103": "A stanza or a bracket is not closed.",
    "DV104": "An option has an equals sign and no value.",
    "DV105": "A word or sign stands where the language has no place for it.",
    "DV106": "A bracket is closed that was never opened.",
    "DV107": "Stanzas or values are nested deeper than any configuration needs; reading stopped there.",
    "DV108": "A value holds a sign that may only stand inside double quotes.",
    "DV109": "There are so many syntax errors that reading stopped.",
    "DV110": "The text is not valid TOML.",
    "DV111": "A TOML table does not have the shape or the key that its section needs.",
    "DV201": "The file cannot be read.",
    "DV202": "The path is a directory, a pipe or a device, not a file.",
    "DV203": "The file, or a line of it, is larger than any configuration may be.",
    "DV204": "The file is not text in UTF-8.",
    "DV205": "No installed plugin reads this kind of file.",
    "DV206": "What is included does not exist, or is no file.",
    "DV207": "The plugin that should have read the file has failed.",
    "DV208": "A file includes itself, perhaps through others.",
    "DV209": "The file changes while it is read.",
    "DV210": "More files are included than any configuration needs; the rest is left out.",
    "DV301": "A value is of the wrong kind.",
    "DV302": "A number is out of its range.",
    "DV303": "A value is none of the choices.",
    "DV304": "A value is not an IP address.",
    "DV305": "A host name does not resolve to exactly one address.",
    "DV306": "A preference is a boolean word; it must be the name of a node.",
    "DV307": "A Listen is not of the form address:port.",
    "DV308": "A name is empty or holds a character that names may not hold.",
    "DV309": "A Topology is not named by a network block.",
    "DV310": "A capability is not written as libcap writes them.",
    "DV311": "A value ends with a comma or semicolon that nothing separates.",
    "DV401": "An option is not known and has no effect.",
    "DV402": "An option is not known; it looks misspelt, or the language allows known ones only.",
    "DV403": "A stanza is not known and looks misspelt.",
    "DV404": "An option is read and has no effect in this version.",
    "DV405": "A setting is not available in this version, and ignoring it would be unsafe.",
    "DV407": "An option is given twice with different values.",
    "DV408": "An option stands in a scope where it would have no effect.",
    "DV409": "A stanza belongs to no installed plugin.",
    "DV410": "No Topology names the interface for a VIP.",
    "DV411": "Two Topologies describe the same network.",
    "DV412": "One address is given two different preferences.",
    "DV413": "One address is told to follow two different things.",
    "DV414": "An address both follows another and is enabled itself.",
    "DV415": "Addresses follow each other in a loop.",
    "DV416": "What an address follows does not exist, or is no VIP.",
    "DV417": "An address follows itself.",
    "DV418": "Only a Listen may follow.",
    "DV419": "A Listen that follows also has a preference of its own.",
    "DV420": "Neither key_file nor insecure is set; the daemon will refuse to start.",
    "DV421": "The failure timeout is too short for the heartbeat interval.",
    "DV422": "Something is enabled that has no single IP address.",
    "DV423": "A VIP is the node's own address.",
    "DV425": "A stanza needs a name and has none.",
    "DV426": "A plugin is named that is not installed, could not be loaded, is disabled, or is of another kind.",
    "DV427": "An option is missing, or empty, without which a plugin cannot be used.",
    "DV429": "One Binding stands in two groups.",
    "DV430": "An address of this kind can never be a VIP.",
    "DV431": "A preference is given for an address that is not enabled.",
    "DV433": "heartbeat_interval and heartbeats_per_sec contradict each other.",
    "DV434": "Both key_file and insecure are set; the key is used.",
    "DV435": "One address is given two different weights.",
    "DV436": "Virtual hardware addresses are asked for where they cannot be.",
    "DV437": "An option is written under a name that it had in an earlier version.",
    "DV438": "One address is given two different groups.",
    "DV501": "CONFLICT: two nodes are each named as preferred owner of one VIP.",
    "DV502": "UNSAFE: nodes run different services on one VIP, or disagree whom it follows.",
    "DV503": "BROKEN: Binding names do not match the address on all nodes; nobody will own it.",
    "DV510": "A setting that must be the same on all nodes differs.",
    "DV511": "The nodes do not manage the same set of VIPs.",
    "DV512": "An address is a VIP on one node and an ordinary address on another.",
    "DV513": "Nodes give one VIP different prefix lengths.",
    "DV514": "Two files are for the same node.",
    "DV515": "Nodes are in different cluster groups and will ignore each other.",
    "DV516": "One node's own address is a VIP on another node.",
    "DV517": "A preference names a node that is none of those given.",
}

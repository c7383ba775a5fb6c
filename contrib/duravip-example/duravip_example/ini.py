"""A configuration language that everybody can read: sections, and lines with an equals sign.

[cluster]
nodename = node1

[binding alpha]
bind_address = 10.77.0.51
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from duravip.config.diagnostics import Diagnostic, Severity
from duravip.config.document import Assignment, Document, Stanza, Value
from duravip.model import Origin
from duravip.plugin.api import ConfigParser, hookimpl

SECTION = re.compile(r"\[\s*(\w+)(?:\s+([^\]]+?))?\s*\]")
LINE = re.compile(r"(\w+)\s*=\s*(.+)")


class IniParser:
    name = "ini"
    suffixes: tuple[str, ...] = (".ini",)

    def sniff(self, text: str) -> float:
        """Less sure than TOML's parser, whose sections look alike."""
        return 0.5 if any(SECTION.fullmatch(line.strip()) for line in text.splitlines()) else 0.0

    def parse(self, text: str, *, file: str) -> Document:
        root = Stanza("", None, Origin(file, 1, 1))
        document = Document(file=file, root=root, fold_case=True)
        stanza = root
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            words = line.strip()
            origin = Origin(file, number, len(line) - len(line.lstrip()) + 1)
            if not words or words[0] in "#;":
                continue
            if section := SECTION.fullmatch(words):
                stanza = Stanza(section[1], section[2], origin)
                root.items.append(stanza)
            elif setting := LINE.fullmatch(words):
                place = Origin(file, number, origin.column + setting.start(2))
                stanza.items.append(Assignment(setting[1], Value(setting[2], place), origin))
            else:
                document.diagnostics.append(
                    Diagnostic(
                        severity=Severity.ERROR,
                        code="INI01",
                        message="this is neither a section nor a setting",
                        origin=origin,
                        hint="write [section], [section name] or key = value",
                    )
                )
        return document


@hookimpl
def duravip_config_parsers() -> Sequence[ConfigParser]:
    return [IniParser()]

"""Every diagnostic's code, once: what it means, why it is one, an example, how to mend it.

`check --explain CODE` and the reference page read it from here; a test runs every example. Nothing on a daemon's way
imports this room.
"""

from __future__ import annotations

from duravip.config.codes import between, files, machine, syntax, translation, values, within
from duravip.config.codes.code import Code

CODES: dict[str, Code] = {
    code.code: code
    for family in (syntax, files, values, within, between, machine, translation)
    for code in family.CODES
}

FAMILIES: dict[str, str] = {
    "DV1": "Syntax",
    "DV2": "Files",
    "DV3": "Values",
    "DV4": "Rules within one node's configuration",
    "DV5": "Between nodes",
    "DV6": "This machine, and the running cluster",
    "DV7": "Left behind by a translation",
}

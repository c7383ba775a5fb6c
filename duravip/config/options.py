"""How an option is declared: once, with all that `check`, `--help` and the reference page need to know of
it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class Kind(enum.Enum):
    """What a value may be, and what arrives in `options` for it: TEXT, CHOICE a `str`; ADDRESS a `str` in canonical
    form; BOOLEAN a `bool`; INTEGER an `int`; NUMBER a `float`; DURATION seconds as a `float` (`"250ms"`, `"5s"`,
    `"2m"` accepted); TEXTS a tuple of `str`, of one for a single text; NODES likewise, each name once. An option
    that is not written arrives as its `default`, unchanged."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    DURATION = "duration"
    ADDRESS = "address"
    TEXTS = "list of texts"
    CHOICE = "choice"
    NODES = "name of a node, or a list of them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """`default` None: none. One that is `required` has none: a stanza without it, or with an empty text or list, is an
    error, so a plugin is never opened without. `low` and `high` are inclusive bounds for numbers. `choices` for CHOICE;
    `words` may stand where a number is expected (`auto`). `doc`: what it does; `trade_off`: what going up or down
    costs. `since`: the version that first had it.

    What this version does not do: writing an option that is not `in_force` is an info, with what to write `instead`, if
    there is anything; so is a value among `idle`. `former_names` are still read, with a warning that says the present
    one."""

    name: str
    kind: Kind
    doc: str
    default: Any = None
    required: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    trade_off: str = ""
    since: str = "0.1"
    in_force: bool = True
    instead: str = ""
    former_names: tuple[str, ...] = ()
    idle: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.required and self.default is not None:
            raise ValueError(f"option {self.name}: what is required has no default, and this one has {self.default!r}")
        if self.instead and self.in_force:
            raise ValueError(f"option {self.name}: what is in force is written, nothing instead of it")

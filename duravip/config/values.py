"""A written value becomes a value of its option's kind, or a diagnostic that says what would be right.

Languages without types give every scalar as text, others may have types: both are accepted for every kind,
except that a text must be text where the language could say so.
"""

from __future__ import annotations

import math
import re
from typing import Any

from duravip.config.diagnostics import Findings, shown
from duravip.config.document import Scalar, Value
from duravip.config.options import Kind, Option
from duravip.model import canonical_address

TRUE_WORDS = frozenset({"true", "on", "enabled", "1"})
FALSE_WORDS = frozenset({"false", "off", "disabled", "0"})
BOOLEAN_WORDS = TRUE_WORDS | FALSE_WORDS | {"yes", "no"}
"""Words that are certainly no name of a node. `yes` and `no` are no booleans of Momentum's, and no names
either."""

NUMBER_PATTERN = r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?"
INTEGER_PATTERN = r"[+-]?[0-9]{1,18}"
DURATION_PATTERN = r"([+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18}))\s?(ms|s|m|h)"
_NUMBER, _INTEGER, _DURATION = map(re.compile, (NUMBER_PATTERN, INTEGER_PATTERN, DURATION_PATTERN))
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_EXPECTED = {
    Kind.TEXT: ("a text", 'write it as "..."'),
    Kind.BOOLEAN: ("true or false", "true/false, on/off, enabled/disabled and 1/0 are understood"),
    Kind.INTEGER: ("a whole number", ""),
    Kind.NUMBER: ("a number", ""),
    Kind.DURATION: ("a time", 'write seconds (0.1), or "250ms", "5s", "2m"'),
    Kind.ADDRESS: ("an IP address", "write it without port and prefix length"),
    Kind.TEXTS: ("a list of texts", 'write ( one two ) in Momentum\'s syntax, ["one", "two"] in TOML'),
    Kind.CHOICE: ("one of the choices", ""),
    Kind.NODES: ("the name of a node, or a list of names", 'write "one", or ( "one" "two" ), the best first'),
}


def convert(option: Option, value: Value, findings: Findings) -> Any | None:
    """The value as the option's kind has it, or None when it is unusable and `findings` says why."""
    kind, scalar = option.kind, value.content
    if kind is Kind.TEXT and isinstance(scalar, str):
        return scalar
    if kind is Kind.TEXTS:
        return _texts(option, value, findings)
    if kind is Kind.NODES:
        return _nodes(option, value, findings)
    if isinstance(scalar, tuple):
        _wrong_kind(option, value, findings)
        return None
    converted: Any = None
    match kind:
        case Kind.TEXT:
            pass
        case Kind.BOOLEAN:
            converted = _boolean(scalar)
        case Kind.CHOICE:
            return _choice(option, value, scalar, findings)
        case Kind.ADDRESS:
            return _address(option, value, scalar, findings)
        case _:
            if isinstance(scalar, str) and scalar.lower() in option.words:
                return scalar.lower()
            converted = _number(kind, scalar)
            if converted is not None and not _in_range(option, converted):
                _out_of_range(option, value, findings)
                return None
    if converted is None:
        _wrong_kind(option, value, findings)
    return converted


def seconds(number: float) -> str:
    """A duration for people: 0.35 s, 15 s."""
    return f"{number:g} s"


def _boolean(scalar: Scalar) -> bool | None:
    if isinstance(scalar, bool):
        return scalar
    word = str(scalar).lower()
    if word in TRUE_WORDS:
        return True
    return False if word in FALSE_WORDS else None


def _number(kind: Kind, scalar: Scalar) -> int | float | None:
    if isinstance(scalar, bool):
        return None
    if not isinstance(scalar, str):
        if kind is Kind.INTEGER:
            return scalar if isinstance(scalar, int) else None
        try:
            return float(scalar)
        except OverflowError:
            return math.inf
    if kind is Kind.INTEGER:
        return int(scalar) if _INTEGER.fullmatch(scalar) else None
    if _NUMBER.fullmatch(scalar):
        return float(scalar)
    with_unit = _DURATION.fullmatch(scalar) if kind is Kind.DURATION else None
    return float(with_unit[1]) * _SECONDS[with_unit[2]] if with_unit else None


def _in_range(option: Option, number: float) -> bool:
    if not math.isfinite(number):
        return False
    return (option.low is None or number >= option.low) and (option.high is None or number <= option.high)


def _texts(option: Option, value: Value, findings: Findings) -> tuple[str, ...] | None:
    """A single text counts as a list of one."""
    if isinstance(value.content, str):
        return (value.content,)
    texts: list[str] = []
    items: tuple[Any, ...] = value.content if isinstance(value.content, tuple) else (None,)
    for item in items:
        if not isinstance(item, Value) or not isinstance(item.content, str):
            _wrong_kind(option, value, findings)
            return None
        texts.append(item.content)
    return tuple(texts)


def _choice(option: Option, value: Value, scalar: Scalar, findings: Findings) -> str | None:
    word = str(scalar).lower()
    if word in option.choices:
        return word
    findings.error(
        "DV303",
        f"{option.name}: {shown(scalar)} is none of its choices",
        value.origin,
        f"choose one of: {', '.join(option.choices)}",
    )
    return None


def _nodes(option: Option, value: Value, findings: Findings) -> tuple[str, ...] | None:
    """A single name counts as a list of one. An empty text, or list, is allowed: it says "none" where a fallback would
    say something."""
    items = value.content if isinstance(value.content, tuple) else (value,)
    names: list[str] = []
    for item in items:
        if not isinstance(item, Value) or isinstance(item.content, tuple):
            _wrong_kind(option, value, findings)
            return None
        name = _node(option, item, item.content, findings)
        if name is None:
            return None
        names.append(name)
    return tuple(dict.fromkeys(name for name in names if name))


def _node(option: Option, value: Value, scalar: Scalar, findings: Findings) -> str | None:
    name = str(scalar)
    if name.lower() in BOOLEAN_WORDS:
        findings.error(
            "DV306",
            f"{option.name} is the name of a node, not a boolean like {shown(name)}: "
            "a file that is copied between machines must not make two nodes prefer the same address",
            value.origin,
            "name the one node that should own the address",
        )
        return None
    if not isinstance(scalar, str):
        _wrong_kind(option, value, findings)
        return None
    if name and (problem := name_problem(name)):
        findings.error("DV308", f"{option.name}: {shown(name)} {problem}", value.origin)
        return None
    return name


def name_problem(name: str) -> str:
    """Why `name` cannot be a node's name, as the rest of a sentence; "" when it can."""
    if not name:
        return "is empty"
    if len(name.encode(errors="replace")) > 255:
        return "is longer than 255 bytes"
    if "/" in name or name in (".", ".."):
        return "cannot be part of a file's name"
    if any(char.isspace() or not char.isprintable() for char in name):
        return "holds white space or a character that cannot be printed"
    return ""


def _address(option: Option, value: Value, scalar: Scalar, findings: Findings) -> str | None:
    try:
        return canonical_address(str(scalar))
    except ValueError:
        findings.error(
            "DV304",
            f"{option.name}: {shown(scalar)} is no IP address",
            value.origin,
            _EXPECTED[Kind.ADDRESS][1],
        )
        return None


def _wrong_kind(option: Option, value: Value, findings: Findings) -> None:
    expected, hint = _EXPECTED[option.kind]
    if option.words:
        expected += f" or {', '.join(option.words)}"
    content = value.content
    if isinstance(content, tuple):
        what = "a list or a dictionary" if content else "an empty list"
    else:
        what = shown(content)
        if isinstance(content, str) and not value.quoted and content.endswith((";", ",")):
            hint = f"this language has no `{content[-1]}` between items: leave it out"
    findings.error("DV301", f"{option.name}: {expected} is expected here, not {what}", value.origin, hint)


def _out_of_range(option: Option, value: Value, findings: Findings) -> None:
    unit = f" {option.unit}" if option.unit else ""
    if option.low is not None and option.high is not None:
        bounds = f"from {option.low:g} to {option.high:g}{unit}"
    elif option.low is not None:
        bounds = f"at least {option.low:g}{unit}"
    elif option.high is not None:
        bounds = f"at most {option.high:g}{unit}"
    else:
        bounds = "a finite number"
    findings.error(
        "DV302", f"{option.name}: {shown(value.content)} is out of range", value.origin, f"allowed: {bounds}"
    )

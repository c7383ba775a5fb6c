"""What the pages take from the code, as markdown: tables of messages, constants, states, commands, options.

Everything here is a question to the code: no fact is written down twice.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from duravip.config.option_text import default_text, meaning_text, value_text
from duravip.config.options import Option

ROOT = Path(__file__).parents[1]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; a `|` in a cell is escaped."""
    lines = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def code(text: object) -> str:
    return f"`{text}`"


def one_line(text: str | None) -> str:
    """A docstring as one paragraph."""
    return " ".join(inspect.cleandoc(text or "").split())


# --- state machines -----------------------------------------------------------------------------------------------


def moves_table(moves: Mapping[Any, frozenset[Any]], *, none: str) -> str:
    """Legal moves: a row for each state. `none` is what the state None is called."""
    return table(
        ("from", "to"),
        [(_state(state, none), ", ".join(_in_order(targets, moves, none)) or "-") for state, targets in moves.items()],
    )


def moves_diagram(moves: Mapping[Any, frozenset[Any]], *, none: str) -> str:
    """The same as a diagram (mermaid)."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for state, targets in moves.items():
        lines += [f"    {_state(state, none)} --> {target}" for target in _in_order(targets, moves, none)]
    return "\n".join([*lines, "```"])


def _state(state: enum.Enum | None, none: str) -> str:
    return none if state is None else str(state.value)


def _in_order(targets: frozenset[Any], moves: Mapping[Any, frozenset[Any]], none: str) -> list[str]:
    return [_state(state, none) for state in moves if state in targets]


# --- messages -----------------------------------------------------------------------------------------------------


def type_text(given: Any) -> str:
    """A type as people read it: `Count`, `tuple of Member`, `Digest or nil`."""
    origin, inner = typing.get_origin(given), typing.get_args(given)
    if origin is typing.Annotated:
        return type_text(inner[0]) + _bounds(inner[1:])
    if origin is tuple:
        return f"array of {type_text(inner[0])}"
    if origin in (types.UnionType, typing.Union):
        parts = [type_text(one) for one in inner if one is not type(None)]
        return " or ".join([*parts, "nil"] if type(None) in inner else parts)
    return str(getattr(given, "__name__", given))


def _bounds(annotations: Sequence[Any]) -> str:
    said = []
    for meta in annotations:
        if isinstance(meta, msgspec.Meta):
            said += [f">= {meta.ge}"] if meta.ge is not None else []
            said += [f"> {meta.gt}"] if meta.gt is not None else []
            said += [f"< {_power(meta.lt)}"] if meta.lt is not None else []
            said += [f"<= {meta.le}"] if meta.le is not None else []
            said += [f"at least {meta.min_length}"] if meta.min_length else []
            said += [f"at most {meta.max_length}"] if meta.max_length is not None else []
    return f" ({', '.join(said)})" if said else ""


def _power(number: float) -> str:
    exponent = int(number).bit_length() - 1
    return f"2^{exponent}" if number == 1 << exponent and exponent > 16 else str(number)


def struct_section(struct: type[msgspec.Struct], *, level: int = 4) -> str:
    """Name, docstring, and the fields in the order in which they travel."""
    hints = typing.get_type_hints(struct, include_extras=True)
    tag = struct.__struct_config__.tag
    doc = one_line(struct.__doc__)
    rows = [(code(field.name), type_text(hints[field.name])) for field in msgspec.structs.fields(struct)]
    parts = [f"{'#' * level} {struct.__name__}", doc]
    if tag:
        parts.append(f"Tag `{tag}`" + ("; no other fields." if not rows else "; then, in this order:"))
    if rows:
        parts.append(table(("field", "type"), rows))
    return "\n\n".join(part for part in parts if part)


def union_sections(union: Any, *, level: int = 4) -> str:
    return "\n\n".join(struct_section(one, level=level) for one in typing.get_args(union))


# --- constants ----------------------------------------------------------------------------------------------------

_ASSIGNED = re.compile(
    r"^(?P<name>[A-Z][A-Z0-9_]*)(?:, [A-Z_, ]+)?(?:: Final)? = [^#\n]*(?:# *(?P<doc>.*))?$", re.MULTILINE
)


def constants_table(module_names: Sequence[str]) -> str:
    """Public numeric constants of modules, with the comments that stand on their lines."""
    rows = []
    for name in module_names:
        module = importlib.import_module(name)
        for found in _ASSIGNED.finditer(inspect.getsource(module)):
            value = getattr(module, found["name"])
            if isinstance(value, int | float) and not isinstance(value, bool):
                short = name.removeprefix("duravip.")
                rows.append((code(found["name"]), f"{value:,}".replace(",", " "), found["doc"] or "", code(short)))
    return table(("constant", "value", "meaning", "in"), rows)


# --- options ------------------------------------------------------------------------------------------------------


def plugin_modules() -> dict[str, Any]:
    """Our own plugins, by entry point, whether or not the distribution is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    entry_points = project["project"]["entry-points"]["duravip"]
    return {name: importlib.import_module(target) for name, target in sorted(entry_points.items())}


_HOOKS = {"duravip_transports": "transport", "duravip_backends": "backend", "duravip_notifiers": "notifier"}


def plugin_options() -> dict[str, tuple[Option, ...]]:
    """Stanza -> options of our own plugins."""
    return {one.name: one.options for _, one in _offered()}


def plugin_kinds() -> dict[str, str]:
    """Stanza -> transport, backend or notifier."""
    return {one.name: kind for kind, one in _offered()}


def _offered() -> Iterator[tuple[str, Any]]:
    for module in plugin_modules().values():
        for hook, kind in _HOOKS.items():
            yield from ((kind, one) for one in getattr(module, hook, tuple)())


def options_table(options: Iterable[Option]) -> str:
    return table(
        ("option", "value", "default", "what it does", "since"),
        [
            (
                code(one.name),
                value_text(one, code),
                default_text(one, code),
                meaning_text(one, code, lambda text: f"**{text}**"),
                one.since,
            )
            for one in options
        ],
    )


# --- commands -----------------------------------------------------------------------------------------------------


def command_section(name: str, command: click.Command, line: str) -> str:
    usage = " ".join(["duravip", name, *_usage(command)])
    prose = _prose(command.help)
    parts = [f"## duravip {name}", "" if prose.startswith(line) else line, f"    {usage}", prose]
    rows = [row for row in (_parameter(parameter) for parameter in command.params) if row is not None]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    if command.epilog:
        parts.append(_prose(command.epilog))
    return "\n\n".join(part for part in parts if part)


def _usage(command: click.Command) -> list[str]:
    context = click.Context(command)
    return [piece for piece in command.collect_usage_pieces(context) if piece]


def _parameter(parameter: click.Parameter) -> tuple[str, str] | None:
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return None
    names = ", ".join(code(name) for name in parameter.opts)
    if not parameter.is_flag:
        metavar = parameter.metavar
        if isinstance(parameter.type, click.Choice):
            metavar = "|".join(parameter.type.choices)
        names += f" {metavar or parameter.type.name.upper()}"
    said = [parameter.help or ""]
    if isinstance(parameter.default, str) and parameter.show_default:
        said.append(f"Default: {code(parameter.default)}.")
    if parameter.required:
        said.append("Required.")
    return names, " ".join(filter(None, said))


def _prose(text: str | None) -> str:
    """Click's text: paragraphs that begin with \\b keep their lines."""
    paragraphs = []
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        lines = paragraph.split("\n")
        if lines[0].strip() == "\b":
            title = [lines[1]] if not lines[1].startswith(" ") else []
            rest = [line.strip() for line in lines[1 + len(title) :]]
            paragraphs += [*title, "\n".join(["```", *rest, "```"])]
        else:
            paragraphs.append(" ".join(line.strip() for line in lines))
    return "\n\n".join(filter(None, paragraphs))

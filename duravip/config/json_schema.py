"""The configuration in TOML as a JSON Schema: what editors complete, explain and mark as wrong comes from `schema`.

It says of each value what `check` says of it by itself; what values mean together only `check` knows. Words that
`check` takes in any case stand in it in small letters.

Source: JSON Schema draft-07, which is what the editors' TOML extensions read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from duravip.config import schema
from duravip.config.option_text import meaning_text
from duravip.config.options import Kind, Option
from duravip.config.values import (
    BOOLEAN_WORDS,
    DURATION_PATTERN,
    FALSE_WORDS,
    INTEGER_PATTERN,
    NUMBER_PATTERN,
    TRUE_WORDS,
)

DRAFT = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]

_NAME: Schema = {"type": "string", "minLength": 1}


def json_schema(plugin_options: Mapping[str, tuple[Option, ...]]) -> Schema:
    """For the stanzas of ours and of the plugins that are given."""
    topology = _named_tables("network", _table(schema.TOPOLOGY))
    binding = _named_tables("name", _table(schema.BINDING))
    tables = {
        "cluster": _table(schema.CLUSTER, {"topology": topology}),
        "topology": topology,
        "binding": binding,
        "binding_group": _named_tables("name", _table(schema.BINDING_GROUP, {"binding": binding})),
        "listener": _one_or_more(
            _table(schema.LISTEN, {"kind": _NAME, "listen": _NAME, "name": _NAME}, required=("kind", "listen")),
        ),
        "security": _table(schema.SECURITY),
        **{stanza: _plugin(options) for stanza, options in sorted(plugin_options.items())},
    }
    return {
        "$schema": DRAFT,
        "title": "Configuration of a duravip node",
        "type": "object",
        "properties": {**_properties(schema.GLOBAL), **tables},
        "additionalProperties": {"type": ["object", "array"]},  # stanzas of plugins that are installed elsewhere
    }


def _table(
    options: Iterable[Option], more: Mapping[str, Schema] | None = None, *, required: tuple[str, ...] = ()
) -> Schema:
    options = tuple(options)
    found: Schema = {
        "type": "object",
        "properties": {**_properties(options), **(more or {})},
        "additionalProperties": False,
    }
    if needed := [*required, *(option.name for option in options if option.required)]:
        found["required"] = needed
    return found


def _one_or_more(table: Schema) -> Schema:
    return {"anyOf": [{"type": "array", "items": table}, table]}


def _named_tables(key: str, table: Schema) -> Schema:
    """`[[binding]] name = "x"` or `[binding.x]`."""
    inside = {**table, "properties": {key: _NAME, **table["properties"]}, "required": [key]}
    return {"anyOf": [{"type": "array", "items": inside}, inside, {"type": "object", "additionalProperties": table}]}


def _plugin(options: tuple[Option, ...]) -> Schema:
    """`[webhook]`, `[webhook.pager]`, or `[[webhook]] name = "pager"`."""
    table = _table(options)
    named = {**table, "properties": {"name": _NAME, **table["properties"]}}
    return {
        "anyOf": [
            {**table, "additionalProperties": table},
            {"type": "object", "additionalProperties": table},
            {"type": "array", "items": named},
        ]
    }


def _properties(options: Iterable[Option]) -> dict[str, Schema]:
    found = {}
    for option in options:
        found[option.name] = _value(option)
        found |= {
            former: {**_value(option), "description": f"Now called {option.name}."} for former in option.former_names
        }
    return found


def _value(option: Option) -> Schema:
    found = {"description": meaning_text(option), **_shape(option)}
    if option.default is not None:
        found["default"] = list(option.default) if isinstance(option.default, tuple) else option.default
    return found


def _shape(option: Option) -> Schema:
    match option.kind:
        case Kind.TEXT:
            return {"type": "string"}
        case Kind.NODES:
            name: Schema = {"type": "string", "not": {"enum": sorted(BOOLEAN_WORDS)}}
            return {"anyOf": [name, {"type": "array", "items": name}]}
        case Kind.TEXTS:
            return {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
        case Kind.CHOICE:
            return {"enum": list(option.choices)}
        case Kind.ADDRESS:
            return {"type": "string", "pattern": "^[0-9A-Fa-f:.]+$"}
        case Kind.BOOLEAN:
            return {"anyOf": [{"type": "boolean"}, {"enum": sorted(TRUE_WORDS | FALSE_WORDS)}, {"enum": [0, 1]}]}
        case Kind.INTEGER:
            number, text = "integer", INTEGER_PATTERN
        case Kind.NUMBER:
            number, text = "number", NUMBER_PATTERN
        case Kind.DURATION:
            number, text = "number", f"{NUMBER_PATTERN}|{DURATION_PATTERN}"
    bounds = {"minimum": option.low, "maximum": option.high}
    shapes: list[Schema] = [
        {"type": number, **{word: bound for word, bound in bounds.items() if bound is not None}},
        {"type": "string", "pattern": f"^(?:{text})$"},
    ]
    if option.words:
        shapes.append({"enum": list(option.words)})
    return {"anyOf": shapes}

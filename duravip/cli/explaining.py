"""`duravip check --explain WORD`: an option, by its schema, or a diagnostic's code, by the catalogue."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from duravip.config.option_text import default_text, meaning_text, value_text
from duravip.errors import UsageError

if TYPE_CHECKING:
    from duravip.config.codes.code import Code
    from duravip.config.options import Option

_WIDTH = 100
_INDENT = "    "


def explain(word: str, plugin_options: Mapping[str, tuple[Option, ...]]) -> str:
    """`word` is an option's name, alone or as `SCOPE.OPTION`, or a code; case does not matter. Raises UsageError when
    there is no such thing, with the nearest that there is."""
    from duravip.config.codes import CODES
    from duravip.config.schema import SCOPES
    from duravip.config.spelling import suggestion

    asked = word.lower()
    if code := CODES.get(word.upper()):
        return _code(code)
    found: dict[Option, list[str]] = {}
    names: set[str] = set()
    for scope, options in {**SCOPES, **plugin_options}.items():
        for option in options:
            names |= {option.name, f"{scope}.{option.name}"}
            if asked in (option.name, f"{scope}.{option.name}", *option.former_names):
                found.setdefault(option, []).append(scope)
    if found:
        return "\n".join(_option(option, scopes) for option, scopes in found.items())
    near = suggestion(asked, sorted(names)) or suggestion(word.upper(), sorted(CODES))
    raise UsageError(
        f"--explain {word}: there is no such option or code"
        + (
            f"; did you mean {near}?"
            if near
            else "; docs/reference/options.md and diagnostics.md have all but codes of plugins' own"
        )
    )


def _option(option: Option, scopes: list[str]) -> str:
    lines = [f"{option.name} (in {', '.join(scopes)})"]
    lines += _wrapped(meaning_text(option))
    facts = {
        "takes": value_text(option),
        "default": default_text(option) + (f" {option.unit}" if option.unit and option.default is not None else ""),
        "since": option.since,
    }
    lines += [f"{_INDENT}{name.ljust(8)} {text}" for name, text in facts.items()]
    return "\n".join(lines) + "\n"


def _code(code: Code) -> str:
    lines = [f"{code.code} ({code.severity.value}): {code.what}", *_wrapped(code.why), "", *_wrapped(code.mend)]
    for name, text in code.files().items():
        lines += ["", f"{_INDENT}{name}:", textwrap.indent(text.rstrip(), 2 * _INDENT)]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> Iterator[str]:
    return iter(textwrap.wrap(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))

"""An option in words: what it takes, its default, and all of it on one screen. One wording for every place that shows
options: `check --explain`, the reference page, JSON Schema."""

from __future__ import annotations

from collections.abc import Callable

from duravip.config.options import Kind, Option


def plain(text: object) -> str:
    return str(text)


def value_text(option: Option, quoted: Callable[[object], str] = plain) -> str:
    """`duration, 0.1 to 60 s`. Words that are to be written as they stand go through `quoted`."""
    if option.kind is Kind.CHOICE:
        return ", ".join(quoted(choice) for choice in option.choices)
    text: str = option.kind.value
    if option.low is not None and option.high is not None:
        text += f", {_written(option.low)} to {_written(option.high)}"
    elif option.low is not None:
        text += f", at least {_written(option.low)}"
    if option.unit:
        text += f" {option.unit}"
    return text + "".join(f", or {quoted(word)}" for word in option.words)


def default_text(option: Option, quoted: Callable[[object], str] = plain) -> str:
    if option.required:
        return "required"
    if option.default is None or option.default == ():
        return "none"
    several = option.default if isinstance(option.default, tuple) else (option.default,)
    return ", ".join(quoted(_written(one)) for one in several)


def meaning_text(option: Option, quoted: Callable[[object], str] = plain, strong: Callable[[str], str] = plain) -> str:
    """What it does, what going up or down costs, what is not there yet. `strong`: for what must not be overlooked."""
    parts = [option.doc]
    if option.trade_off:
        parts.append(option.trade_off)
    if not option.in_force:
        parts.append(strong("Read, without effect in this version."))
        if option.instead:
            parts.append(f"{option.instead[0].upper()}{option.instead[1:]}.")
    parts += [strong(f"{quoted(_written(value))} has no effect yet.") for value in option.idle]
    if option.former_names:
        parts.append(f"Formerly {', '.join(map(quoted, option.former_names))}.")
    return " ".join(parts)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return str(value)

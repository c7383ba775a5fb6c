"""The sections of the diagnostics page: what each code means, and what `check` answers its example."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import from_code

from duravip.cli.check import check
from duravip.cli.diagnostic_text import text_of
from duravip.config.codes.code import Code


def section(code: Code) -> Iterator[str]:
    yield f"**{code.severity.value.capitalize()}.** {code.what} {code.why}"
    yield f"*To mend it:* {code.mend}"
    for name, text in code.files().items():
        yield f"`{name}`:"
        yield f"```{'toml' if name.endswith('.toml') else ''}\n{text}```"
    if code.example or code.arguments:
        yield f"`duravip check {' '.join([*code.files(), *code.arguments])}` says:"
        yield f"```\n{answer(code)}\n```"


def answer(code: Code) -> str:
    """What `check` says of the example, of this code alone."""
    modules = from_code.plugin_modules().values()
    parsers = [one for module in modules for one in getattr(module, "duravip_config_parsers", tuple)()]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, text in code.files().items():
            Path(name).write_text(text)
        checked = check(
            [*code.files(), *code.arguments],
            parsers=parsers,
            plugin_options=from_code.plugin_options(),
            plugin_kinds=from_code.plugin_kinds(),
            resolve=_nothing,
        )
        found = [one for one in checked.diagnostics if one.code == code.code]
        if not found:
            raise AssertionError(f"the example of {code.code} is not reported so, but {checked.diagnostics}")
        return text_of(found).replace(os.getcwd(), "/etc/duravip")


def _nothing(name: str) -> tuple[str, ...]:
    raise OSError("Name or service not known")

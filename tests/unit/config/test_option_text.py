"""Options in words."""

from __future__ import annotations

import pytest

from duravip.config.option_text import default_text, meaning_text, value_text
from duravip.config.options import Kind, Option


def quoted(text: object) -> str:
    return f"`{text}`"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (Option(name="o", kind=Kind.CHOICE, doc="", choices=("on", "off")), "`on`, `off`"),
        (Option(name="o", kind=Kind.TEXT, doc=""), "text"),
        (Option(name="o", kind=Kind.DURATION, doc="", low=0.1, high=60.0, unit="s"), "duration, 0.1 to 60 s"),
        (Option(name="o", kind=Kind.INTEGER, doc="", low=0, words=("auto",)), "integer, at least 0, or `auto`"),
    ],
)
def test_what_an_option_takes_is_said_with_its_bounds_unit_and_words(option: Option, said: str) -> None:
    assert value_text(option, quoted) == said


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (Option(name="o", kind=Kind.TEXT, doc="", required=True), "required"),
        (Option(name="o", kind=Kind.TEXT, doc=""), "none"),
        (Option(name="o", kind=Kind.TEXTS, doc="", default=()), "none"),
        (Option(name="o", kind=Kind.TEXTS, doc="", default=("a", "b")), "`a`, `b`"),
        (Option(name="o", kind=Kind.BOOLEAN, doc="", default=True), "`true`"),
        (Option(name="o", kind=Kind.BOOLEAN, doc="", default=False), "`false`"),
        (Option(name="o", kind=Kind.NUMBER, doc="", default=5.0), "`5`"),
    ],
)
def test_a_default_is_written_as_it_would_be_in_a_file(option: Option, said: str) -> None:
    assert default_text(option, quoted) == said


def test_what_has_no_effect_or_was_named_otherwise_is_said_after_what_it_does() -> None:
    option = Option(
        name="o",
        kind=Kind.CHOICE,
        doc="Does it.",
        choices=("a", "b", "c"),
        trade_off="Costs.",
        former_names=("p", "q"),
        idle=("a", "b"),
    )
    assert meaning_text(option, quoted, "*{}*".format) == (
        "Does it. Costs. *`a` has no effect yet.* *`b` has no effect yet.* Formerly `p`, `q`."
    )


def test_an_option_that_is_not_in_force_says_so_and_what_to_write_instead_if_there_is_anything() -> None:
    idle = Option(name="o", kind=Kind.TEXT, doc="Would.", in_force=False)
    assert meaning_text(idle, strong="*{}*".format) == "Would. *Read, without effect in this version.*"
    other = Option(name="o", kind=Kind.TEXT, doc="Would.", in_force=False, instead="write it elsewhere")
    assert meaning_text(other) == "Would. Read, without effect in this version. Write it elsewhere."

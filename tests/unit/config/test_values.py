"""Written values of each kind: what is read, and what is said of the rest."""

from __future__ import annotations

import pytest

from duravip.config.diagnostics import Findings
from duravip.config.document import Value
from duravip.config.options import Kind, Option
from duravip.config.values import convert
from duravip.model import Origin

PLACE = Origin("f", 3, 7)


def read(option: Option, content: object) -> tuple[object, list[str]]:
    """The value, and what is said."""
    findings = Findings()
    items = tuple(Value(item, PLACE) for item in content) if isinstance(content, list) else content
    value = convert(option, Value(items, PLACE), findings)  # type: ignore[arg-type]
    assert all(found.origin == PLACE for found in findings.as_found())
    return value, [f"{found.code} {found.message}; {found.hint}" for found in findings.as_found()]


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.DURATION, Kind.INTEGER])
@pytest.mark.parametrize(
    ("low", "high", "content", "allowed"),
    [
        (1, 5, 6, "from 1 to 5 s"),
        (1, 5, 0, "from 1 to 5 s"),
        (1, None, 0, "at least 1 s"),
        (None, 5, 6, "at most 5 s"),
    ],
)
def test_a_number_out_of_range_is_told_what_is_allowed(kind, low, high, content, allowed) -> None:
    option = Option(name="o", kind=kind, doc="", low=low, high=high, unit="s")
    assert read(option, content) == (None, [f"DV302 o: `{content}` is out of range; allowed: {allowed}"])
    assert read(option, 3)[0] == 3


@pytest.mark.parametrize("content", [10**400, -(10**400), float("inf"), float("nan"), "9" * 30 + "e999"])
def test_a_number_that_no_machine_has_is_out_of_any_range(content) -> None:
    value, (said,) = read(Option(name="o", kind=Kind.NUMBER, doc=""), content)
    assert value is None
    assert said.startswith("DV302")
    assert said.endswith("allowed: a finite number")


@pytest.mark.parametrize("content", [5, True, ["a", 5], ["a", True]])
def test_a_list_of_texts_has_texts_only(content) -> None:
    value, (said,) = read(Option(name="o", kind=Kind.TEXTS, doc=""), content)
    assert value is None
    assert said.startswith("DV301 o: a list of texts is expected here, not ")


@pytest.mark.parametrize(
    ("content", "read_as"), [("a", ("a",)), (["a", "b", "a"], ("a", "b")), ("", ()), ([], ()), (["", "b"], ("b",))]
)
def test_nodes_are_each_named_once_and_an_empty_one_is_none(content, read_as) -> None:
    assert read(Option(name="o", kind=Kind.NODES, doc=""), content) == (read_as, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (5, "DV301 o: the name of a node, or a list of names is expected here, not `5`"),
        (["a", 5], "DV301 o: the name of a node, or a list of names is expected here, not `5`"),
        (["a", True], "DV306 o is the name of a node, not a boolean"),
        (["a", "b/c"], "DV308 o: "),
    ],
)
def test_what_is_no_name_of_a_node_is_an_error(content, said) -> None:
    value, (found,) = read(Option(name="o", kind=Kind.NODES, doc=""), content)
    assert value is None
    assert found.startswith(said)


def test_a_list_within_a_list_is_no_name() -> None:
    findings = Findings()
    inner = Value((Value("a", PLACE),), PLACE)
    assert convert(Option(name="o", kind=Kind.NODES, doc=""), Value((inner,), PLACE), findings) is None
    assert [found.code for found in findings.as_found()] == ["DV301"]


def test_a_choice_is_read_in_small_letters_and_another_is_told_what_there_is() -> None:
    option = Option(name="o", kind=Kind.CHOICE, doc="", choices=("on", "off"))
    assert read(option, "ON") == ("on", [])
    value, (said,) = read(option, "of")
    assert (value, said.endswith("is none of its choices; choose one of: on, off")) == (None, True)

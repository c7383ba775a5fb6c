"""docs/explanation/protocol.md suffices for a second implementation: every structure on the wire is on the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import inspect

from duravip.cluster import messages

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "protocol.md").read_text()


def structures(info: inspect.Type) -> Iterator[inspect.StructType]:
    """Every structure in a type, itself first."""
    match info:
        case inspect.StructType(fields=fields):
            yield info
            for field in fields:
                yield from structures(field.type)
        case inspect.UnionType(types=types):
            for one in types:
                yield from structures(one)
        case inspect.VarTupleType(item_type=item):
            yield from structures(item)
        case inspect.TupleType() | inspect.ListType() | inspect.DictType() | inspect.SetType() | inspect.Metadata():
            raise TypeError(f"look into this kind of type, too: {info}")


def section(name: str) -> str:
    return re.split(r"\n(?:#### |<!-- end)", PAGE.partition(f"\n#### {name}\n")[2])[0]


def test_every_structure_of_every_message_is_on_the_page_with_all_its_fields() -> None:
    found = {one.cls: one for one in structures(inspect.type_info(messages.AnyMessage))}
    assert {messages.Numbered, messages.Switched, messages.Round, messages.Roll} <= set(found)
    for kind, info in found.items():
        fields = re.findall(r"^\| `(\w+)` \|", section(kind.__name__), re.MULTILINE)
        assert f"\n#### {kind.__name__}\n" in PAGE, f"{kind.__name__}: add it to `parts` in docs/generate.py"
        assert fields == [field.name for field in info.fields], kind.__name__

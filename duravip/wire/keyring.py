"""The keys of a node: with what it seals, and what it opens. Which it has at a time follows from three options.

    insecure = true              says and opens plain datagrams only
    seal = "receive-only"        says everything twice, plain and sealed with the first key; opens both
    seal = "enforce" (default)   seals with the first key; opens what any of its keys has sealed, and nothing plain

So a node in the middle state understands both others, and is understood by both: a cluster goes from the first to the
last, or back, node by node. While it lasts anybody on the network can join, as without a key.

Rules of this file: two keyrings fit together when nodes that have them understand each other both ways (`understands`).
A daemon takes a new keyring only when it fits with its present one, because other members still have that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from duravip.wire.seal import key_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """`keys`: the first seals, all open. `plain`: plain datagrams are said and opened beside; without keys they are
    anyhow. A repr shows no key."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)
    plain: bool = False

    @property
    def says(self) -> tuple[bytes | None, ...]:
        """The forms in which everything is said: a key, or None for plain."""
        if not self.keys:
            return (None,)
        return (self.keys[0], None) if self.plain else (self.keys[0],)

    def opens(self, form: bytes | None) -> bool:
        return form in self.keys if form is not None else self.plain or not self.keys

    def understands(self, other: Keyring) -> bool:
        """Whether nodes with these two understand each other, both ways."""
        return any(map(self.opens, other.says)) and any(map(other.opens, self.says))

    def ids(self) -> list[str]:
        """Of the keys, in their order."""
        return [id_text(key_id(key)) for key in self.keys]

    def as_json(self) -> dict[str, object]:
        """For `info` and `reload`: ids, no keys."""
        return {
            "mode": "insecure" if not self.keys else "receive-only" if self.plain else "enforce",
            "seals_with": self.ids()[0] if self.keys else None,
            "opens": self.ids(),
        }


def id_text(number: int) -> str:
    """A key's id as people see it."""
    return f"{number:08x}"

"""Damaging bytes with taste: most bytes that arrive anywhere here are MessagePack, so the tree inside is damaged as
often as the bytes are. The same seed and input give the same damage."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

MAX_BYTES = 16_384
NUMBERS = (0, 1, 2, 3, 4, 5, 127, 128, 255, 256, 65_535, 65_536, 2**31, 2**32 - 1, 2**53 - 2, 2**53 - 1, 2**53)
NUMBERS_BEYOND = (-1, -(2**31), 2**63 - 1, 2**63, 2**64 - 1)
FLOATS = (0.0, -0.0, 1.0, 1e-300, 1e300, -1.0, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "a", "m", "192.0.2.1", "192.0.2.9", "2001:db8::1", "\0", "\ud7ff", "x" * 300, "auto", "strict", "true")
BYTES = (b"", b"\0", b"\x04\x01\x81\x84\x80\x80\x0c", b"\x04\x81", b"\x06" + b"\xff" * 30, b"\xff" * 64)
DEPTH = 40  # of trees that are damaged; deeper ones are bytes

Tree = object


def mutate(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four injuries. `others`: inputs that parts may be taken from."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = _injure(data, chance, others)
    return data[:MAX_BYTES]


def _injure(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    if chance.random() < 0.6:
        injured = _injure_tree(data, chance, others)
        if injured is not None:
            return injured
    return _injure_bytes(data, chance, others)


def _injure_bytes(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 64)))
    match chance.randrange(7):
        case 0:
            return data[:at] + data[end:]
        case 1:
            return data[:at] + chance.randbytes(end - at) + data[end:]
        case 2 if at < len(data):
            return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]
        case 3:
            return data[:at] + data[at:end] * chance.choice((2, 3, 50)) + data[end:]
        case 4:
            size = chance.choice((1, 2, 4, 8))
            number = chance.choice(NUMBERS) % (1 << 8 * size)
            return data[:at] + number.to_bytes(size, chance.choice(("big", "little"))) + data[at + size :]
        case 5 if others:
            other = chance.choice(others)
            cut = chance.randint(0, len(other))
            return data[:at] + other[cut:]
        case _:
            return data[:at] + chance.randbytes(chance.choice((1, 2, 8))) + data[at:]


def _injure_tree(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes | None:
    """None when there is no tree in it. A first byte 0, as bodies have it, is kept."""
    head = data[:1] if data[:1] == b"\0" else b""
    tree = _tree(data[len(head) :])
    if not isinstance(tree, list | dict):
        return None
    pool = [one for other in others[:4] if (one := _tree(other[other[:1] == b"\0" :])) is not None] or [tree]
    try:
        return head + msgspec.msgpack.encode(_graft(tree, chance, pool))
    except (OverflowError, RecursionError, UnicodeError, TypeError, ValueError):
        return None


def _tree(data: bytes) -> Tree:
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


def _graft(tree: Tree, chance: random.Random, pool: Sequence[Tree], depth: int = 0) -> Tree:
    """The tree with one place changed, chosen by walking down at random."""
    if isinstance(tree, dict) and tree and depth < DEPTH and chance.random() < 0.9:
        key = chance.choice(list(tree))
        return {**tree, key: _graft(tree[key], chance, pool, depth + 1)}
    if isinstance(tree, list) and tree and depth < DEPTH and chance.random() < 0.85:
        at = chance.randrange(len(tree))
        return [*tree[:at], _graft(tree[at], chance, pool, depth + 1), *tree[at + 1 :]]
    return _replaced(tree, chance, pool)


def _replaced(tree: Tree, chance: random.Random, pool: Sequence[Tree]) -> Tree:
    kind = chance.random()
    if kind < 0.25:
        return _somewhere(chance.choice(pool), chance)
    match tree:
        case bool():
            return not tree
        case int():
            return chance.choice((chance.choice(NUMBERS), tree + 1, max(0, tree - 1), chance.choice(NUMBERS_BEYOND)))
        case float():
            return chance.choice(FLOATS)
        case str():
            return chance.choice((*TEXTS, tree + "x", tree[:-1]))
        case bytes():
            return chance.choice((*BYTES, tree[:-1], tree + tree[-1:], _injure_bytes(tree, chance, ())))
        case list():
            doubled = tree * chance.choice((2, 2, 30)) if len(tree) < 100 else tree
            return chance.choice(([], tree[:-1], doubled, list(reversed(tree)), [*tree, _somewhere(tree, chance)]))
        case _:
            return chance.choice((None, 0, "a", [], {}, True, *FLOATS))


def _somewhere(tree: Tree, chance: random.Random) -> Tree:
    """A part of it."""
    while isinstance(tree, list) and tree and chance.random() < 0.8:
        tree = chance.choice(tree)
    return tree

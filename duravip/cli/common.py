"""What commands that read several configurations share."""

from __future__ import annotations

from duravip.model import NodeName


def split_name(argument: str) -> tuple[NodeName | None, str]:
    """`NAME=FILE` as (NAME, FILE), a mere FILE as (None, FILE). What stands before `=` is a name without
    `/`."""
    name, equals, path = argument.partition("=")
    if equals and name and "/" not in name:
        return NodeName(name), path
    return None, argument

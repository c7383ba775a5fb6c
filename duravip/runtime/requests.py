"""What may be asked on the control socket: the request's shapes, and their decoder."""

from __future__ import annotations

import msgspec


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """Base of all requests."""


class Ping(_Request, frozen=True, kw_only=True, tag="ping"):
    """Is the node ready, is its view mature?"""


class Show(_Request, frozen=True, kw_only=True, tag="show"):
    address: str | None = None


class Explain(_Request, frozen=True, kw_only=True, tag="explain"):
    address: str


class Members(_Request, frozen=True, kw_only=True, tag="members"):
    pass


class Tables(_Request, frozen=True, kw_only=True, tag="tables"):
    """What every member of the view has in force."""


class Info(_Request, frozen=True, kw_only=True, tag="info"):
    pass


class Events(_Request, frozen=True, kw_only=True, tag="events"):
    """`filters` are globs over ids, any of which may match; `past` False: only what happens from now on."""

    follow: bool = False
    filters: tuple[str, ...] = ("*",)
    past: bool = True


class Move(_Request, frozen=True, kw_only=True, tag="move"):
    """Acts. `node` None: wherever the election puts it."""

    address: str
    node: str | None


class Announce(_Request, frozen=True, kw_only=True, tag="announce"):
    """Acts. This node's addresses, or (`everywhere`) every owner's."""

    everywhere: bool


class Drain(_Request, frozen=True, kw_only=True, tag="drain"):
    """Acts. `node`: this daemon's own name, or None."""

    node: str | None = None
    force: bool = False


class Undrain(_Request, frozen=True, kw_only=True, tag="undrain"):
    """Acts. `node`: this daemon's own name, or None."""

    node: str | None = None


class Reload(_Request, frozen=True, kw_only=True, tag="reload"):
    """Acts, unless `dry_run`. `cluster`: all members read theirs, and switch together or not at all."""

    dry_run: bool = False
    cluster: bool = False


Action = Move | Announce | Drain | Undrain | Reload
"""What is for root only."""

Request = Ping | Show | Explain | Members | Tables | Info | Events | Action

decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)

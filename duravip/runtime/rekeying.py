"""The keys of a running daemon: read with every configuration, and changed without a datagram lost.

Rules of this file: a keyring is read aside, in a thread, with the configuration that names it. One that a member with
the present one would not understand, or be understood by, is refused with the configuration: then a change that is made
in steps, each on all members before the next, never cuts anybody off. The change itself is between two datagrams.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from duravip.config.node_config import LocalSettings
from duravip.errors import ConfigurationError
from duravip.wire.key_file import read_keys
from duravip.wire.keyring import Keyring
from duravip.wire.link import Link

log = logging.getLogger("duravip")


def keyring_of(local: LocalSettings) -> Keyring:
    """Raises ConfigurationError when there is neither a key nor the wish to be without, or the file is no key file."""
    if local.key_file is not None:
        return Keyring(keys=read_keys(local.key_file), plain=local.seal == "receive-only")
    if local.insecure:
        return Keyring()
    raise ConfigurationError(
        "no cluster key: make one with `duravip keygen FILE`, copy it to every node and name it with key_file, "
        "or set insecure = true to trust everyone on the network"
    )


def warn(keyring: Keyring) -> None:
    """Says loudly what is not protected."""
    if not keyring.keys:
        log.warning("insecure: datagrams are not sealed; whoever is on this network can join the cluster")
    elif keyring.plain:
        log.warning(
            "seal = receive-only: datagrams without a seal are heard and said too, so whoever is on this network can "
            "join the cluster; end it with seal = enforce when every node has the key"
        )


class Rekeying:
    """Of one life. `last_words` takes what the guard would have to say."""

    def __init__(self, link: Link, last_words: Callable[[Sequence[bytes]], None]) -> None:
        self._link = link
        self._last_words = last_words

    async def read(self, local: LocalSettings) -> Keyring:
        """What the configuration asks for. Raises ConfigurationError for one that cannot be used now."""
        found = await trio.to_thread.run_sync(keyring_of, local)
        if not found.understands(self._link.keyring):
            raise ConfigurationError(
                f"with these keys ({_text(found)}) this node and members that still have the present ones "
                f"({_text(self._link.keyring)}) would not understand each other",
                path=local.key_file or "",
                hint="change keys in steps, each on every node before the next: docs/how-to/keys.md",
            )
        return found

    def differ(self, keyring: Keyring) -> bool:
        """Whether these are others than the present ones."""
        return keyring != self._link.keyring

    def use(self, keyring: Keyring) -> None:
        """From the next datagram on."""
        if not self.differ(keyring):
            return
        self._link.rekey(keyring)
        self._last_words(self._link.last_words())
        log.info("keys: %s", _text(keyring))
        warn(keyring)


def _text(keyring: Keyring) -> str:
    if not keyring.keys:
        return "none"
    first, *others = keyring.ids()
    opens = f", {' and '.join(others)} only opened" if others else ""
    return f"{first} seals{opens}{', plain ones too' if keyring.plain else ''}"

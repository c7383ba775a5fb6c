"""Every error a caller may meet. Each carries fields; its text says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator


class DuravipError(Exception):
    """Root of the tree. A command turns it into one sentence and `exit_code`, never a traceback."""

    exit_code = 1


class UsageError(DuravipError):
    """The user asked for something that cannot be: wrong words, an unusable configuration."""

    exit_code = 2


class ConfigurationError(UsageError):
    """The configuration cannot be used. `path`, `line` and `column` (from 1) say where, when known."""

    def __init__(self, message: str, *, path: str = "", line: int = 0, column: int = 0, hint: str = "") -> None:
        self.path, self.line, self.column, self.hint = path, line, column, hint
        place = f"{path}:{line}:{column}: " if line else (f"{path}: " if path else "")
        super().__init__(f"{place}{message}" + (f" ({hint})" if hint else ""))


class UnsayableError(DuravipError):
    """A language has no way to write something."""


class PluginError(DuravipError):
    """A plugin that the configuration names cannot be loaded or used."""

    exit_code = 2

    def __init__(self, message: str, *, plugin: str, distribution: str = "", version: str = "") -> None:
        self.plugin, self.distribution, self.version = plugin, distribution, version
        super().__init__(message)


class BackendError(DuravipError):
    """The interface backend cannot do its work at all (no permission, no such interface)."""

    def __init__(self, message: str, *, interface: str = "", address: str = "") -> None:
        self.interface, self.address = interface, address
        super().__init__(message)


class TransportError(DuravipError):
    """A transport cannot be opened or used (no such interface, port in use, no multicast route)."""

    def __init__(self, message: str, *, interface: str = "") -> None:
        self.interface = interface
        super().__init__(message)


class NotifierError(DuravipError):
    """A notifier could not tell somebody of an event (no connection, no answer, a refusal)."""


class ControlError(DuravipError):
    """The daemon's control socket cannot be reached, or refused the request."""


class ImpossibleTransitionError(AssertionError):
    """A state machine was asked for a move that its table does not have: a bug of ours, never of the user."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that a group, however nested, is made of; of any other, itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error

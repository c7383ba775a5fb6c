"""Who watches a simulated world: the checker, the tracer, the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duravip.cluster.effects import Effect
    from duravip.cluster.inputs import Input
    from duravip.cluster.messages import AnyMessage
    from duravip.events import Event
    from duravip.model import Address
    from duravip.sim.host import Host


class Observer:
    """Told of everything, at once, in order. Override what is of interest; change nothing."""

    def started(self, host: Host) -> None:
        """A new process runs, with a new node; it has seen no input yet."""

    def ended(self, host: Host, why: str) -> None:
        """The process is gone: `crashed`, or `left` as planned. What is in the kernel stays there."""

    def alarmed(self, host: Host) -> None:
        """The kernel is about to end the process, because it has slept past its mandate."""

    def handled(self, host: Host, given: Input, effects: tuple[Effect, ...]) -> None:
        """The node has processed one input; its effects have not been carried out yet."""

    def failed(self, host: Host, error: Exception) -> None:
        """The node raised: a bug. The process is gone."""

    def sent(self, host: Host, message: AnyMessage) -> None:
        """The node says something, to all or to one."""

    def published(self, host: Host, event: Event) -> None:
        """The node published an event."""

    def ordered(self, host: Host, address: Address, take: bool) -> None:
        """The node gave the kernel an order, which has not been carried out yet."""

    def plumbed(self, host: Host, address: Address, present: bool) -> None:
        """The kernel's truth has changed: the address is on the host's interface now, or no longer."""

    def happened(self, what: str) -> None:
        """A fault, or something else worth a line in a trace."""

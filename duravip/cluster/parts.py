"""The parts of one node's machine, made and connected.

Rules of this file: it makes and connects, and does nothing. `node` says in which order they act, `hearing` what each
message means to them, `inspection` what may be asked of them.
"""

from __future__ import annotations

from duravip import events
from duravip.cluster.agreement import Agreement
from duravip.cluster.declaration import Declaration
from duravip.cluster.delivery import Delivery
from duravip.cluster.departure import Departure
from duravip.cluster.detector import Detector
from duravip.cluster.effects import Effect, Publish, Send
from duravip.cluster.kernel_word import KernelWord
from duravip.cluster.leadership import Leadership
from duravip.cluster.library import Library
from duravip.cluster.lookout import Lookout
from duravip.cluster.mandate import Mandate
from duravip.cluster.messages import AnyMessage
from duravip.cluster.news import News
from duravip.cluster.parameters import Parameters
from duravip.cluster.possession import Possession
from duravip.cluster.pulse import Pulse
from duravip.cluster.rivals import Rivals
from duravip.cluster.standing import Standing
from duravip.cluster.succession import Succession
from duravip.cluster.switching import Switching
from duravip.cluster.tenure import Tenure
from duravip.cluster.wishes import Wishes
from duravip.model import Member, Table


class Outbox:
    """What follows from the present input: effects, and messages, which leave together."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.messages: list[AnyMessage] = []

    def publish(self, event: events.Event) -> None:
        self.effects.append(Publish(event=event))

    def flush(self) -> None:
        """What was said so far leaves in one go."""
        if self.messages:
            self.effects.append(Send(messages=tuple(self.messages)))
            self.messages = []

    def empty(self) -> tuple[Effect, ...]:
        """Everything that has gathered, in order."""
        if not self.messages and not self.effects:
            return ()
        self.flush()
        effects, self.effects = tuple(self.effects), []
        return effects


class Parts:
    def __init__(self, parameters: Parameters, table: Table, now: float) -> None:
        self.me = Member(parameters.name, parameters.incarnation)
        self.interval_s = parameters.heartbeat_interval_s
        self.timeout_s = parameters.failure_timeout_s
        self.out = Outbox()
        self.pulse = Pulse(self.interval_s, now)
        self.detector = Detector(self.me, parameters)
        self.agreement = Agreement(self.me, parameters)
        self.library = Library(
            table,
            retry_s=self.interval_s,
            long_bytes=parameters.long_bytes,
            packer=parameters.functions.packer,
            survey=parameters.functions.survey,
        )
        self.leadership = Leadership(self.me, parameters, self.detector, self.agreement, self.library, now)
        self.switching = Switching(self.library.own)
        self.standing = Standing(parameters)
        self.tenure = Tenure(parameters)
        self.kernel = KernelWord(self.tenure)
        self.departure = Departure()
        self.rivals = Rivals(parameters)
        self.wishes = Wishes(self.me.name, self.interval_s)
        self.news = News(self.me.name)
        self.mandate = Mandate(self.me, renews=parameters.renews, has_left=self.detector.has_left)
        self.lookout = Lookout(
            self.me,
            parameters,
            detector=self.detector,
            agreement=self.agreement,
            leadership=self.leadership,
            library=self.library,
            switching=self.switching,
            tenure=self.tenure,
            standing=self.standing,
            rivals=self.rivals,
            pulse=self.pulse,
        )
        self.declaration = Declaration(
            self.me,
            self.interval_s,
            standing=self.standing,
            tenure=self.tenure,
            switching=self.switching,
            library=self.library,
            lookout=self.lookout,
            mandate=self.mandate,
        )
        self.delivery = Delivery(
            parameters,
            news=self.news,
            wishes=self.wishes,
            switching=self.switching,
            tenure=self.tenure,
            rivals=self.rivals,
            mandate=self.mandate,
        )
        self.succession = Succession(
            self.me,
            parameters,
            agreement=self.agreement,
            detector=self.detector,
            library=self.library,
            delivery=self.delivery,
            declaration=self.declaration,
            standing=self.standing,
            switching=self.switching,
            tenure=self.tenure,
            news=self.news,
            mandate=self.mandate,
            now=now,
        )
        self.possession = Possession(
            agreement=self.agreement,
            detector=self.detector,
            mandate=self.mandate,
            standing=self.standing,
            tenure=self.tenure,
            departure=self.departure,
            lookout=self.lookout,
            succession=self.succession,
        )

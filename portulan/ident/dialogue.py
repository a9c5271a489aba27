"""A dialogue with one port: listen, ask what fits the port, then what fits the reply.

No I/O and no clock: `opened`, `heard`, `secured`, `ended` tell what happened, `emit` says what to
do, `deadline` when to ask again; spurious calls are harmless. Times are ns of any clock.

The first connection listens, then asks. Who stays silent is not waited for: the next question
goes out on a connection of its own a moment later, while earlier ones are still listened to, so
that a late answer counts and a wrong guess costs a moment. Once TLS stands, all is asked inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from .dialogue_agenda import Agenda, Item
from .dialogue_contract import (
    MS,
    Action,
    Close,
    Ending,
    Manner,
    Open,
    Outcome,
    Secure,
    Send,
    State,
)
from .dialogue_known import Known, Secured
from .dialogue_lane import Lane, LaneEvent, LaneState
from .dialogue_next import Follow, follow_ups, hints
from .dialogue_upgrade import upgrade
from .dialogue_whole import is_whole
from .facts import Facts
from .probes import LISTEN, TLS, Probe, order
from .reply import Reply
from .rules import Book
from .verdict import Verdict

LIKELY: Final = 20
"""Questions after which a port that has said nothing is asked faster."""
PACE_NS: Final = 10 * MS
"""Between late questions to a port that hangs up on each."""
LANES_MAX: Final = 16
"""Connections to one port at once; beyond, the one silent for longest is given up."""
SOCKETS_MAX: Final = 40
"""Sockets for datagrams to one port at once: they cost the port nothing."""
FAILED_MAX: Final = 2
"""Connections that do not come about, before a port that answered none counts as unreachable."""
HANG_UPS: Final = 2
"""Connections that are hung up on before we said a word, before a port counts as wrapped."""
GONE_MAX: Final = 4
"""Connections refused by a port that took some before: the service has ended, or hides."""

FLOODS_MAX: Final = 2
"""Answers that fill all the room they have and say nothing, before a port is left alone."""


class Dialogue:
    """A dialogue with one port of `host`, which is written as a client would write it.

    `contact` says whom to ask about it; HTTP servers are told.
    """

    def __init__(
        self, port: int, transport: Literal["tcp", "udp"] = "tcp", *, now: int,
        host: str = "localhost", contact: str = "", manner: Manner | None = None,
        book: Book | None = None, probes: Iterable[Probe] | None = None,
    ) -> None:
        self._port, self._transport = port, transport
        self._host, self._contact = host, contact
        self._manner = manner or Manner()
        self._end_ns = now + self._manner.budget_ns
        self._known = Known(book)
        self._agenda = Agenda(
            order(port) if probes is None else probes, port=port, datagrams=transport == "udp")
        self._lanes: dict[int, Lane] = {}
        self._actions: list[Action] = []
        self._asked: list[str] = []
        self._opened = self._failed = self._rtt_ns = self._floods = self._hang_ups = 0
        self._stood = False
        """Whether a connection ever came about; until then only a second is tried."""
        self._listened = transport == "udp"
        self._met_again = self._risen = False
        self._next_ns = now
        self._state: State | None = None

    # -- what to do --------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether `outcome` is final; the last actions may still wait in `emit`."""
        return self._state is not None

    def emit(self, now: int) -> list[Action]:
        """Return what is to be done now."""
        if not self.done:
            self._expire(now)
        if not self.done:
            self._start(now)
        if not self.done and not self._lanes and not self._agenda:
            self._finish()
        actions, self._actions = self._actions, []
        return actions

    def deadline(self) -> int | None:
        """Return when `emit` must be called though nothing happened; None once it is done."""
        if self.done:
            return None
        times = [self._end_ns]
        for lane in self._lanes.values():
            times += [lane.until_ns] + ([lane.resend_ns] if lane.resend_ns else [])
        if self._may_start():
            times.append(self._next_ns)
        return min(times)

    def stop(self) -> None:
        """End now, with what is known."""
        if not self.done:
            self._finish("answered" if self._known.replies else "stopped")

    def outcome(self) -> Outcome:
        """Return what is known."""
        return Outcome(
            self._state or "stopped", self._known.verdict, self._known.tls,
            tuple(self._known.replies), tuple(self._asked), self._opened, self._known.upgraded)

    # -- what happened -----------------------------------------------------------------------

    def opened(self, number: int, now: int, rtt_ns: int | None = None) -> None:
        """Tell that a connection stands, and its round trip if the kernel has measured it."""
        lane = self._lanes.get(number)
        if lane is None or lane.state != LaneState.OPENING:
            return
        lane.move(LaneEvent.OPENED)
        lane.rtt_ns = now - lane.opened_ns if rtt_ns is None else rtt_ns
        self._rtt_ns = min(lane.rtt_ns, self._rtt_ns) if self._stood else lane.rtt_ns
        self._stood = True
        self._listen(lane, now)

    def heard(self, number: int, data: bytes, now: int) -> None:
        """Tell what came on a connection, inside of its TLS if it has any."""
        lane = self._lanes.get(number)
        if lane is None or not data or lane.state == LaneState.OPENING:
            return
        full = lane.hear(data, now)
        datagram = self._transport == "udp"
        if full or datagram or self._is_whole(lane):
            self._conclude(lane, now, over=full)
            self._floods += full
            if self._floods >= FLOODS_MAX and not self._known.sure and not self.done:
                self._finish()
        else:
            settle = self._manner.settle_ns + 2 * lane.rtt_ns
            lane.until_ns = min(now + settle, lane.first_ns + self._manner.whole_ns)

    def secured(self, number: int, secured: Secured, now: int) -> None:
        """Tell that TLS stands on a connection."""
        lane = self._lanes.get(number)
        if lane is None or lane.state != LaneState.SECURING:
            return
        lane.move(LaneEvent.SECURED)
        lane.secured, lane.asked = True, ""
        if lane.steps is not None:
            self._known.upgraded = secured
            self._close(lane)
            self._finish_if_told()
            return
        if self._known.tls is None:
            self._move_inside(lane, secured)
        self._listen(lane, now)

    def ended(self, number: int, why: Ending, now: int) -> None:
        """Tell that a connection is gone, or that none came about."""
        lane = self._lanes.get(number)
        if lane is None:
            return
        if why == "tls-alert" and self._known.facts is None:
            self._known.weigh(Facts("tls", {}, 0.9), _TLS_REFUSED)
        if lane.heard:
            self._conclude(lane, now, over=True)
        elif lane.state == LaneState.OPENING:
            self._fail(lane, why)
        elif lane.state == LaneState.LISTENING:
            self._hung_up()
        elif why == "refused" and not self._known.replies:
            self._finish("closed")  # a datagram that ICMP brought back
        self._lanes.pop(number, None)
        if not self.done:
            # Who hangs up need not be waited for; nor need he be overrun.
            self._next_ns = now + (PACE_NS if self._opened > LIKELY else 0)
            self._finish_if_told()

    # -- connections -------------------------------------------------------------------------

    def _start(self, now: int) -> None:
        """Open the connections that it is time for."""
        while self._may_start() and now >= self._next_ns:
            if len(self._lanes) >= (SOCKETS_MAX if self._transport == "udp" else LANES_MAX):
                self._close(min(self._lanes.values(), key=_worth))
            listen = 0
            usual = self._agenda.next_usual(self._port)
            item = self._agenda.next()
            if item.same:
                continue
            if not self._listened and not item.probe.tls:
                listen, self._listened = self._greet(usual=usual), True
            self._open(item, now, listen)
            if item.probe is LISTEN and self._agenda.greeter and self._opened == 1:
                self._next_ns = now + self._manner.usual_greet_ns

    def _may_start(self) -> bool:
        return bool(self._agenda) and not self._greeting() and (
            self._stood or not self._lanes or self._opened < FAILED_MAX)

    def _greeting(self) -> bool:
        """Tell whether the first connection still waits for a greeting."""
        return any(
            lane.listen_ns and not lane.asked and lane.probe is not LISTEN
            for lane in self._lanes.values())

    def _greet(self, *, usual: bool) -> int:
        if usual:
            return self._manner.client_first_ns
        return self._manner.greet_ns

    def _open(self, item: Item, now: int, listen_ns: int) -> None:
        self._opened += 1
        if item.probe is LISTEN:
            patience_ns = self._manner.more_ns if self._known.sure else self._manner.patience_ns
            listen_ns = min(patience_ns, max(self._end_ns - now, 1))
        self._lanes[self._opened] = Lane(
            self._opened, item.probe, item.tls or item.probe.tls, now, listen_ns,
            until_ns=now + self._manner.connect_ns)
        self._actions.append(Open(self._opened, item.probe.elsewhere))
        datagram = self._transport == "udp"
        stagger_ns = self._manner.datagram_ns if datagram else self._manner.stagger_ns
        if not datagram and self._opened > LIKELY:
            stagger_ns = self._manner.late_ns
        self._next_ns = now + stagger_ns + 2 * self._rtt_ns

    def _fail(self, lane: Lane, why: Ending) -> None:
        self._failed += 1
        if self._known.replies:
            return
        if why == "refused" and not self._stood:
            self._finish("closed")
        elif self._failed >= (GONE_MAX if self._stood else FAILED_MAX):
            self._finish(None if self._stood else "unreachable")

    def _hung_up(self) -> None:
        """Look again, without a word, at a port that hangs up before one."""
        self._hang_ups += 1
        if self._hang_ups < HANG_UPS:
            self._agenda.first([Follow(LISTEN, same=False)])
        elif self._known.facts is None:
            self._finish(None if self._known.tls else "wrapped")

    def _close(self, lane: Lane) -> None:
        if self._lanes.pop(lane.number, None) is not None:
            lane.move(LaneEvent.ENDED)
            self._actions.append(Close(lane.number))

    def _move_inside(self, lane: Lane, secured: Secured) -> None:
        """Leave what is outside of TLS, and ask anew inside."""
        self._known.move_inside(secured)
        for other in [each for each in self._lanes.values() if not each.tls]:
            self._close(other)
        self._agenda.inside = True
        self._agenda.reset()
        if lane.probe.tls:
            usual = self._agenda.next_usual(self._port)
            lane.probe, self._listened = self._agenda.next().probe, True
            patient = lane.probe is LISTEN
            lane.listen_ns = self._manner.patience_ns if patient else self._greet(usual=usual)

    # -- speaking ----------------------------------------------------------------------------

    def _listen(self, lane: Lane, now: int) -> None:
        """Wait for a greeting, as long as this connection is meant to."""
        inside = not lane.tls or lane.secured
        if lane.listen_ns and inside:
            # From when it stood: we may have been told of it late.
            stood_ns = now if lane.secured else min(now, lane.opened_ns + lane.rtt_ns)
            lane.until_ns = stood_ns + lane.listen_ns + 2 * lane.rtt_ns
        else:
            self._speak(lane, now)

    def _speak(self, lane: Lane, now: int) -> None:
        """Ask a connection's question, behind a handshake if it is meant to be inside of TLS."""
        manner = self._manner
        wait_ns = manner.more_ns if self._known.sure else manner.answer_ns
        lane.until_ns = now + wait_ns + 2 * lane.rtt_ns
        if lane.tls and not lane.secured:
            lane.move(LaneEvent.SECURE)
            lane.asked = TLS.name
            self._actions.append(Secure(lane.number))
            self._note(TLS.name)
            return
        if lane.listen_ns and not lane.asked:
            self._next_ns = now
        lane.move(LaneEvent.SPEAK)
        lane.asked = lane.probe.name
        if self._transport == "udp":
            lane.resend_ns = now + manner.answer_ns // 3
        lane.sent = lane.probe.filled(self._host, self._contact)
        self._actions.append(Send(lane.number, lane.sent))
        self._note(lane.probe.name)

    def _note(self, name: str) -> None:
        if name not in self._asked:
            self._asked.append(name)

    def _expire(self, now: int) -> None:
        """Do what is due by time alone."""
        for lane in list(self._lanes.values()):
            if lane.resend_ns and now >= lane.resend_ns:
                lane.resend_ns = 0
                self._actions.append(Send(lane.number, lane.sent))
            if now >= lane.until_ns and lane.number in self._lanes:
                self._expire_lane(lane, now)
        if now >= self._end_ns and not self.done:
            for lane in [each for each in self._lanes.values() if each.heard]:
                self._conclude(lane, now, over=True)
            self._finish()

    def _expire_lane(self, lane: Lane, now: int) -> None:
        if lane.heard:
            self._conclude(lane, now)
        elif lane.state == LaneState.OPENING:
            self._fail(lane, "timeout")
            self._close(lane)
        elif lane.state == LaneState.LISTENING and lane.probe is not LISTEN:
            self._speak(lane, now)
        else:
            self._close(lane)
            self._finish_if_told()

    # -- answers -----------------------------------------------------------------------------

    def _reply(self, lane: Lane) -> Reply:
        return Reply(
            self._transport, bytes(lane.heard), self._port, lane.asked, tls=lane.secured)

    def _conclude(self, lane: Lane, now: int, *, over: bool = False) -> None:
        """Judge what a connection has heard, and go on from there."""
        reply = self._reply(lane)
        lane.forget()
        if lane.steps is not None:
            self._known.keep(reply)
            self._step_up(lane, reply, now)
            return
        facts = self._known.take(reply, asked=lane.sent)
        if facts is None:
            self._agenda.first(
                Follow(probe, same=False) for probe in hints(reply.data) if self._is_fresh(probe))
        else:
            self._narrow(facts, reply, lane, now)
        # What was cut off in the middle of a line would be the beginning of the next question.
        own = facts is not None and lane.asked.startswith(facts.name)
        clean = own or not lane.asked or lane.sent.endswith(b"\n")
        here = not over and lane.number in self._lanes and lane.open and (
            clean or not self._agenda.has_same())
        if here and (self._go_on(lane, now, known=bool(facts)) or self._rise(lane, reply, now)):
            return
        self._close(lane)
        self._listen_again()
        self._next_ns = now
        self._finish_if_told()

    def _listen_again(self) -> None:
        """Meet a greeter once more, whose connection ended before it was asked for more."""
        if self._agenda.drop_same() and not self._met_again and not self._known.told:
            self._met_again = True
            self._agenda.first([Follow(LISTEN, same=False)])

    def _go_on(self, lane: Lane, now: int, *, known: bool) -> bool:
        """Ask the next question on the connection that answered; return whether there is one."""
        if self._transport == "udp" or self._known.told:
            return False
        probe = self._agenda.next_same()
        if probe is None and not known and lane.state == LaneState.LISTENING and lane.probe.body:
            probe = lane.probe  # a greeting that nobody can read
        if probe is None:
            return False
        lane.probe = probe
        self._speak(lane, now)
        return True

    def _is_whole(self, lane: Lane) -> bool:
        reply = self._reply(lane)
        if lane.step is not None and lane.step.ready is not None:
            return reply.data.endswith(b"\n") and bool(lane.step.ready.match(reply.data))
        return is_whole(reply, self._known.book)

    # -- STARTTLS ----------------------------------------------------------------------------

    def _rise(self, lane: Lane, reply: Reply, now: int) -> bool:
        """Go on to TLS on a plain connection to a known service; return whether there is a way."""
        facts = self._known.facts
        if facts is None or not self._known.sure or lane.secured or self._risen:
            return False
        lane.steps = upgrade(facts.name, reply.data)
        if lane.steps is None:
            return False
        self._risen = True
        self._step_up(lane, None, now)
        return True

    def _step_up(self, lane: Lane, reply: Reply | None, now: int) -> None:
        """Take the next step to TLS, if the answer to the last one lets us."""
        if reply is not None and lane.number in self._lanes:
            ready = lane.step.ready if lane.step is not None else None
            if ready is None or not ready.match(reply.data) or not lane.open:
                self._close(lane)
        if lane.number not in self._lanes:
            self._finish_if_told()
        elif lane.steps:
            lane.step, lane.steps = lane.steps[0], lane.steps[1:]
            lane.probe = lane.step.probe
            self._speak(lane, now)
            if lane.step.ready is None:
                self._step_up(lane, None, now)
        else:
            lane.tls = True
            self._speak(lane, now)

    def _narrow(self, facts: Facts, reply: Reply, lane: Lane, now: int) -> None:
        """Leave the questions that a known service is still to be asked."""
        if facts.name == "tls" and not reply.tls:
            if self._known.tls is None and self._is_fresh(TLS):
                self._agenda.first([Follow(TLS, same=False)])
            return
        if self._known.sure:
            self._agenda.clear()
            for other in [each for each in self._lanes.values() if each is not lane]:
                if self._may_be_inside(facts) and other.tls and not other.secured:
                    other.until_ns = min(other.until_ns, now + self._manner.inside_ns)
                else:
                    self._close(other)
        self._agenda.first(
            follow
            for follow in follow_ups(facts, self._known.verdict, reply, host=self._host)
            if self._is_fresh(follow.probe))

    def _is_fresh(self, probe: Probe) -> bool:
        return probe.name not in self._asked

    def _may_be_inside(self, facts: Facts) -> bool:
        """Tell whether a plain answer is one that servers inside of TLS give."""
        return facts.name == "tls" or facts.fields.get("http.status") == "400"

    # -- the end -----------------------------------------------------------------------------

    def _finish_if_told(self) -> None:
        """End if nothing more is wanted, or nothing is left to wait for."""
        facts = self._known.facts
        if self.done or facts is None or not self._known.sure:
            return
        securing = any(lane.tls and not lane.secured for lane in self._lanes.values())
        if self._may_be_inside(facts) and self._known.tls is None and securing:
            return
        if any(lane.steps is not None for lane in self._lanes.values()):
            return
        if self._known.told or (not self._agenda and not self._lanes):
            self._finish()

    def _finish(self, state: State | None = None) -> None:
        if state is None:
            told = self._known.replies or self._known.verdict or self._known.tls
            state = "answered" if told else "silent"
        self._state = state
        for lane in list(self._lanes.values()):
            self._close(lane)
        self._agenda.clear()


def _worth(lane: Lane) -> tuple[bool, bool, int]:
    """Return what connections are kept by: who is speaking, who listens for late greetings."""
    return bool(lane.heard), lane.probe is LISTEN, lane.number


_TLS_REFUSED: Final = Verdict(name="tls", rule="tls", confidence=0.9)
__all__ = [
    "MS", "Action", "Close", "Dialogue", "Ending", "Manner", "Open", "Outcome", "Secure", "Send",
    "State",
]

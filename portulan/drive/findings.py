"""Answers made into events, with the frames that prove them.

Order is the promise: frames go to the evidence first, then the event names their numbers; whoever
takes the events keeps them before showing them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from portulan.drive.packets import Found
from portulan.drive.resume import last_of_each
from portulan.record import AnyEvent, Host, Port
from portulan.record import Protocol as ProtocolName
from portulan.scan.between import Facts, traits
from portulan.scan.kind import Kind
from portulan.scan.udp import likelihood
from portulan.scan.verdict import GRADES, LISTED, REASON_TEXT, STATE_TEXT, Answers, Reason, State
from portulan.target.address import address_texts
from portulan.target.bitmap import Bitmap
from portulan.target.space import TCP, Space
from portulan.wire.frames import Frames

PROTOCOL_TEXT: Final[Mapping[int, ProtocolName]] = {0: "ip", 6: "tcp", 17: "udp", 132: "sctp"}
#: Silent hosts of a scan without discovery that get an event each; of more, their number tells.
SILENT_LISTED_MAX: Final = 16
#: Events handed on at once at the end of a scan: bounds memory and the wait for the first line.
PORTION: Final = 8_192

NONE: Final = np.empty(0, np.int64)

Ours = Callable[[NDArray[np.int64]], NDArray[np.bool_]]

_LISTED: Final = np.isin(np.arange(len(State)), LISTED)


class Evidence(Protocol):
    """Where proving frames go."""

    def write(self, frames: Frames, interface: str) -> int:
        """Keep frames that passed an interface; return the number (from 1) of the first."""
        ...


class Findings:
    """Turns the answers of a port scan into events.

    `seen` are host numbers that have an event already; `names` what the user called addresses.
    """

    def __init__(
        self, space: Space, kind: Kind | None, *, evidence: Evidence | None,
        names: Mapping[tuple[int, int], tuple[str, ...]], every_state: bool,
    ) -> None:
        self.space, self._kind, self._evidence = space, kind, evidence
        self._names, self._every = names, every_state
        self.listed = np.ones_like(_LISTED) if every_state else _LISTED
        """By state: whether an answer gets an event of its own."""
        self._seen = np.zeros(space.host_count, np.bool_)
        self._given_up = np.zeros(space.host_count, np.bool_)
        self._reason = np.zeros(space.host_count, np.uint8)
        self._kept: list[Answers] = []
        self._traits: list[NDArray[np.int64]] = []
        self._silent = State.FILTERED if kind is None else kind.silent
        self._protocol = _protocol_of(space)
        self.open = 0

    @property
    def hosts_up(self) -> int:
        """How many hosts are known to be up."""
        return int(self._seen.sum())

    def up(self) -> dict[str, str]:
        """Return the addresses of hosts that are known to be up, and why."""
        hosts = np.flatnonzero(self._seen)
        reasons = self._reason[hosts].tolist()
        texts = address_texts(*self.space.host_address(hosts))
        return {text: REASON_TEXT[reason] for text, reason in zip(texts, reasons, strict=True)}

    def know_up(self, hosts: NDArray[np.int64], reasons: NDArray[np.uint8]) -> None:
        """Count these hosts as up; they have an event already."""
        self._seen[hosts] = True
        self._reason[hosts] = reasons

    def know(self, answers: Answers) -> None:
        """Count answers of an earlier run, which have events already."""
        self._kept.append(answers)
        self.open += int((answers.state == State.OPEN).sum())

    def events(self, found: Found) -> list[AnyEvent]:
        """Return the events of fresh answers, after keeping the frames that prove them."""
        answers = found.answers
        if not len(answers):
            return []
        self._kept.append(Answers(
            answers.index, answers.state, answers.reason, answers.ttl, answers.try_no,
            answers.time_ns, np.full(len(answers), -1), answers.soft,
        ))
        listed = self.listed[answers.state]
        rtt_us = np.maximum(found.rtt_ns, 0) // 1000
        events = self._hosts(answers, found, rtt_us)
        self.open += int((answers.state == State.OPEN).sum())
        if listed.any():
            rows = np.flatnonzero(listed)
            events += self._ports(answers.take(rows), found, rows, rtt_us=rtt_us[rows])
        return events

    def _hosts(
        self, answers: Answers, found: Found, rtt_us: NDArray[np.int64]
    ) -> list[AnyEvent]:
        firm = np.flatnonzero(~answers.soft)
        host = self.space.host_of(answers.index[firm])
        new = ~self._seen[host]
        host, first = np.unique(host[new], return_index=True)
        if not len(host):
            return []
        row = firm[new][first]
        self._seen[host] = True
        self._reason[host] = answers.reason[row]
        family, hi, lo = self.space.host_address(host)
        texts = address_texts(family, hi, lo)
        reasons, times = answers.reason[row].tolist(), rtt_us[row].tolist()
        frames = self._prove_hosts(answers.take(row), found, row)
        if not self._names:
            return [
                Host(addr=text, state="up", reason=REASON_TEXT[reason], rtt_us=time, frames=numbers)
                for text, reason, time, numbers in zip(texts, reasons, times, frames, strict=True)
            ]
        return [
            Host(addr=text, state="up", reason=REASON_TEXT[reason], rtt_us=time,
                 names=self._names_of(*key), frames=numbers)
            for text, reason, time, numbers, *key in zip(
                texts, reasons, times, frames, family.tolist(), hi.tolist(), lo.tolist(),
                strict=True)
        ]

    def _prove_hosts(
        self, answers: Answers, found: Found, rows: NDArray[np.int64]
    ) -> list[list[int]]:
        """Keep what shows that hosts are up; a port's answer is kept with the port."""
        if (answers.state == State.UP).all():
            return self._prove(answers, found, rows)
        return [[] for _ in range(len(answers))]

    def _names_of(self, family: int, hi: int, lo: int) -> list[str]:
        return list(self._names.get((family, hi << 64 | lo), ())) if self._names else []

    def _ports(
        self, answers: Answers, found: Found, rows: NDArray[np.int64], *,
        rtt_us: NDArray[np.int64],
    ) -> list[AnyEvent]:
        probes = self.space.probes(answers.index)
        frames = self._prove(answers, found, rows)
        self._remember(answers, found, frames)
        return [
            Port(
                addr=text, port=port, protocol=PROTOCOL_TEXT[protocol], state=STATE_TEXT[state],
                reason=REASON_TEXT[reason], ttl=ttl, rtt_us=time, tries=tries, frames=numbers,
                grade=GRADES.get(reason, "") if state == State.OPEN else "",
            )
            for text, port, protocol, state, reason, ttl, time, tries, numbers in zip(
                address_texts(probes.family, probes.hi, probes.lo), probes.port.tolist(),
                probes.protocol.tolist(), answers.state.tolist(), answers.reason.tolist(),
                answers.ttl.tolist(), rtt_us.tolist(), answers.try_no.tolist(), frames, strict=True,
            )
        ]

    def _remember(self, answers: Answers, found: Found, frames: list[list[int]]) -> None:
        """Note what the replies of open ports say beside "open", and where they are kept."""
        here = np.flatnonzero((answers.state == State.OPEN) & (answers.row >= 0))
        if len(here):
            window, options = traits(found.frames.take(answers.row[here]))
            number = np.array([frames[row][-1] if frames[row] else 0 for row in here.tolist()])
            self._traits.append(np.stack([answers.index[here], window, options, number]))

    def facts(self) -> Facts:
        """Return all TCP answers so far, as what stands between is judged by."""
        answers = Answers.concat(self._kept)
        answers = answers.take(last_of_each(answers.index))
        probes = self.space.probes(answers.index)
        tcp = np.flatnonzero(probes.protocol == TCP)
        answers, port = answers.take(tcp), probes.port[tcp].astype(np.int64)
        told = np.full((3, len(answers)), -1)
        known = np.concatenate([np.empty((4, 0), np.int64), *self._traits], axis=1)
        if len(known[0]) and len(answers):
            order = np.argsort(answers.index)
            place = np.searchsorted(answers.index, known[0], sorter=order)
            row = order[np.minimum(place, len(order) - 1)]
            same = answers.index[row] == known[0]
            told[:, row[same]] = known[1:, same]
        return Facts(
            self.space.host_of(answers.index), port, answers.state.astype(np.int64),
            answers.ttl.astype(np.int64), answers.try_no.astype(np.int64), answers.time_ns,
            *told,
        )

    def asked(self) -> NDArray[np.int64]:
        """Return how many TCP ports of each host are asked."""
        segments = self.space.segments
        return np.repeat(
            np.array([sum(key >> 16 == TCP for key in s.keys) for s in segments], np.int64),
            np.array([s.count for s in segments], np.int64),
        )

    def _prove(
        self, answers: Answers, found: Found, rows: NDArray[np.int64]
    ) -> list[list[int]]:
        """Keep probe and reply of each answer; return their numbers."""
        shown = np.flatnonzero(answers.row >= 0)
        if self._evidence is None or self._kind is None or not len(shown):
            return [[] for _ in range(len(answers))]
        if len(shown) < len(answers):
            kept = self._prove(answers.take(shown), found, rows[shown])
            return self._shared(answers, dict(zip(shown.tolist(), kept, strict=True)))
        replies = found.frames.take(answers.row).compact()
        # A reply cannot be older than its probe; the probe's time is interpolated in its batch.
        sent = np.minimum(found.sent_ns[rows], replies.time_ns - 1)
        probes, proven = _rebuild(self._kind, answers, sent, found.frames.link_type)
        if not len(proven):
            return [[] for _ in range(len(answers))]
        if len(proven) < len(answers):
            replies = replies.take(proven)
        first = self._evidence.write(_interleave(probes, replies), found.interface)
        numbers = [[number, number + 1] for number in range(first, first + 2 * len(proven), 2)]
        if len(proven) == len(answers):
            return numbers
        told = dict(zip(proven.tolist(), numbers, strict=True))
        return [told.get(row, []) for row in range(len(answers))]

    def _shared(self, answers: Answers, proven: dict[int, list[int]]) -> list[list[int]]:
        """Return each answer's frames; those without any have what proves the same of their host.

        That is an error about a protocol that a host does not speak: it is about all its ports.
        """
        host = self.space.host_of(answers.index).tolist()
        reason = answers.reason.tolist()
        of_host = {(host[row], reason[row]): numbers for row, numbers in proven.items()}
        return [proven.get(row) or of_host.get((host[row], reason[row]), [])
                for row in range(len(answers))]

    # -- at the end ------------------------------------------------------------------------

    def rest(
        self, *, asked: Ours | None, stopped: bool, timed_out: NDArray[np.int64] = NONE,
    ) -> Iterable[list[AnyEvent]]:
        """Yield what is not listed port by port: counts of each host, or each port's event.

        `asked` tells which probes are this shard's (None: all are). After a stop, and of hosts that
        were given up, silence is no result: probes without an answer are left out.
        """
        self._given_up[timed_out] = True
        answers = Answers.concat(self._kept)
        answers = answers.take(last_of_each(answers.index))
        if not self._every:
            yield from self._counts(answers, asked, stopped=stopped)
        elif len(timed_out):
            none = np.zeros(self.space.host_count, np.int64)
            yield from self._rest_events(timed_out, none, none)
        if not stopped and self.listed[self._silent]:
            yield from self._silent_ports(answers, asked)

    def _counts(
        self, answers: Answers, asked: Ours | None, *, stopped: bool
    ) -> Iterable[list[AnyEvent]]:
        hosts = self.space.host_count
        host = self.space.host_of(answers.index)
        closed = np.bincount(host[answers.state == State.CLOSED], minlength=hosts)
        filtered = np.bincount(host[answers.state == State.FILTERED], minlength=hosts)
        if not stopped and not self.listed[self._silent]:
            filtered += self._silent_counts(answers, asked) * ~self._given_up
        telling = (closed > 0) | (filtered > 0) | self._given_up
        yield from self._rest_events(np.flatnonzero(self._seen & telling), closed, filtered)
        silent = ~self._seen & (telling if hosts <= SILENT_LISTED_MAX else self._given_up)
        yield from self._rest_events(np.flatnonzero(silent), closed, filtered)

    def down(self) -> Iterable[list[Host]]:
        """Yield an event for each host that nothing was heard of."""
        silent = np.flatnonzero(~self._seen)
        for at in range(0, len(silent), PORTION):
            family, hi, lo = self.space.host_address(silent[at : at + PORTION])
            yield [
                Host(addr=text, state="down", reason=Reason.NO_RESPONSE.text,
                     names=self._names_of(*key))
                for text, *key in zip(
                    address_texts(family, hi, lo), family.tolist(), hi.tolist(), lo.tolist(),
                    strict=True,
                )
            ]

    def _silent_counts(self, answers: Answers, asked: Ours | None) -> NDArray[np.int64]:
        """Return how many probes of each host have no answer."""
        segments = self.space.segments
        if asked is None:
            widths = np.repeat(
                np.array([len(each.keys) for each in segments], np.int64),
                np.array([each.count for each in segments], np.int64),
            )
            return widths - np.bincount(
                self.space.host_of(answers.index), minlength=self.space.host_count)
        counts = np.zeros(self.space.host_count, np.int64)
        for index in self._unanswered(answers, asked):
            counts += np.bincount(self.space.host_of(index), minlength=len(counts))
        return counts

    def _unanswered(
        self, answers: Answers, asked: Ours | None
    ) -> Iterable[NDArray[np.int64]]:
        answered = Bitmap(max(self.space.size, 1))
        answered.set(answers.index)
        for at in range(0, self.space.size, PORTION):
            index = answered.unset(at, min(at + PORTION, self.space.size))
            yield index if asked is None else index[asked(index)]

    def _rest_events(
        self, hosts: NDArray[np.int64], closed: NDArray[np.int64], filtered: NDArray[np.int64]
    ) -> Iterable[list[AnyEvent]]:
        for at in range(0, len(hosts), PORTION):
            part = hosts[at : at + PORTION]
            family, hi, lo = self.space.host_address(part)
            rows = zip(
                address_texts(family, hi, lo), self._seen[part].tolist(),
                self._reason[part].tolist(), closed[part].tolist(), filtered[part].tolist(),
                self._given_up[part].tolist(), family.tolist(), hi.tolist(), lo.tolist(),
                strict=True,
            )
            yield [
                Host(
                    addr=text, state="up" if up else "unknown", reason=REASON_TEXT[reason],
                    names=self._names_of(*key), timed_out=given_up, rest={self._protocol: {
                        name: count for name, count in (("closed", shut), ("filtered", mute))
                        if count
                    }} if shut or mute else {},
                )
                for text, up, reason, shut, mute, given_up, *key in rows
            ]

    def _silent_ports(
        self, answers: Answers, asked: Ours | None
    ) -> Iterable[list[AnyEvent]]:
        for every in self._unanswered(answers, asked):
            index = every
            if self._given_up.any():
                index = every[~self._given_up[self.space.host_of(every)]]
            probes = self.space.probes(index)
            yield [
                Port(addr=text, port=port, protocol=PROTOCOL_TEXT[protocol],
                     state=STATE_TEXT[self._silent], reason=Reason.NO_RESPONSE.text,
                     likelihood=likely)
                for text, port, protocol, likely in zip(
                    address_texts(probes.family, probes.hi, probes.lo), probes.port.tolist(),
                    probes.protocol.tolist(), self._likelihood(index, answers), strict=True,
                )
            ]

    def _likelihood(self, index: NDArray[np.int64], answers: Answers) -> list[float]:
        """Return how likely each silent probe's port is open; 0 where its kind does not say."""
        likely = np.zeros(len(index))
        if self._protocol == "udp" and self._silent == State.OPEN_FILTERED:
            port, host = self.space.probes(index).port, self.space.host_of(index)
            answered = np.bincount(
                self.space.host_of(answers.index), minlength=self.space.host_count)
            for number in np.unique(host).tolist():
                here, asked = host == number, self.space.host_span(number)[1]
                likely[here] = likelihood(port[here], asked - int(answered[number]), asked)
        return [round(each, 3) for each in likely.tolist()]


def _protocol_of(space: Space) -> ProtocolName:
    """Return the protocol whose ports a space asks; it has one, or TCP where there is none."""
    key = space.segments[0].keys[0] if space.segments else TCP << 16
    return PROTOCOL_TEXT.get(key >> 16, "tcp")


def _rebuild(
    kind: Kind, answers: Answers, sent_ns: NDArray[np.int64], link_type: int
) -> tuple[Frames, NDArray[np.int64]]:
    """Return the probes' frames as they left, and the rows of the answers they belong to.

    Left out are those of another link type than the replies': where the way back is another than
    the way out (a tunnel beside Ethernet), the two do not fit one block of evidence.
    """
    parts: list[Frames] = []
    order: list[NDArray[np.int64]] = []
    for try_no in np.unique(answers.try_no).tolist():
        rows = np.flatnonzero(answers.try_no == try_no)
        for out in kind.build(answers.index[rows], try_no):
            if out.link_type == link_type:
                at = rows[out.at]
                parts.append(Frames.uniform(out.rows, sent_ns[at], out.link_type))
                order.append(at)
    if not parts:
        return Frames.empty(link_type), np.empty(0, np.int64)
    places = np.concatenate(order)
    sorting = np.argsort(places, kind="stable")
    return Frames.concat(parts).take(sorting), places[sorting]


def _interleave(probes: Frames, replies: Frames) -> Frames:
    """Return probe, reply, probe, reply, ... as one batch."""
    both = Frames.concat([probes, replies])
    count = len(replies)
    return both.take(np.arange(2 * count).reshape(2, count).T.reshape(-1))



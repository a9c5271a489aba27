"""`portulan send`: build packets from text, send them, show who answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.capture import Batch, Capture
    from portulan.drive.exchange_file import ExchangeFile
    from portulan.drive.sending import Exchange, Pair
    from portulan.wire.frames import Frames
    from portulan.wire.header import Packet

EXIT_UNANSWERED = 1
UNANSWERED_SHOWN = 10
"""Probes without reply that are named one by one; of more, only the number is told."""


@click.command("send")
@click.argument("text", metavar="EXPR")
@click.option("-e", "interface", default="", metavar="IFACE", help="Send on this interface.")
@click.option("--count", default=1, type=click.IntRange(1), metavar="N",
              help="Send it N times, each after the replies to the last.")
@click.option("--rate", default=10_000, type=click.IntRange(0), metavar="PPS", show_default=True,
              help="Packets a second at most; 0 is no cap.")
@click.option("--timeout", default=2.0, type=click.FloatRange(0, 3600), metavar="S",
              show_default=True, help="Seconds to wait for replies.")
@click.option("--retries", default=0, type=click.IntRange(0, 100), metavar="N", show_default=True,
              help="Send again what was not answered.")
@click.option("--interval", default=0.0, type=click.FloatRange(0, 86_400), metavar="S",
              help="With --count: seconds from one to the next.")
@click.option("--all", "every", is_flag=True,
              help="Wait the whole time and show every reply, as of multicast, not just the first.")
@click.option("--no-reply", is_flag=True, help="Send only; wait for nothing.")
@click.option("-w", "out", metavar="FILE", help="Keep what was sent and what came back as pcapng.")
@click.option("--json", "as_json", is_flag=True, help="Print each reply as one JSON object.")
@click.option("--hex", "as_hex", is_flag=True,
              help="Build only: print the packets' bytes as hex digits, send nothing.")
def send(
    *, text: str, interface: str, count: int, rate: int, timeout: float, retries: int,
    interval: float, every: bool, no_reply: bool, out: str | None, as_json: bool, as_hex: bool,
) -> None:
    """Send a packet and wait for its reply; exit code 1 if nothing answers.

    EXPR is written as in Python: `IPv4(dst="192.0.2.1")/TCP(dport=80, flags="S")`,
    `ARP.who_has("10.0.0.7")`, `IPv4(dst="10.0.0.0/28")/ICMP.echo()`. What is not given is filled
    in; a tuple is a range, a list one of each. Needs CAP_NET_RAW, but for --hex.
    """
    from portulan.wire.craft_text import parse_packet

    if as_json and (as_hex or no_reply):
        raise UsageError("--json shows replies, which the other option does without", where="send")
    if every and (no_reply or as_hex):
        raise UsageError("there are no replies to show", where="--all")
    if as_hex and out:
        raise UsageError("nothing is sent that could be kept", where="-w")
    packet = parse_packet(text)
    if as_hex:
        _put_hex(packet, interface, count)
        return
    from portulan.drive.sending import exchange, exchanges

    def one(turn: int) -> Exchange:
        return exchange(packet, interface=interface, rate_pps=rate, retries=retries, turn=turn,
                        timeout_ns=round(timeout * 1e9), hear=not no_reply, every=every)

    counts = _Counts()
    with _kept(out) as keep:
        for done in exchanges(one, count, interval_ns=round(interval * 1e9)):
            counts.add(done)
            if as_json:
                _put_json(done)
            else:
                _put_lines(done, heard=not no_reply)
            if keep is not None:
                keep.add(done)
    if no_reply or every or counts.probes > 1:
        click.echo(counts.line(heard=not no_reply), err=True)
    if not (counts.sent if no_reply else counts.rtts):
        raise SystemExit(EXIT_UNANSWERED)


@contextlib.contextmanager
def _kept(out: str | None) -> Iterator[ExchangeFile | None]:
    if out is None:
        yield None
        return
    from portulan.drive.exchange_file import ExchangeFile

    if out == "-":
        raise UsageError("stdout is for the replies", where="-w -", hint="name a file")
    with ExchangeFile(out) as file:
        yield file


class _Counts:
    """Sums over all turns."""

    def __init__(self) -> None:
        self.probes = self.sent = self.further = 0
        self.rtts: list[int] = []

    def add(self, done: Exchange) -> None:
        self.probes += len(done)
        self.sent += done.sent
        self.further += sum(len(index) for index, _ in done.later)
        self.rtts += done.rtt_ns[done.rtt_ns >= 0].tolist()

    def line(self, *, heard: bool) -> str:
        if not heard:
            return f"{self.sent:,} sent"
        words = f"{self.sent:,} sent, {len(self.rtts):,} answered"
        words += f", {self.further:,} further replies" * bool(self.further)
        if not self.rtts:
            return words
        if len(self.rtts) == 1:
            return f"{words}, rtt {self.rtts[0] / 1e6:.3f} ms"
        from statistics import median

        low, middle, high = (f"{value / 1e6:.3f}" for value in (
            min(self.rtts), median(self.rtts), max(self.rtts)))
        return f"{words}, rtt {low} to {high} ms, median {middle} ms"


def _put_hex(packet: Packet, interface: str, count: int) -> None:
    from portulan.drive.outgoing import with_source
    from portulan.wire.craft import build

    frames = build(with_source(packet, interface))
    for _ in range(count):
        click.echo("\n".join(octets.hex() for octets in frames))


def _put_lines(done: Exchange, *, heard: bool) -> None:
    for pair in [*done.answered, *done.further]:
        click.echo(_line(pair))
    silent = done.unanswered if heard else []
    for packet in silent[:UNANSWERED_SHOWN]:
        click.echo(f"{packet} | no reply", err=True)
    if len(silent) > UNANSWERED_SHOWN:
        click.echo(f"... {len(silent)} without reply", err=True)
    for number, why in list(done.unreached.items())[:UNANSWERED_SHOWN]:
        click.echo(f"packet {number + 1} was not sent: {printable(why)}", err=True)
    if len(done.unreached) > UNANSWERED_SHOWN:
        click.echo(f"... {len(done.unreached)} were not sent", err=True)


def _line(pair: Pair) -> str:
    words = [str(pair.reply), pair.reply.dissection.brief, f"rtt {pair.rtt_ns / 1e6:.3f} ms"]
    return " | ".join(filter(None, words))


class _Replies:
    """Replies as the batches of a capture, which know how to be printed."""

    def __init__(self, done: Exchange) -> None:
        self._done = done

    def batches(self) -> Iterator[Batch]:
        for index, frames in [*self._done.replies, *self._done.later]:
            yield _batch(frames, index.tolist())


def _batch(frames: Frames, index: list[int]) -> Batch:
    import numpy as np

    from portulan.drive.capture import Batch

    numbers = np.array(index, np.int64) + 1
    return Batch(frames, numbers, np.zeros(len(numbers), np.int64))


def _put_json(done: Exchange) -> None:
    from portulan.cli.packet_lines import objects, put

    put(objects(cast("Capture", _Replies(done)), [], as_hex=False))

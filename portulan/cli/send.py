"""`portulan send`: build packets from text, send them, show who answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.capture import Batch, Capture
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
@click.option("--no-reply", is_flag=True, help="Send only; wait for nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print each reply as one JSON object.")
@click.option("--hex", "as_hex", is_flag=True,
              help="Build only: print the packets' bytes as hex digits, send nothing.")
def send(
    *, text: str, interface: str, count: int, rate: int, timeout: float, retries: int,
    no_reply: bool, as_json: bool, as_hex: bool,
) -> None:
    """Send a packet and wait for its reply; exit code 1 if nothing answers.

    EXPR is written as in Python: `IPv4(dst="192.0.2.1")/TCP(dport=80, flags="S")`,
    `ARP.who_has("10.0.0.7")`, `IPv4(dst="10.0.0.0/28")/ICMP.echo()`. What is not given is filled
    in; a tuple is a range, a list one of each. Needs CAP_NET_RAW, but for --hex.
    """
    from portulan.wire.craft_text import parse_packet

    if as_json and (as_hex or no_reply):
        raise UsageError("--json shows replies, which the other option does without", where="send")
    packet = parse_packet(text)
    if as_hex:
        _put_hex(packet, interface, count)
    elif no_reply:
        _only_send(packet, interface, count=count, rate=rate)
    else:
        from portulan.drive.sending import exchange

        answered = 0
        for turn in range(count):
            done = exchange(packet, interface=interface, rate_pps=rate, retries=retries,
                            timeout_ns=round(timeout * 1e9), turn=turn)
            answered += int((done.rtt_ns >= 0).sum())
            _put_json(done) if as_json else _put_lines(done)
        if not answered:
            raise SystemExit(EXIT_UNANSWERED)


def _put_hex(packet: Packet, interface: str, count: int) -> None:
    from portulan.drive.outgoing import with_source
    from portulan.wire.craft import build

    frames = build(with_source(packet, interface))
    for _ in range(count):
        click.echo("\n".join(octets.hex() for octets in frames))


def _only_send(packet: Packet, interface: str, *, count: int, rate: int) -> None:
    from portulan.drive.sending import emit

    sent = sum(emit(packet, interface=interface, rate_pps=rate, turn=turn)
               for turn in range(count))
    click.echo(f"{sent} sent", err=True)


def _put_lines(done: Exchange) -> None:
    for pair in done.answered:
        click.echo(_line(pair))
    silent = done.unanswered
    for packet in silent[:UNANSWERED_SHOWN]:
        click.echo(f"{packet} | no reply", err=True)
    if len(silent) > UNANSWERED_SHOWN:
        click.echo(f"... {len(silent)} without reply", err=True)
    for number, why in list(done.unreached.items())[:UNANSWERED_SHOWN]:
        click.echo(f"packet {number + 1} was not sent: {printable(why)}", err=True)


def _line(pair: Pair) -> str:
    words = [str(pair.reply), pair.reply.dissection.brief, f"rtt {pair.rtt_ns / 1e6:.3f} ms"]
    return " | ".join(filter(None, words))


class _Replies:
    """Replies as the batches of a capture, which know how to be printed."""

    def __init__(self, done: Exchange) -> None:
        self._done = done

    def batches(self) -> Iterator[Batch]:
        for index, frames in self._done.replies:
            yield _batch(frames, index.tolist())


def _batch(frames: Frames, index: list[int]) -> Batch:
    import numpy as np

    from portulan.drive.capture import Batch

    numbers = np.array(index, np.int64) + 1
    return Batch(frames, numbers, np.zeros(len(numbers), np.int64))


def _put_json(done: Exchange) -> None:
    from portulan.cli.packet_lines import objects, put

    put(objects(cast("Capture", _Replies(done)), [], as_hex=False))

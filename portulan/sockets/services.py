"""What a listener does with a client: echo, run a program, and all of it with datagrams."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from portulan.sockets.access import AccessList, Rate
from portulan.sockets.converse import DATAGRAM_SIZE, Source, copy
from portulan.sockets.datagram import Address, Datagrams
from portulan.sockets.pipes import spawn
from portulan.sockets.stream import Stream, bare_host

PEERS_MAX: Final = 1_024
"""Senders of datagrams that are remembered and spoken to; the one silent longest gives way."""


async def echo(stream: Stream) -> None:
    """Send back what comes, to its end."""
    while data := await stream.read():
        await stream.write(data)
    await stream.write_eof()


async def run_program(stream: Stream, command: str) -> None:
    """Give a client a program of its own: its input and output are the connection.

    The program's end ends our direction; raises `OSError` if it cannot be started.
    """
    program = await spawn(command, caller(stream))
    towards = asyncio.create_task(copy(stream, program))
    try:
        await copy(program, stream)
        towards.cancel()
        await asyncio.gather(towards, return_exceptions=True)
        await program.close()
    finally:
        towards.cancel()
        program.abort()


def caller(stream: Stream) -> Mapping[str, str]:
    """Return who calls, for a program's environment."""
    facts = stream.facts
    peer, local = _parts(stream.peer), _parts(stream.local)
    told = {
        "PEER_ADDR": peer[0], "PEER_PORT": peer[1], "LOCAL_ADDR": local[0], "LOCAL_PORT": local[1],
        "TLS": facts.tls, "ALPN": facts.alpn, "SNI": facts.sni,
        "PEER_FINGERPRINT": facts.fingerprint, "PEER_SUBJECT": facts.subject,
    }
    # A client chooses its SNI and subject: a NUL would make the program's start fail.
    return {f"PORTULAN_{name}": text.replace("\0", "") for name, text in told.items()}


def _parts(place: str) -> tuple[str, str]:
    host, colon, port = place.rpartition(":")
    return (host.strip("[]"), port) if colon and port.isdigit() else (place, "")


class Crowd:
    """One datagram socket and those who have sent to it: what we say goes to all of them."""

    def __init__(self, peer: Datagrams, *, access: AccessList, rate: float = 0.0) -> None:
        self.socket, self.refused = peer, 0
        self._access = access
        self._rate = Rate(rate) if rate else None
        self._peers: OrderedDict[Address, None] = OrderedDict()
        self._clock = asyncio.get_running_loop().time
        self.arrival = asyncio.Event()
        """Set once someone has sent."""

    async def receive(self) -> tuple[bytes, Address]:
        """Return the next datagram of someone who may send, and whose it is."""
        while True:
            try:
                data, sender = await self.socket.receive()
            except ConnectionRefusedError:
                continue  # ICMP: one whom we answered has gone
            host = bare_host(sender[0]) if isinstance(sender, tuple) else ""
            if not self._access.permits(host) or (
                    self._rate and not self._rate.admits(host, self._clock())):
                self.refused += 1
                continue
            self._remember(sender)
            return data, sender

    def _remember(self, sender: Address) -> None:
        if sender:
            self._peers[sender] = None
            self._peers.move_to_end(sender)
            self.arrival.set()
            if len(self._peers) > PEERS_MAX:
                self._peers.popitem(last=False)

    async def say(self, data: bytes, *, besides: Address = None) -> None:
        """Send to all who have sent, or all but one; who has gone is forgotten."""
        for address in list(self._peers):
            if address != besides:
                await self.answer(data, address)

    async def answer(self, data: bytes, address: Address) -> None:
        """Send to one."""
        try:
            await self.socket.send(data, address)
        except OSError:
            self._peers.pop(address, None)

    async def speak(self, source: Source, code: Callable[[bytes], bytes]) -> None:
        """Send what a source holds to all, from when someone is there."""
        await self.arrival.wait()
        while data := await source.read(DATAGRAM_SIZE):
            await self.say(code(data))

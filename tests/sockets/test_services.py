import asyncio

import pytest

from portulan.sockets import services
from portulan.sockets.acceptor import bind_datagrams, listen
from portulan.sockets.access import AccessList
from portulan.sockets.converse import Text
from portulan.sockets.dial import dial, dial_datagrams
from portulan.sockets.faults import DialError
from portulan.sockets.services import Crowd, caller, run_program
from tests.sockets.talking import read_all, run


def test_program_is_told_who_calls_and_keeps_the_half_close():
    async def serve(stream):
        await run_program(stream, "sh -c 'cat; echo $PORTULAN_PEER_ADDR $PORTULAN_PEER_PORT'")

    async def main():
        async with await listen("0", serve) as acceptor:
            stream = await dial(("127.0.0.1", acceptor.port))
            await stream.write(b"in\n")
            await stream.write_eof()
            port = stream.local.rpartition(":")[2]
            assert await read_all(stream) == f"in\n127.0.0.1 {port}\n".encode()
            await stream.close()

    run(main())


def test_program_that_ends_first_ends_the_connection():
    async def serve(stream):
        await run_program(stream, "echo bye")

    async def main():
        async with await listen("0", serve) as acceptor:
            stream = await dial(("127.0.0.1", acceptor.port))
            assert await read_all(stream) == b"bye\n"
            await stream.close()

    run(main())


def test_missing_program_is_noted_and_the_listener_stays():
    notes = []

    async def serve(stream):
        await run_program(stream, "/nonexistent/program")

    async def main():
        async with await listen("0", serve, note=notes.append) as acceptor:
            for _ in range(2):
                with pytest.raises((ConnectionResetError, DialError)):
                    await read_all(await dial(("127.0.0.1", acceptor.port)))

    run(main())
    assert [note.text for note in notes] == ["no such socket or file"] * 2


def test_hostile_name_of_a_client_cannot_break_the_environment():
    class Told:
        peer, local = "[fe80::1%lo]:5", "/run/x"

        class facts:  # noqa: N801
            tls = alpn = fingerprint = ""
            sni, subject = "a\0b", "c"

    told = caller(Told)
    assert (told["PORTULAN_PEER_ADDR"], told["PORTULAN_PEER_PORT"]) == ("fe80::1%lo", "5")
    assert (told["PORTULAN_LOCAL_ADDR"], told["PORTULAN_LOCAL_PORT"]) == ("/run/x", "")
    assert told["PORTULAN_SNI"] == "ab"


async def speakers(crowd, count):
    made = []
    for number in range(count):
        peer = await dial_datagrams(f"udp://{crowd.socket.local}")
        await peer.send(b"%d" % number)
        await crowd.receive()
        made.append(peer)
    return made


def test_what_is_said_goes_to_all_who_have_sent():
    async def main():
        crowd = Crowd(await bind_datagrams("0"), access=AccessList())
        peers = await speakers(crowd, 3)
        await crowd.speak(Text(b"to all"), lambda data: data.upper())
        assert [(await peer.receive())[0] for peer in peers] == [b"TO ALL"] * 3
        peers[0].close()
        await crowd.say(b"again")
        await crowd.say(b"again")
        assert (await peers[1].receive())[0] == b"again"
        await peers[1].send(b"alive")
        assert (await crowd.receive())[0] == b"alive"
        for peer in (*peers, crowd.socket):
            peer.close()

    run(main())


def test_senders_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(services, "PEERS_MAX", 2)

    async def main():
        crowd = Crowd(await bind_datagrams("0"), access=AccessList())
        peers = await speakers(crowd, 3)
        assert len(crowd._peers) == 2
        for peer in (*peers, crowd.socket):
            peer.close()

    run(main())


def test_sender_denied_or_too_fast_is_not_heard():
    async def main():
        crowd = Crowd(await bind_datagrams("127.0.0.1:0"), rate=2,
                      access=AccessList.of(deny=["127.0.0.2"]))
        good = await dial_datagrams(f"udp://{crowd.socket.local}")
        bad = await dial_datagrams(f"udp://{crowd.socket.local}?source=127.0.0.2")
        await bad.send(b"x")
        for _ in range(3):
            await good.send(b"y")
        assert (await crowd.receive())[0] == (await crowd.receive())[0] == b"y"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await crowd.receive()
        assert crowd.refused == 2
        for peer in (good, bad, crowd.socket):
            peer.close()

    run(main())

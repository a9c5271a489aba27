import asyncio
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.sockets.acceptor import bind_datagrams
from portulan.sockets.datagram import bind_host
from portulan.sockets.dial import dial_datagrams
from portulan.sockets.endpoint import Endpoint
from portulan.sockets.faults import DialError
from tests.sockets.talking import run


def test_unix_datagrams_are_answered(tmp_path):
    async def main():
        ours = await bind_datagrams(f"unixgram:{tmp_path}/s")
        peer = await dial_datagrams(f"unixgram:{tmp_path}/s")
        await peer.send(b"question")
        data, sender = await ours.receive()
        await ours.send(data[::-1], sender)
        assert (await peer.receive())[0] == b"noitseuq"
        peer.close()
        ours.close()
        again = await bind_datagrams(f"unixgram:{tmp_path}/s")  # the old file is stale
        again.close()

    run(main())


def test_group_joined_on_the_loopback_hears_its_datagrams():
    async def main():
        ours = await bind_datagrams("udp://0?join=239.77.1.2&interface=lo")
        peer = await dial_datagrams(f"udp://{ours.local}?interface=lo&ttl=1")
        await peer.send(b"to all")
        assert (await ours.receive())[0] == b"to all"
        peer.close()
        ours.close()

    run(main())


def test_group_of_one_link_is_joined_there():
    """Seen in the kernel's list: the loopback has no route for IPv6 groups."""
    async def main():
        ours = await bind_datagrams("udp://0?join=ff02::7712&interface=lo")
        assert ours.local.startswith("[ff02::7712%lo]:")
        members = Path("/proc/net/igmp6").read_text()
        assert any(line.split()[1:3] == ["lo", "ff020000000000000000000000007712"]
                   for line in members.splitlines())
        ours.close()

    run(main())


def test_group_alone_is_what_it_binds_to():
    def host(text):
        return bind_host(Endpoint.parse(text, listening=True))

    assert host("udp://0?join=239.1.2.3") == "239.1.2.3"
    assert host("udp://0?join=239.1.2.3,ff02::1") == "*"
    assert host("udp://0?join=ff02::1&interface=lo") == "ff02::1%lo"
    assert host("udp://0?join=ff02::1") == "::"
    assert host("udp://0.0.0.0:0?join=239.1.2.3") == "0.0.0.0"
    assert host("udp://0") == "127.0.0.1"


def test_everywhere_hears_both_families():
    async def main():
        ours = await bind_datagrams("udp://*:0")
        port = ours.local.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            peer = await dial_datagrams(f"udp://{host}:{port}")
            await peer.send(host.encode())
            data, sender = await ours.receive()
            await ours.send(data, sender)
            assert (await peer.receive())[0] == host.encode()
            peer.close()
        ours.close()

    run(main())


def test_source_of_datagrams_is_used():
    async def main():
        ours = await bind_datagrams("udp://127.0.0.1:0")
        peer = await dial_datagrams(f"udp://{ours.local}?source=127.0.0.9")
        assert peer.local.startswith("127.0.0.9:")
        with pytest.raises(DialError, match="no such interface"):
            await dial_datagrams(f"udp://{ours.local}?interface=nosuch0")
        peer.close()
        ours.close()

    run(main())


def test_too_long_datagram_is_an_error_of_the_kernel():
    async def main():
        ours = await bind_datagrams("udp://127.0.0.1:0")
        peer = await dial_datagrams(f"udp://{ours.local}")
        with pytest.raises(OSError):
            await peer.send(bytes(70_000))
        await peer.send(bytes(65_507))
        assert len((await ours.receive())[0]) == 65_507 == ours.received == peer.sent
        reading = asyncio.create_task(ours.receive())
        await asyncio.sleep(0)
        ours.close()
        with pytest.raises(ConnectionAbortedError):
            await reading
        peer.close()

    run(main())


def test_no_such_interface_to_join_is_a_usage_error():
    with pytest.raises(UsageError, match="no such interface"):
        run(bind_datagrams("udp://0?join=239.1.2.3&interface=nosuch0"))

from __future__ import annotations

import asyncio
import socket

import pytest

from portulan.sockets import proxy_udp
from portulan.sockets.ledger import Line
from portulan.sockets.proxy_socks import pack_datagram, unpack_datagram
from portulan.sockets.proxy_udp import Association


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(10)
    return sock


def line() -> Line:
    return Line(client="c", local="l", protocol="udp", started_ns=0, now_s=0.0)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.002)



def test_datagrams_go_to_many_targets_and_back() -> None:
    async def main() -> None:
        kept = line()
        association = Association("127.0.0.1", ("127.0.0.1", 0), kept, lambda host: True)
        with udp() as client, udp() as one, udp() as other:
            for target, data in ((one, b"a"), (other, b""), (one, b"ccc")):
                client.sendto(pack_datagram(*target.getsockname(), data), association.address)
            await settle()
            assert [one.recvfrom(100)[0] for _ in range(2)] == [b"a", b"ccc"]
            data, outside = other.recvfrom(100)
            assert data == b""
            other.sendto(b"answer", outside)
            await settle()
            assert unpack_datagram(client.recv(100)) == (*other.getsockname(), b"answer")
        association.close()
        assert (kept.up.count, kept.down.count) == (4, 6)

    asyncio.run(main())


def test_name_is_looked_up_and_checked() -> None:
    async def main() -> None:
        asked: list[str] = []

        def reaches(host: str) -> bool:
            asked.append(host)
            return host == "127.0.0.1"

        association = Association("127.0.0.1", ("127.0.0.1", 0), line(), reaches)
        with udp() as client, udp() as target:
            port = target.getsockname()[1].to_bytes(2, "big")
            for data in (b"x", b"y"):
                client.sendto(b"\0\0\0\3\x09localhost" + port + data, association.address)
                await settle()
                assert target.recv(100) == data
            assert asked.count("127.0.0.1") == 1
            client.sendto(pack_datagram("127.0.0.2", 9, b"no"), association.address)
            await settle()
            assert asked[-1] == "127.0.0.2"
        association.close()

    asyncio.run(main())


def test_stranger_is_not_heard_in_either_direction() -> None:
    async def main() -> None:
        association = Association("127.0.0.1", ("127.0.0.1", 0), line(), lambda host: True)
        with udp() as client, udp() as target, udp() as stranger:
            client.sendto(pack_datagram(*target.getsockname(), b"1"), association.address)
            await settle()
            _, outside = target.recvfrom(100)
            stranger.sendto(pack_datagram(*target.getsockname(), b"2"), association.address)
            stranger.sendto(b"3", outside)
            target.sendto(b"4", outside)
            await settle()
            assert unpack_datagram(client.recv(100)) == (*target.getsockname(), b"4")
            target.setblocking(False)
            with pytest.raises(BlockingIOError):
                target.recv(100)
        association.close()

    asyncio.run(main())


def test_port_named_in_the_request_is_the_only_one_heard() -> None:
    async def main() -> None:
        with udp() as client, udp() as target, udp() as other:
            association = Association("127.0.0.1", client.getsockname(), line(), lambda host: True)
            other.sendto(pack_datagram(*target.getsockname(), b"no"), association.address)
            client.sendto(pack_datagram(*target.getsockname(), b"yes"), association.address)
            await settle()
            assert target.recv(100) == b"yes"
            association.close()

    asyncio.run(main())


def test_targets_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_udp, "TARGETS_MAX", 2)

    async def main() -> None:
        association = Association("127.0.0.1", ("127.0.0.1", 0), line(), lambda host: True)
        with udp() as client, udp() as a, udp() as b, udp() as c:
            for target in (a, b, c):
                client.sendto(pack_datagram(*target.getsockname(), b"x"), association.address)
            await settle()
            for target in (a, b, c):
                target.sendto(b"back", target.recvfrom(100)[1])
            await settle()
            got = {unpack_datagram(client.recv(100))[1] for _ in range(2)}  # type: ignore[index]
            assert got == {b.getsockname()[1], c.getsockname()[1]}
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(100)
        association.close()

    asyncio.run(main())

import asyncio
import ipaddress

import pytest

from portulan.sockets.acceptor import listen
from portulan.sockets.converse import copy
from portulan.sockets.dial import dial
from portulan.sockets.faults import DialError
from portulan.sockets.via import HEAD_MAX, read_exactly
from tests.sockets.talking import read_all, run


async def speaks_first(stream):
    await stream.write(b"220 ready\n")
    await stream.write(await read_all(stream))


class Proxy:
    """A proxy for the tests: checks what it is asked and leads there."""

    def __init__(self, kind, login=None):
        self.kind, self.login, self.asked = kind, login, []

    async def serve(self, stream):
        host, port, answer = await getattr(self, self.kind)(stream)
        self.asked.append((host, port))
        other = await dial(("127.0.0.1" if host == "name.example" else host, port))
        # The target's greeting follows the proxy's answer in one segment, maybe.
        try:
            await stream.write(answer + await other.read())
            await asyncio.gather(copy(stream, other), copy(other, stream))
        finally:
            other.abort()

    async def socks4(self, stream):
        head = await read_exactly(stream, 8)
        assert head[:2] == b"\4\1"
        user = await self.until(stream, b"\0")
        assert user == (self.login or b"")
        host = str(ipaddress.IPv4Address(head[4:8]))
        if host == "0.0.0.1":
            host = (await self.until(stream, b"\0")).decode()
        return host, int.from_bytes(head[2:4], "big"), b"\0\x5a" + bytes(6)

    async def socks5(self, stream):
        version, count = await read_exactly(stream, 2)
        methods = await read_exactly(stream, count)
        assert version == 5
        if self.login:
            assert 2 in methods
            await stream.write(b"\5\2")
            _, size = await read_exactly(stream, 2)
            user = await read_exactly(stream, size)
            password = await read_exactly(stream, (await read_exactly(stream, 1))[0])
            good = user + b":" + password == self.login
            await stream.write(b"\1\0" if good else b"\1\1")
        else:
            await stream.write(b"\5\0")
        _, _, _, kind = await read_exactly(stream, 4)
        size = {1: 4, 4: 16}.get(kind) or (await read_exactly(stream, 1))[0]
        raw = await read_exactly(stream, size)
        host = raw.decode() if kind == 3 else str(ipaddress.ip_address(raw))
        port = int.from_bytes(await read_exactly(stream, 2), "big")
        return host, port, b"\5\0\0\3\4name\0\0"

    async def http(self, stream):
        head = await self.until(stream, b"\r\n\r\n")
        host, _, port = head.split()[1].decode().rpartition(":")
        if self.login:
            assert b"Proxy-Authorization: Basic " + self.login in head
        return host.strip("[]"), int(port), b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"

    @staticmethod
    async def until(stream, mark):
        data = b""
        while not data.endswith(mark):
            data += await read_exactly(stream, 1)
        return data.removesuffix(mark)


async def through(chain, target="tcp://127.0.0.1:{port}", proxies=()):
    async with await listen("127.0.0.1:0", speaks_first) as behind:
        listeners = [await listen("127.0.0.1:0", proxy.serve) for proxy in proxies]
        ports = [listener.port for listener in listeners]
        stream = await dial(target.format(port=behind.port) + "?via=" + chain.format(*ports))
        await stream.write(b"hello")
        await stream.write_eof()
        got = await read_all(stream)
        await stream.close()
        for listener in listeners:
            await listener.close()
        return got, stream, behind.port


@pytest.mark.parametrize(("kind", "chain", "login"), [
    ("socks4", "socks4://127.0.0.1:{}", None), ("socks4", "socks4://me@127.0.0.1:{}", b"me"),
    ("socks4", "socks4a://127.0.0.1:{}", None), ("socks5", "socks5://127.0.0.1:{}", None),
    ("socks5", "socks5://me:p@127.0.0.1:{}", b"me:p"), ("http", "http://127.0.0.1:{}", None),
    ("http", "http://me:p@127.0.0.1:{}", b"bWU6cA=="),
])
def test_proxy_leads_to_a_target_that_speaks_first(kind, chain, login):
    got, stream, _ = run(through(chain, proxies=[Proxy(kind, login)]))
    assert got == b"220 ready\nhello"
    assert len(stream.facts.via) == 1 and "me" not in stream.facts.via[0]


@pytest.mark.parametrize("kind", ["socks4a", "socks5", "http"])
def test_name_of_the_target_is_the_proxys_to_resolve(kind):
    proxy = Proxy(kind.removesuffix("a"))
    got, stream, port = run(through(kind + "://127.0.0.1:{}", "name.example:{port}", [proxy]))
    assert got == b"220 ready\nhello"
    assert proxy.asked == [("name.example", port)]
    assert stream.peer == f"name.example:{port}"


def test_chain_of_three_is_asked_in_order():
    async def main():
        async with await listen("127.0.0.1:0", speaks_first) as behind:
            proxies = [Quiet("http"), Quiet("socks5"), Proxy("socks4")]
            listeners = [await listen("127.0.0.1:0", proxy.serve) for proxy in proxies]
            a, b, c = (listener.port for listener in listeners)
            stream = await dial(f"127.0.0.1:{behind.port}?via=http://127.0.0.1:{a},"
                                f"socks5://127.0.0.1:{b}&via=socks4://127.0.0.1:{c}")
            assert await stream.read() == b"220 ready\n"
            await stream.close()
            assert [proxy.asked[0][1] for proxy in proxies] == [b, c, behind.port]
            for listener in listeners:
                await listener.close()

    run(main())


class Quiet(Proxy):
    """Leads to something that does not speak first."""

    async def serve(self, stream):
        host, port, answer = await getattr(self, self.kind)(stream)
        self.asked.append((host, port))
        other = await dial((host, port))
        try:
            await stream.write(answer)
            await asyncio.gather(copy(stream, other), copy(other, stream))
        finally:
            other.abort()


@pytest.mark.parametrize(("scheme", "answer", "words"), [
    ("socks4", b"\0\x5b" + bytes(6), "refused or failed"), ("socks4", b"HTTP/1.0", "SOCKS4"),
    ("socks5", b"\5\xff", "user and password"), ("socks5", b"HT", "does not speak SOCKS5"),
    ("socks5", b"\5\0\5\5\0\1" + bytes(6), "connection refused"), ("socks5", b"\5", "middle"),
    ("socks5", b"", "middle"), ("http", b"HTTP/1.1 407 Auth\x1b[2J\r\n\r\n", "407 Auth\\x1b"),
    ("http", b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
    ("http", b"x" * (HEAD_MAX + 9), "endless"),
    ("http", b"HTTP/1.1 200 OK\r\n", "middle"),
])
def test_proxy_that_refuses_or_babbles_is_one_line(scheme, answer, words):
    async def main():
        async def babble(stream):
            await stream.write(answer)
            await stream.write_eof()
            await read_all(stream)

        async with await listen("127.0.0.1:0", babble) as proxy:
            await dial(f"192.0.2.1:80?via={scheme}://127.0.0.1:{proxy.port}")

    with pytest.raises(DialError) as error:
        run(main())
    assert error.value.kind == "proxy" and words in str(error.value)
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


def test_dead_proxy_is_named():
    with pytest.raises(DialError, match=r"192\.0\.2\.1:80: proxy socks5://127\.0\.0\.1:1: refused"):
        run(dial("192.0.2.1:80?via=socks5://127.0.0.1:1"))

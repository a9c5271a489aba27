from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import dns.message
import pytest

from portulan.lab import services
from portulan.lab.scenario import Service
from portulan.lab.services import REQUEST_MAX, dns_answer, listen, serve

NAMES = {"web": ["10.0.0.1", "fd00::1"]}


def talk(service: Service, say: bytes = b"", *, tls=False, half_close=True) -> bytes:
    """Serve one service on loopback, say something, return all that comes back."""

    async def main() -> bytes:
        listener = listen("web", service, ["127.0.0.1"])
        running = await serve(listener, NAMES)
        port = listener.sockets[0].getsockname()[1]
        context = ssl._create_unverified_context() if tls else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(say)
        if half_close and not tls:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(-1), 2)
        finally:
            for each in running:
                each.close()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    return asyncio.run(main())


def free(kind: str, **words: str) -> Service:
    return Service(kind=kind, port=0, **words)


def test_http_get_has_a_page_and_head_has_none():
    page = talk(free("http", text="hello"), b"GET / HTTP/1.1\r\n\r\n", half_close=False)
    assert page.startswith(b"HTTP/1.1 200 OK\r\n") and page.endswith(b"<p>hello</p>\n")
    head = talk(free("http"), b"HEAD / HTTP/1.1\r\n\r\n", half_close=False)
    assert head.endswith(b"\r\n\r\n")


def test_http_odd_requests_get_an_error_or_a_hang_up():
    assert b" 501 " in talk(free("http"), b"\x16\x03\x01 \r\n\r\n", half_close=False)
    with contextlib.suppress(ConnectionError):
        assert talk(free("http"), b"a" * (REQUEST_MAX * 2), half_close=False) == b""


def test_https_answers_behind_tls():
    assert talk(free("https"), b"GET / HTTP/1.0\r\n\r\n", tls=True).startswith(b"HTTP/1.1 200")


def test_echo_gives_back_and_sink_gives_nothing():
    data = bytes(range(256)) * 300
    assert talk(free("echo"), data) == data
    assert talk(free("tcp-sink"), data) == b""


def test_banner_speaks_first():
    assert talk(free("banner", text="220 post\r\n")) == b"220 post\r\n"


def test_accept_says_nothing_until_its_limit(monkeypatch):
    monkeypatch.setattr(services, "SILENCE_MAX_S", 0.2)
    assert talk(free("accept")) == b""


def test_reset_hangs_up_with_a_reset():
    with pytest.raises(ConnectionError):
        talk(free("reset"), b"hello?")


def test_dns_over_tcp_answers_in_one_connection_twice():
    query = dns.message.make_query("web.lab.", "A").to_wire()
    framed = len(query).to_bytes(2, "big") + query
    reply = talk(Service(kind="dns", port=0), framed * 2)
    size = int.from_bytes(reply[:2], "big")
    assert len(reply) == 2 * (size + 2)
    assert "10.0.0.1" in dns.message.from_wire(reply[2 : 2 + size]).to_text()


@pytest.mark.parametrize(("name", "kind", "says"), [
    ("web.lab.", "A", "10.0.0.1"), ("WEB.lab.", "AAAA", "fd00::1"), ("no.lab.", "A", "NXDOMAIN"),
    ("web.example.", "A", "NXDOMAIN"),
])
def test_dns_knows_the_hosts_of_the_lab(name, kind, says):
    reply = dns_answer(NAMES)(dns.message.make_query(name, kind).to_wire())
    assert says in dns.message.from_wire(reply).to_text()


def test_dns_tells_its_version():
    query = dns.message.make_query("version.bind.", "TXT", "CH")
    assert "portulan-lab" in dns.message.from_wire(dns_answer({})(query.to_wire())).to_text()


@pytest.mark.parametrize("junk", [b"", b"\0", b"\xff" * 40, b"\0" * 12, b"GET / HTTP/1.0\r\n\r\n"])
def test_dns_no_query_no_answer(junk):
    assert dns_answer(NAMES)(junk) == b""


def test_udp_echo_answers_and_udp_accept_does_not():
    async def main(kind: str) -> bytes:
        listener = listen("web", Service(kind=kind, port=0, protocol="udp"), ["127.0.0.1"])
        (running,) = await serve(listener, NAMES)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.closing(running), udp as asker:
            asker.setblocking(False)
            asker.connect(listener.sockets[0].getsockname())
            asker.send(b"hello")
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asker, 99), 0.5)

    assert asyncio.run(main("echo")) == b"hello"
    with pytest.raises(TimeoutError):
        asyncio.run(main("accept"))


def test_a_port_in_use_is_an_os_error_and_leaves_no_socket():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        listen("web", Service(kind="http", port=taken.getsockname()[1]), ["127.0.0.1"])

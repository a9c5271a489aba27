from __future__ import annotations

import asyncio
import socket

from portulan.drive.identifying_wire import Wire

from . import talkers


class Told:
    def __init__(self):
        self.news = []
        self.wire = None
        self.say = b""
        self.over = asyncio.get_running_loop().create_future()

    def opened(self, number, rtt_ns):
        assert 0 <= rtt_ns < 10**9
        self.news.append("opened")
        if self.say == b"tls":
            self.wire.secure()
        elif self.say:
            self.wire.send(self.say)

    def heard(self, number, data):
        self.news.append(("heard", data))

    def secured(self, number, secured):
        self.news.append(("secured", secured))
        self.wire.send(b"GET / HTTP/1.1\r\n\r\n")

    def ended(self, number, why):
        self.news.append(("ended", why))
        self.over.set_result(None)


def news_of(port, say=b""):
    async def main():
        told = Told()
        told.say = say
        told.wire = Wire(1, ("127.0.0.1", port), "tcp", told=told)
        told.wire.open()
        await asyncio.wait_for(told.over, 5)
        return told.news

    return asyncio.run(main())


def test_what_happens_is_told_in_order():
    with talkers.serving(talkers.answer_http) as [port]:
        news = news_of(port, b"GET / HTTP/1.1\r\n\r\n")
    assert news == ["opened", ("heard", talkers.NGINX), ("ended", "eof")]


def test_refusal_is_told_as_such():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert news_of(port) == [("ended", "refused")]


def test_tls_is_told_with_the_certificate_and_what_is_said_inside():
    with talkers.serving(talkers.inside_tls(talkers.answer_http)) as [port]:
        news = news_of(port, b"tls")
    assert news[0] == "opened" and news[1][0] == "secured"
    assert news[1][1].certificates[0][:1] == b"\x30" and news[1][1].cipher
    assert news[2:] == [("heard", talkers.NGINX), ("ended", "eof")]


def test_peer_without_tls_is_told_by_its_own_words():
    def complain(conn, stop):
        conn.recv(4096)
        conn.sendall(b"500 what?\r\n")

    with talkers.serving(complain) as [port]:
        news = news_of(port, b"tls")
    assert news == ["opened", ("heard", b"500 what?\r\n"), ("ended", "not-tls")]


def test_peer_that_refuses_our_handshake_by_an_alert_speaks_tls():
    def alert(conn, stop):
        conn.recv(4096)
        conn.sendall(b"\x15\x03\x03\x00\x02\x02\x28")

    with talkers.serving(alert) as [port]:
        news = news_of(port, b"tls")
    assert news == ["opened", ("ended", "tls-alert")]


def test_peer_that_hangs_up_on_our_hello_says_nothing():
    def hang_up(conn, stop):
        conn.recv(4096)

    with talkers.serving(hang_up) as [port]:
        assert news_of(port, b"tls") == ["opened", ("ended", "eof")]


def test_answer_from_another_port_is_heard_where_it_is_expected():
    async def main(asked, other):
        told = Told()
        told.say = b"question"
        told.wire = Wire(1, asked.getsockname(), "udp", told=told, elsewhere=True)
        told.wire.open()
        loop = asyncio.get_running_loop()
        _, peer = await loop.sock_recvfrom(asked, 100)
        other.sendto(b"answer", peer)
        for _ in range(100):
            if len(told.news) > 1:
                break
            await asyncio.sleep(0.01)
        told.wire.close()
        return told.news

    with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked,
          socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other):
        asked.bind(("127.0.0.1", 0))
        asked.setblocking(False)
        other.bind(("127.0.0.1", 0))
        assert asyncio.run(main(asked, other)) == ["opened", ("heard", b"answer")]


def test_closed_wire_tells_nothing_more():
    async def main(port):
        told = Told()
        told.wire = Wire(1, ("127.0.0.1", port), "tcp", told=told)
        told.wire.open()
        told.wire.close()
        await asyncio.sleep(0.05)
        return told.news

    with talkers.serving(talkers.greet(talkers.SSH)) as [port]:
        assert asyncio.run(main(port)) == []

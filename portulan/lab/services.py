"""The services of a lab: small real servers whose behaviour is known, all in one event loop.

A socket stays in the network namespace where it was made, whatever its process does later. So one
process makes the sockets of every host while it visits their namespaces, and one event loop serves
them all: a lab of a hundred services costs one interpreter.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Protocol, cast

from portulan.lab.scenario import Service

BACKLOG = 8192
"""Connections waiting to be accepted; the kernel caps it at the namespace's `somaxconn`."""

REQUEST_MAX = 65536
"""Bytes of a request's head, as common servers allow; what is longer is hung up on."""

SILENCE_MAX_S = 300.0
"""How long `accept` keeps a connection: longer than any scanner waits."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close() sends a reset instead of a FIN."""


class Closable(Protocol):
    """Something that ends by being closed."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A service, the host it is of, and the sockets that were bound for it."""

    host: str
    service: Service
    sockets: tuple[socket.socket, ...]


def listen(host: str, service: Service, addresses: Sequence[str]) -> Listener:
    """Bind a service in the current namespace to each address; OSError if a port is taken."""
    udp = service.protocol == "udp" or service.kind == "dns"
    tcp = service.protocol == "tcp"
    made = [_bind(address, service.port, socket.SOCK_STREAM) for address in addresses if tcp]
    made += [_bind(address, service.port, socket.SOCK_DGRAM) for address in addresses if udp]
    return Listener(host, service, tuple(made))


async def serve(listener: Listener, names: dict[str, list[str]]) -> list[Closable]:
    """Start to answer on a listener's sockets; `names` are the hosts that `dns` knows.

    Closing what it returns ends the service.
    """
    running: list[Closable] = []
    loop = asyncio.get_running_loop()
    service = listener.service
    tls = _throwaway_tls(listener.host) if service.kind == "https" else None
    for sock in listener.sockets:
        if sock.type == socket.SOCK_DGRAM:
            answer = _datagram_answer(service, names)
            made = await loop.create_datagram_endpoint(partial(_Datagrams, answer), sock=sock)
            running.append(made[0])
        else:
            make = _stream(service, listener.host, names)
            running.append(await loop.create_server(make, sock=sock, backlog=BACKLOG, ssl=tls))
    return running


def _bind(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class _Stream(asyncio.Protocol):
    """One connection; the root of the kinds, and `tcp-sink` itself: reads and says nothing."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport
        self.begin()

    def begin(self) -> None:
        """Say or do what comes first."""


class _Echo(_Stream):
    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class _Banner(_Stream):
    def __init__(self, text: str) -> None:
        self.text = text

    def begin(self) -> None:
        self.transport.write(self.text.encode())


class _Accept(_Stream):
    """Never reads: what the peer sends fills a window that never opens again."""

    def begin(self) -> None:
        self.transport.pause_reading()
        # Who does not read cannot see the peer leave: without an end, each would cost a file.
        asyncio.get_running_loop().call_later(SILENCE_MAX_S, self.transport.close)


class _Reset(_Stream):
    def begin(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()


class _Http(_Stream):
    def __init__(self, host: str, text: str) -> None:
        self.body = f"<!doctype html><title>{host}</title><p>{text or host}</p>\n".encode()
        self.head = b""

    def data_received(self, data: bytes) -> None:
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.transport.write(self._answer(self.head.split(b" ", 1)[0]))
            self.transport.close()
        elif len(self.head) > REQUEST_MAX:
            self.transport.close()

    def _answer(self, method: bytes) -> bytes:
        known = method in (b"GET", b"HEAD")
        body = self.body if known else b""
        head = (
            f"HTTP/1.1 {'200 OK' if known else '501 Not Implemented'}\r\n"
            "Server: portulan-lab\r\nContent-Type: text/html; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == b"HEAD" else body)


class _DnsStream(_Stream):
    """DNS over TCP: two bytes of length before each message (RFC 1035 section 4.2.2)."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer, self.pending = answer, b""

    def data_received(self, data: bytes) -> None:
        self.pending += data
        while len(self.pending) >= 2:
            size = int.from_bytes(self.pending[:2], "big")
            if len(self.pending) < 2 + size:
                return
            reply = self.answer(self.pending[2 : 2 + size])
            self.pending = self.pending[2 + size :]
            if not reply:
                self.transport.close()
                return
            self.transport.write(len(reply).to_bytes(2, "big") + reply)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's own datagram transport is no subclass of DatagramTransport.
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        if reply := self.answer(data):
            self.transport.sendto(reply, addr)


def _stream(
    service: Service, host: str, names: dict[str, list[str]]
) -> Callable[[], asyncio.Protocol]:
    if service.kind == "dns":
        answer = dns_answer(names)
        return lambda: _DnsStream(answer)
    makers: dict[str, Callable[[], asyncio.Protocol]] = {
        "http": lambda: _Http(host, service.text),
        "https": lambda: _Http(host, service.text),
        "banner": lambda: _Banner(service.text),
        "echo": _Echo,
        "accept": _Accept,
        "reset": _Reset,
        "tcp-sink": _Stream,
    }
    return makers[service.kind]


def _datagram_answer(service: Service, names: dict[str, list[str]]) -> Callable[[bytes], bytes]:
    if service.kind == "dns":
        return dns_answer(names)
    return (lambda data: data) if service.kind == "echo" else (lambda _data: b"")


def dns_answer(names: dict[str, list[str]]) -> Callable[[bytes], bytes]:
    """Return a function from a DNS query to its reply, empty for what is no query.

    It is the authority for `HOST.lab.` with A, AAAA and PTR records, and tells `version.bind`.
    """
    import dns.exception
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rrset

    def answer(query: bytes) -> bytes:
        try:
            asked = dns.message.from_wire(query)
            reply = dns.message.make_response(asked)
            question = asked.question[0]
        except (dns.exception.DNSException, IndexError, ValueError):
            return b""
        reply.flags |= dns.flags.AA
        name = question.name.to_text().lower()
        records = _records(name, names)
        if not records:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        for kind, text in records:
            row = dns.rrset.from_text(question.name, 60, question.rdclass, kind, text)
            if row.rdtype == question.rdtype:
                reply.answer.append(row)
        return reply.to_wire()

    return answer


def _records(name: str, names: dict[str, list[str]]) -> list[tuple[str, str]]:
    if name == "version.bind.":
        return [("TXT", '"portulan-lab"')]
    if name.endswith(".arpa."):
        return [("PTR", f"{host}.lab.") for host, addresses in names.items()
                if name in map(_reversed, addresses)]
    addresses = names.get(name.removesuffix(".lab."), []) if name.endswith(".lab.") else []
    return [("AAAA" if ":" in address else "A", address) for address in addresses]


def _reversed(address: str) -> str:
    return ip_address(address).reverse_pointer + "."


def _throwaway_tls(host: str) -> ssl.SSLContext:
    """Return a server context with a certificate made on the spot, in memory and gone with it."""
    import datetime
    import tempfile

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{host}.lab")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{host}.lab")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.NamedTemporaryFile("wb") as file:  # OpenSSL's door takes files only
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        file.flush()
        context.load_cert_chain(file.name)
    return context

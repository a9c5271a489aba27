"""One connection of a dialogue on the kernel: a few callbacks, no task, no stream."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import sys
from functools import cache
from typing import Final, Protocol, TypeAlias

from portulan.ident.dialogue import Ending
from portulan.ident.dialogue_known import Secured
from portulan.sockets.connects import BUSY, is_own_peer

READ_SIZE: Final = 16 << 10
"""Bytes taken off a socket at once."""
HELLO_KEPT_MAX: Final = 4096
"""Bytes kept of what answered our TLS hello, in case that it is no TLS."""
BUSY_RETRY_S: Final = 0.05
"""Out of descriptors or source ports: others will end soon."""
OP_LEGACY_SERVER_CONNECT: Final = 0x4
"""Servers that cannot renegotiate safely (RFC 5746) are looked at all the same."""

TCP_INFO_SIZE, TCP_INFO_RTT = 72, 68
"""Octets of struct tcp_info up to tcpi_rtt, and where that (us) begins (linux/tcp.h)."""

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


class Told(Protocol):
    """Whom a wire tells what happens to it; the number is the wire's own."""

    def opened(self, number: int, rtt_ns: int) -> None:
        """Tell that it stands, and the round trip as the kernel measured it."""

    def heard(self, number: int, data: bytes) -> None:
        """Tell what came."""

    def secured(self, number: int, secured: Secured) -> None:
        """Tell that TLS stands on it."""

    def ended(self, number: int, why: Ending) -> None:
        """Tell that it is gone."""


class Wire:
    """A non-blocking socket that tells what happens; `close` is silent."""

    def __init__(
        self, number: int, address: Address, transport: str, *, told: Told, name: str = "",
        interface: str = "", elsewhere: bool = False,
    ) -> None:
        self._elsewhere = elsewhere
        self._number, self._address, self._told, self._name = number, address, told, name
        self._kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self._interface = interface
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._session: _Session | None = None
        self._retry: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to connect."""
        self._retry = None
        family = socket.AF_INET6 if len(self._address) == 4 else socket.AF_INET
        try:
            sock = self._sock = socket.socket(family, self._kind)
            sock.setblocking(False)
            if self._interface:
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
            # A connected socket would hear its own peer's port alone.
            error = 0 if self._elsewhere else sock.connect_ex(self._address)
        except OSError as fault:
            error = fault.errno or errno.EIO
        if error in BUSY:
            self._release()
            self._retry = self._loop.call_later(BUSY_RETRY_S, self.open)
        elif error in (0, errno.EINPROGRESS) and self._sock is not None:
            self._loop.add_writer(self._sock.fileno(), self._connected)
        else:
            # Never from within `open`: whoever called is still at work on the last news.
            self._loop.call_soon(self._end, _ending(error))

    def send(self, data: bytes) -> None:
        """Give bytes to the kernel; a peer that takes no few hundred of them gets no more."""
        if self._session is not None:
            self._session.write(data)
            data = self._session.outgoing()
        if self._sock is not None and data:
            with contextlib.suppress(OSError):  # the read side tells what became of it
                if self._elsewhere:
                    self._sock.sendto(data, self._address)
                else:
                    self._sock.send(data)

    def secure(self) -> None:
        """Begin TLS."""
        self._session = _Session(self._name)
        self._shake(b"")

    def close(self) -> None:
        """Drop it; nothing more is told."""
        if self._retry is not None:
            self._retry.cancel()
        self._release()

    # -- what the loop calls -----------------------------------------------------------------

    def _connected(self) -> None:
        sock = self._sock
        if sock is None:
            return
        self._loop.remove_writer(sock.fileno())
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error or (self._kind == socket.SOCK_STREAM and is_own_peer(sock)):
            self._end(_ending(error or errno.ECONNREFUSED))
            return
        self._loop.add_reader(sock.fileno(), self._readable)
        self._told.opened(self._number, self._rtt_ns(sock))

    def _rtt_ns(self, sock: socket.socket) -> int:
        """Return what the handshake took; our own clock may have been late to look."""
        if self._kind != socket.SOCK_STREAM:
            return 0  # there was none
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
        return int.from_bytes(info[TCP_INFO_RTT : TCP_INFO_RTT + 4], sys.byteorder) * 1_000

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            data, peer = self._sock.recvfrom(
                READ_SIZE if self._kind == socket.SOCK_STREAM else 1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(_ending(error.errno or errno.EIO))
            return
        if self._elsewhere and str(peer[0]).partition("%")[0] != self._address[0]:
            return  # a stranger's
        if self._session is not None:
            self._inside(data)
        elif data or self._kind == socket.SOCK_DGRAM:
            self._told.heard(self._number, data)
        else:
            self._end("eof")

    def _inside(self, data: bytes) -> None:
        session = self._session
        if session is None:
            return
        if not session.secured:
            self._shake(data)
            return
        plain, over = session.read(data)
        self.send(b"")
        if plain:
            self._told.heard(self._number, plain)
        if (over or not data) and self._sock is not None:
            self._end("eof")

    def _shake(self, data: bytes) -> None:
        session = self._session
        if session is None:
            return
        fault = session.shake(data)
        out = session.outgoing()
        if self._sock is not None and out:
            with contextlib.suppress(OSError):
                self._sock.send(out)
        if fault is not None:
            if fault == "not-tls" and session.seen:
                self._told.heard(self._number, bytes(session.seen))
            self._end(fault)
        elif session.secured:
            self._told.secured(self._number, session.facts())
            if self._sock is not None:
                self._inside_rest()

    def _inside_rest(self) -> None:
        """Tell what came in one go with the end of the handshake."""
        plain, over = self._session.read(b"") if self._session is not None else (b"", False)
        if plain:
            self._told.heard(self._number, plain)
        if over and self._sock is not None:
            self._end("eof")

    def _end(self, why: Ending) -> None:
        if self._sock is not None or self._retry is None:
            self._release()
            self._told.ended(self._number, why)

    def _release(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
                self._loop.remove_writer(sock.fileno())
            sock.close()


class _Session:
    """A TLS client between two buffers; takes any certificate, for it only looks."""

    def __init__(self, name: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = _context().wrap_bio(self._in, self._out, server_hostname=name or None)
        self.secured = self._begun = False
        self.seen = bytearray()
        """What the peer sent, from its first byte on."""

    def shake(self, data: bytes) -> Ending | None:
        """Go on with the handshake; return why it ended, None if it did not."""
        if data:
            self._in.write(data)
            self.seen += data[: HELLO_KEPT_MAX - len(self.seen)]
        elif self._begun:
            self._in.write_eof()
        self._begun = True
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLError, OSError, ValueError):
            return self._why()
        self.secured = True
        return None

    def _why(self) -> Ending:
        spoke = self.seen.startswith((b"\x15\x03", b"\x16\x03"))
        if spoke:
            return "tls-alert"
        return "not-tls" if self.seen else "eof"

    def outgoing(self) -> bytes:
        """Return what is to be sent."""
        return self._out.read()

    def write(self, data: bytes) -> None:
        """Take bytes to be sent inside."""
        if data:
            with contextlib.suppress(ssl.SSLError):  # the peer has ended: the read side tells
                self._session.write(data)

    def read(self, data: bytes) -> tuple[bytes, bool]:
        """Return what `data` holds inside, and whether the peer has ended."""
        if data:
            self._in.write(data)
        plain = bytearray()
        while True:
            try:
                piece = self._session.read(READ_SIZE)
            except ssl.SSLWantReadError:
                return bytes(plain), False
            except (ssl.SSLError, OSError):
                return bytes(plain), True
            if not piece:
                return bytes(plain), True
            plain += piece

    def facts(self) -> Secured:
        """Return what was agreed on."""
        session = self._session
        own = session.getpeercert(binary_form=True)
        chain = getattr(session, "get_unverified_chain", None)
        certificates = tuple(chain()) if chain is not None else (own,) if own else ()
        cipher = session.cipher()
        return Secured(
            session.version() or "", cipher[0] if cipher else "",
            session.selected_alpn_protocol() or "", certificates)


@cache
def _context() -> ssl.SSLContext:
    """Return a context that talks to whatever there is: old versions, weak keys, any name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    # By number: the name came with Python 3.12.
    context.options |= OP_LEGACY_SERVER_CONNECT
    return context


def _ending(error: int) -> Ending:
    match error:
        case errno.ECONNREFUSED:
            return "refused"
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            return "reset"
        case errno.ETIMEDOUT:
            return "timeout"
    return "unreachable"


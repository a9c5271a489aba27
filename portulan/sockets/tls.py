"""TLS over any stream: contexts from an endpoint's options, and a stream that half-closes.

asyncio, anyio and `ssl.SSLSocket` end both directions when one ends. TLS does not ask for that:
close_notify ends its sender's direction (RFC 8446 section 6.1; RFC 5246 section 7.2.1 asked to
close at once, and OpenSSL does not insist). Here a pump over `ssl.MemoryBIO` keeps them apart.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from typing import Final

from portulan.errors import UsageError
from portulan.sockets.certificate import NAMES, throw_away
from portulan.sockets.faults import DialError
from portulan.sockets.options import Options
from portulan.sockets.stream import READ_SIZE, Facts, Stream

CIPHERTEXT_SIZE: Final = 65_536
"""Bytes of ciphertext taken off the wire at once: it and its plaintext bound our memory."""
RECORD_SIZE: Final = 16_384
"""Plaintext bytes of the largest record (RFC 8446 section 5.1)."""
WRITE_SIZE: Final = 65_536


class _Session(ssl.SSLObject):
    """An SSL object that remembers which name its client asked for."""

    asked: str = ""


def client_context(options: Options) -> ssl.SSLContext:
    """Return a context that verifies as the options say; raises `UsageError`.

    A pin alone replaces the authorities; with `ca` both must hold.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not options.verify or (options.pin and not options.ca):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca:
        _load_authorities(context, options.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if options.cert:
        _load_own(context, options)
    elif options.key:
        raise UsageError("a key without its certificate", where="option key", hint="add cert=FILE")
    return _common(context, options)


def server_context(options: Options, names: tuple[str, ...] = NAMES) -> tuple[ssl.SSLContext, str]:
    """Return a listener's context and its certificate's fingerprint; raises `UsageError`.

    Without `cert` a throw-away certificate is made. `ca` asks clients for certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if options.cert:
        fingerprint = _load_own(context, options)
    elif options.key:
        raise UsageError("a key without its certificate", where="option key", hint="add cert=FILE")
    else:
        made = throw_away(names)
        fingerprint = made.fingerprint
        with made.files() as (cert, key):
            context.load_cert_chain(cert, key)
    if options.ca:
        _load_authorities(context, options.ca)
        context.verify_mode = ssl.CERT_REQUIRED if options.verify else ssl.CERT_OPTIONAL
    context.sni_callback = _remember_name
    return _common(context, options), fingerprint


def _common(context: ssl.SSLContext, options: Options) -> ssl.SSLContext:
    if options.alpn:
        context.set_alpn_protocols(list(options.alpn))
    # A renegotiation would make writes wait for reads; TLS 1.3 has none, and no one needs it.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslobject_class = _Session
    return context


def _remember_name(session: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    if isinstance(session, _Session):
        session.asked = name or ""


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"no authorities: {_file_fault(error)}", text=path, where="option ca",
                         hint="expects PEM certificates") from None


def _load_own(context: ssl.SSLContext, options: Options) -> str:
    """Load our certificate; return its fingerprint."""
    try:
        # A key with a passphrase must not make OpenSSL ask on a terminal.
        context.load_cert_chain(options.cert, options.key or None, password=lambda: b"")
        return _file_fingerprint(options.cert)
    except (OSError, ssl.SSLError, ValueError) as error:
        text = options.cert + (f" {options.key}" if options.key else "")
        raise UsageError(f"no certificate with its key: {_file_fault(error)}", text=text,
                         where="option cert", hint="expects PEM files, the key without a passphrase"
                         ) from None


def _file_fault(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "cannot be read").replace("_", " ").lower()
    return (getattr(error, "strerror", "") or str(error)).lower()


def _file_fingerprint(path: str) -> str:
    from pathlib import Path

    text = Path(path).read_text(encoding="latin-1")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    first = text[text.index(begin) : text.index(end) + len(end)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


class TlsStream:
    """A stream inside of TLS, over any other stream; made by `start_client` and `start_server`."""

    def __init__(self, inner: Stream, context: ssl.SSLContext, *, server_name: str | None = None,
                 server: bool = False) -> None:
        self.inner = inner
        self.peer, self.local = inner.peer, inner.local
        self.facts = Facts(via=inner.facts.via)
        self.received = self.sent = 0
        self.truncated = False
        """Whether the peer's end came without close_notify: something may have been cut off."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._in, self._out, server_side=server, server_hostname=server_name
        )
        self._name = server_name or ""
        self._verifies = context.verify_mode is not ssl.CERT_NONE
        self._flushing = asyncio.Lock()
        self._plain = bytearray()
        self._ended = self._eof_sent = False
        self._fault: ssl.SSLError | None = None

    async def handshake(self) -> None:
        """Agree on keys; raises `ssl.SSLError`, and tells the peer why."""
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                await self._say_why()
                raise
            else:
                await self._flush()
                break
        self.facts = self._negotiated()

    async def read(self, max_bytes: int = READ_SIZE) -> bytes:
        """Return what is there, at least a byte; b"" once the peer has ended its direction."""
        while not self._plain and not self._ended:
            self._decrypt(max_bytes)
            if not self._plain and not self._ended:
                if self._out.pending and not self._flushing.locked():
                    await self._flush()  # an answer to KeyUpdate
                await self._feed()
        data = bytes(self._plain[:max_bytes])
        del self._plain[:max_bytes]
        self.received += len(data)
        return data

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Return once the kernel holds all of it; a cancelled write leaves it torn: `abort`."""
        if self._eof_sent:
            raise BrokenPipeError(32, "our direction has ended")
        view = memoryview(data)
        while view:
            count = self._session.write(view[:WRITE_SIZE])
            view = view[count:]
            await self._flush()
            self.sent += count

    async def write_eof(self) -> None:
        """End our direction with close_notify; late answers still arrive."""
        if self._eof_sent:
            return
        self._eof_sent = True
        # SSL_shutdown reads on after it has sent; data it then finds would be an error to it. So
        # everything that has come is decrypted first, and it finds nothing.
        try:
            while not self._ended and self._decrypt(CIPHERTEXT_SIZE + len(self._plain)):
                pass
            self._session.unwrap()
        except ssl.SSLWantReadError:
            pass  # close_notify lies in the BIO; the peer's has not come yet
        except ssl.SSLEOFError:
            self.truncated = self._ended = True
        except ssl.SSLError as error:
            self._fault = self._fault or error  # for the reader to be told
        await self._flush()

    async def close(self) -> None:
        """End both directions in order; what was written still arrives."""
        try:
            await self.write_eof()
        except OSError:
            pass  # the peer is gone: nothing is owed to it
        finally:
            await self.inner.close()

    def abort(self) -> None:
        """Drop everything at once, without close_notify: the peer sees that it was cut."""
        self.inner.abort()

    def _decrypt(self, max_bytes: int) -> bool:
        """Move what has come into `_plain`; return whether there may be more."""
        if self._fault:
            raise self._fault
        before = len(self._plain)
        while len(self._plain) < max_bytes:
            try:
                data = self._session.read(RECORD_SIZE)
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLEOFError:
                self.truncated, data = True, b""
            except ssl.SSLError as error:
                if len(self._plain) == before:
                    raise
                self._fault = error  # what came before it is given first
                return False
            if not data:
                self._ended = True
                return False
            self._plain += data
        return True

    async def _feed(self) -> None:
        data = await self.inner.read(CIPHERTEXT_SIZE)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def _flush(self) -> None:
        async with self._flushing:
            while self._out.pending:
                await self.inner.write(self._out.read())

    async def _say_why(self) -> None:
        """Send the alert that OpenSSL has prepared, if the peer still listens."""
        try:
            await self._flush()
        except OSError:
            return

    def _negotiated(self) -> Facts:
        session = self._session
        der = session.getpeercert(binary_form=True)
        cipher = session.cipher()
        return Facts(
            tls=session.version() or "", cipher=cipher[0] if cipher else "",
            alpn=session.selected_alpn_protocol() or "",
            sni=getattr(session, "asked", "") or self._name,
            fingerprint=hashlib.sha256(der).hexdigest() if der else "",
            subject=_subject(session.getpeercert()), verified=bool(der) and self._verifies,
            via=self.facts.via,
        )


def _subject(certificate: Mapping[str, object] | None) -> str:
    """Return the common name, or whatever a certificate calls its owner by."""
    names = (certificate or {}).get("subject", ())
    pairs = [pair for part in names for pair in part] if isinstance(names, tuple) else []
    return next((value for key, value in pairs if key == "commonName"),
                pairs[-1][1] if pairs else "")


async def start_client(inner: Stream, context: ssl.SSLContext, *, name: str, pin: str = ""
                       ) -> TlsStream:
    """Begin TLS as a client that asks for `name`; raises `ssl.SSLError`, `DialError` for a pin."""
    stream = TlsStream(inner, context, server_name=name.partition("%")[0])
    await stream.handshake()
    if pin and stream.facts.fingerprint != pin:
        stream.abort()
        raise DialError(inner.peer, "wrong certificate: its fingerprint is "
                        f"{stream.facts.fingerprint}, not the pinned one", kind="certificate",
                        hint="ask who runs it, then pin that one")
    if pin:
        from dataclasses import replace

        stream.facts = replace(stream.facts, verified=True)
    return stream


async def start_server(inner: Stream, context: ssl.SSLContext) -> TlsStream:
    """Begin TLS as a server; raises `ssl.SSLError` and what the stream raises."""
    stream = TlsStream(inner, context, server=True)
    await stream.handshake()
    return stream

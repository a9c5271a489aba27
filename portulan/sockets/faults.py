"""What went wrong with a peer, in one line that says what to do."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

from portulan.errors import PeerError, printable

WORDS: Final = {
    errno.ECONNREFUSED: "refused: nothing listens there",
    errno.ECONNRESET: "the peer reset the connection",
    errno.EPIPE: "the peer reads no more",
    errno.EHOSTUNREACH: "unreachable: no route to this host, or a firewall says so",
    errno.ENETUNREACH: "unreachable: this machine has no route to that network",
    errno.ETIMEDOUT: "no answer",
    errno.EADDRNOTAVAIL: "not an address of this machine, or no free port is left",
    errno.EADDRINUSE: "the address is in use",
    errno.ENOENT: "no such socket or file",
    errno.EACCES: "not allowed: permission denied",
    errno.EPERM: "not allowed: a rule of this machine forbids it",
    errno.ENODEV: "no such interface",
    errno.EMFILE: "too many open files and sockets: raise ulimit -n",
    errno.ECONNABORTED: "the connection was given up",
    errno.EMSGSIZE: "too long for one datagram",
    errno.EPROTOTYPE: "that socket is of the other kind: unix: or unixgram:",
}


class DialError(PeerError):
    """An endpoint could not be reached.

    `kind` is one of refused, reset, unreachable, name, certificate, tls, timeout, proxy, local.
    """

    def __init__(self, place: str, reason: str, *, kind: str, hint: str = "") -> None:
        self.place, self.reason, self.kind, self.hint = place, reason, kind, hint
        super().__init__(f"{printable(place)}: {reason}{f' - {hint}' if hint else ''}")


_KINDS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: "timeout",
}


def words(error: BaseException) -> str:
    """Return the reason of an error as words, without a number."""
    if isinstance(error, ssl.SSLError):
        return tls_words(error)[0]
    if isinstance(error, socket.gaierror):
        return "name not found" if error.errno != socket.EAI_AGAIN else "no name server answers"
    if isinstance(error, TimeoutError) and not error.errno:
        return "no answer in time"
    if isinstance(error, OSError) and error.errno:
        return WORDS.get(error.errno) or os.strerror(error.errno).lower()
    return printable(str(error)) or type(error).__name__


def dial_error(place: str, error: OSError) -> DialError:
    """Return the error of a failed dial with its kind and a hint."""
    if isinstance(error, DialError):
        return error
    if isinstance(error, ssl.SSLError):
        reason, hint = tls_words(error)
        bad_certificate = isinstance(error, ssl.SSLCertVerificationError)
        return DialError(place, reason, kind="certificate" if bad_certificate else "tls", hint=hint)
    if isinstance(error, socket.gaierror):
        return DialError(place, words(error), kind="name", hint="check its spelling")
    if isinstance(error, TimeoutError) and not error.errno:
        return DialError(place, words(error), kind="timeout", hint="timeout=S waits longer")
    return DialError(place, words(error), kind=_KINDS.get(error.errno or 0, "local"))


#: X509_V_ERR_* (openssl/x509_vfy.h) -> what to do about it.
_CERTIFICATE_HINTS: Final = {
    18: "pin it with pin=SHA256, name its authority with ca=FILE, or take any with verify=no",
    19: "name the authority with ca=FILE, or pin the certificate with pin=SHA256",
    20: "name the authority with ca=FILE, or pin the certificate with pin=SHA256",
    21: "the server should send what leads to its authority; or pin=SHA256",
    10: "it has to be renewed; pin=SHA256 takes it as it is",
    9: "compare this machine's clock",
    62: "ask for a name it holds with sni=NAME",
    64: "ask for a name it holds with sni=NAME",
}

_TLS_REASONS: Final = {
    "WRONG_VERSION_NUMBER": ("the peer does not speak TLS here", "try tcp:// instead"),
    "HTTP_REQUEST": ("the peer speaks plain HTTP", ""),
    "UNSUPPORTED_PROTOCOL": ("the peer speaks no TLS version that is still safe", ""),
    "TLSV1_ALERT_PROTOCOL_VERSION": ("no common TLS version", ""),
    "SSLV3_ALERT_HANDSHAKE_FAILURE": ("the peer refused the handshake",
                                      "it may want a client certificate: cert=FILE&key=FILE"),
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": ("the peer wants a client certificate",
                                          "cert=FILE&key=FILE"),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": ("the client sent no certificate", ""),
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": ("the peer speaks none of the ALPN protocols",
                                            "leave alpn out or name others"),
    "NO_APPLICATION_PROTOCOL": ("the client speaks none of our ALPN protocols", ""),
    "TLSV1_UNRECOGNIZED_NAME": ("the peer knows no such name", "sni=NAME asks for another"),
    "TLSV1_ALERT_UNKNOWN_CA": ("the peer does not trust our certificate's authority", ""),
    "SSLV3_ALERT_BAD_CERTIFICATE": ("the peer took our certificate for bad", ""),
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": ("the peer did not like our certificate", ""),
    "UNEXPECTED_EOF_WHILE_READING": ("the peer hung up in the middle of the handshake", ""),
}


def tls_words(error: ssl.SSLError) -> tuple[str, str]:
    """Return an SSL error's reason and a hint."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = printable(error.verify_message).rstrip(".").lower()
        return f"wrong certificate: {reason}", _CERTIFICATE_HINTS.get(error.verify_code, "")
    if isinstance(error, ssl.SSLEOFError):
        return _TLS_REASONS["UNEXPECTED_EOF_WHILE_READING"]
    name = getattr(error, "reason", "") or ""
    plain = name.replace("_", " ").lower() or printable(str(error))
    return _TLS_REASONS.get(name, (f"TLS failed: {plain}", ""))

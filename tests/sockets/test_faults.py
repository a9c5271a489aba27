import errno
import socket
import ssl

import pytest

from portulan.sockets.faults import DialError, dial_error, words


@pytest.mark.parametrize(("error", "text", "kind"), [
    (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "nothing listens", "refused"),
    (ConnectionResetError(errno.ECONNRESET, "x"), "reset", "reset"),
    (OSError(errno.EHOSTUNREACH, "x"), "unreachable", "unreachable"),
    (TimeoutError(), "no answer in time", "timeout"),
    (TimeoutError(errno.ETIMEDOUT, "x"), "no answer", "timeout"),
    (socket.gaierror(socket.EAI_NONAME, "x"), "name not found", "name"),
    (socket.gaierror(socket.EAI_AGAIN, "x"), "name server", "name"),
    (OSError(errno.ENOTDIR, "x"), "not a directory", "local"),
    (ssl.SSLEOFError(8, "EOF"), "hung up", "tls"),
    (ssl.SSLError(1, "odd"), "TLS failed", "tls"),
])
def test_error_told_in_words_and_sorted(error, text, kind):
    assert text in words(error)
    assert dial_error("h:1", error).kind == kind
    assert str(dial_error("h:1", error)).startswith("h:1: ")


def test_hostile_place_is_escaped():
    assert "\x1b" not in str(DialError("\x1b[2J", "x", kind="local"))


def test_error_without_number_is_its_text():
    assert words(ValueError("odd\n")) == "odd\\n"
    assert words(ValueError()) == "ValueError"

from __future__ import annotations

import socket

from portulan.record import decode, encode
from portulan.sockets.ledger import ERROR_MAX, Line, end_text, rfc3339, round_trip_us, tls_text
from portulan.sockets.stream import Facts


def line(**changes):
    made = Line(client="10.0.0.1:5", local="10.0.0.2:80", protocol="tcp", started_ns=10**18 + 1234,
                now_s=5.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_line_that_ended_is_a_record_that_can_be_read_again():
    made = line(target="10.0.0.3:80", tls="TLSv1.3 X")
    made.up.count, made.down.count = 3, 4
    event = made.event("end", 7.5)
    assert (event.received, event.sent, event.elapsed_s) == (3, 4, 2.5)
    assert event.started == "2001-09-09T01:46:40.000001Z"
    assert decode(encode(event)) == event


def test_hostile_error_text_is_printable_and_bounded():
    event = line(error="\x1b]0;x\x07\u202e" + "a" * 5000).event("error", 6.0)
    assert event.error.isprintable()
    assert len(event.error) <= ERROR_MAX


def test_round_trip_of_a_connection_is_measured_and_of_anything_else_zero():
    with socket.create_server(("127.0.0.1", 0)) as door, \
            socket.create_connection(door.getsockname()) as sock:
        assert 0 < round_trip_us(sock) < 1_000_000
    assert round_trip_us(sock) == 0
    assert round_trip_us(None) == 0
    one, two = socket.socketpair()
    with one, two:
        assert round_trip_us(one) == 0


def test_addresses_are_written_as_the_record_says():
    assert end_text(("10.0.0.1", 5)) == "10.0.0.1:5"
    assert end_text(("fe80::1%eth0", 5, 0, 2)) == "[fe80::1%eth0]:5"
    assert end_text("/run/x") == "unix:/run/x"
    assert end_text("") == "unix:"


def test_negotiated_tls_is_one_line():
    assert tls_text(Facts()) == ""
    assert tls_text(Facts(tls="TLSv1.3", cipher="C", alpn="h2")) == "TLSv1.3 C alpn=h2"


def test_time_is_utc_with_microseconds():
    assert rfc3339(0) == "1970-01-01T00:00:00.000000Z"

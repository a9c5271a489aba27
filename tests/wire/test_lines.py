from __future__ import annotations

import pytest

from .dissecting import over_tcp, over_udp, told


@pytest.mark.parametrize(("port", "layer", "line", "values"), [
    (21, "ftp", b"USER me\r\n", {"command": "USER", "argument": "me"}),
    (21, "ftp", b"220 hello\r\n", {"code": 220, "text": "hello"}),
    (25, "smtp", b"ehlo me\r\n", {"command": "EHLO", "argument": "me"}),
    (25, "smtp", b"250-size\r\n", {"code": 250, "text": "size"}),
    (110, "pop3", b"+OK ready\r\n", {}), (143, "imap", b"* OK ready\r\n", {}),
    (5060, "sip", b"SIP/2.0 200 OK\r\n", {"status": 200}),
], ids=str)
def test_first_line_is_told(port, layer, line, values):
    found = told(over_tcp(port, line + b"more"), layer)
    assert found == {"line": line.decode().strip(), **values}


def test_request_of_sip_comes_on_udp_too():
    found = over_udp(5060, b"OPTIONS sip:me SIP/2.0\r\n")
    assert found.brief == "SIP OPTIONS sip:me SIP/2.0"


@pytest.mark.parametrize("port", [21, 25, 110, 143, 5060])
def test_binary_octets_are_payload(port):
    assert over_tcp(port, b"\xff\x00\x01" * 9).protocols == "ip:tcp"


def test_line_without_end_is_bounded():
    assert len(told(over_tcp(21, b"220 " + b"a" * 60_000), "ftp")["line"]) <= 1000


def test_fields_of_sip_are_told_in_long_and_short_form():
    body = (b"INVITE sip:you@x SIP/2.0\r\nf: <sip:me@x>\r\nTo: <sip:you@x>\r\ni: 7@me\r\n"
            b"CSeq: 1 INVITE\r\nUser-Agent: me/1\r\n\r\nbody: x\r\n")
    found = told(over_udp(5060, body), "sip")
    assert found == {
        "line": "INVITE sip:you@x SIP/2.0", "method": "INVITE", "uri": "sip:you@x",
        "sender": "<sip:me@x>", "receiver": "<sip:you@x>", "call_id": "7@me", "cseq": "1 INVITE",
        "user_agent": "me/1"}

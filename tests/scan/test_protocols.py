from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import portulan.wire as wire
from portulan.scan.paths import Paths
from portulan.scan.protocols import EXTENSIONS, TCP_PORT, UDP_PORT, ProtocolKind
from portulan.scan.sctp import ABORT, INIT_ACK
from portulan.scan.verdict import Reason, State
from portulan.target.ranges import Range
from portulan.target.space import Space
from tests.wire.generators import hostile_octets

from .crafting import ETHER4, ETHER6, KEY, NET4, NET6, RAW4, RAW6, SPORT, columns, frames_of

VIAS = {"ether4": ETHER4, "ether6": ETHER6, "raw4": RAW4, "raw6": RAW6}
NUMBERS = (0, 1, 2, 6, 17, 44, 47, 58, 132, 136, 200)
HOSTS = 3
GRE, UDP, TCP, SCTP = (NUMBERS.index(number) for number in (47, 17, 6, 132))


def made(via="ether4"):
    start = NET4 if VIAS[via].family == 4 else NET6
    space = Space.hosts([Range(VIAS[via].family, start, HOSTS)], [(0, n) for n in NUMBERS])
    return ProtocolKind(space, Paths((VIAS[via],)), key=KEY, sport=SPORT)


def sent_by(kind, index, try_no=1):
    """{index: (octets from IP on, IP header, ethernet?)}; each probe once."""
    index = np.asarray(index)
    found = {}
    for out in kind.build(index, try_no):
        for at, row in zip(index[out.at].tolist(), out.rows, strict=True):
            octets = row.tobytes()[14 if out.ethernet else 0:]
            assert at not in found
            found[at] = octets
    return found


def ip_of(octets):
    return (wire.IPv6 if octets[0] >> 4 == 6 else wire.IPv4).parse(octets)


def number_of(ip):
    return ip.next_header if isinstance(ip, wire.IPv6) else ip.protocol


def reply(octets, inner, *, number=None, source=None, via="ether4"):
    """Frames of one packet back from where the probe went."""
    ip = ip_of(octets)
    words = dict(src=ip.dst if source is None else source, dst=ip.src)
    if isinstance(ip, wire.IPv6):
        head = wire.IPv6(**words, **({} if number is None else {"next_header": number}))
    else:
        head = wire.IPv4(**words, **({} if number is None else {"protocol": number}))
    packet = head / inner
    if VIAS[via].ethernet:
        packet = wire.Ethernet(dst=1, src=2) / packet
    return frames_of([packet.pack()], ethernet=VIAS[via].ethernet)


def error(octets, code, *, kind=None, **words):
    six = octets[0] >> 4 == 6
    header = wire.ICMPv6 if six else wire.ICMP
    kind = (1 if six else 3) if kind is None else kind
    return reply(octets, header(type=kind, code=code) / octets, **words)


@pytest.mark.parametrize("via", VIAS)
def test_probe_is_a_packet_of_its_protocol_with_right_lengths_and_sums(via):
    kind = made(via)
    sent = sent_by(kind, np.arange(kind.space.size), 3)
    assert len(sent) == HOSTS * len(NUMBERS)
    for index, octets in sent.items():
        ip, number = ip_of(octets), NUMBERS[index % len(NUMBERS)]
        assert number_of(ip) == number
        assert ip.dst == kind.space.segments[0].start + index // len(NUMBERS)
        if isinstance(ip, wire.IPv4):
            assert wire.checksum.internet_checksum(octets[:20]) == 0
            assert (ip.total_length, ip.identification & 15) == (len(octets), 2)
        else:
            assert (ip.payload_length, ip.flow_label & 15) == (len(octets) - 40, 2)
        body = octets[ip.size:]
        if number in (6, 17) or (number == 58 and ip.size == 40):
            assert wire.checksum.finish(wire.checksum.transport_sum((ip,), number, body)) == 0
        elif number == 1 and ip.size == 20:
            assert wire.checksum.internet_checksum(body) == 0
        elif number == 132:
            assert body[12] == 1
        else:
            assert body == (EXTENSIONS.get(number, b"") if ip.size == 40 else b"")


@pytest.mark.parametrize("via", VIAS)
def test_protocol_unreachable_of_the_target_is_closed_and_tells_the_try(via):
    kind = made(via)
    six = VIAS[via].family == 6
    for index, octets in sent_by(kind, np.arange(kind.space.size), 5).items():
        words = dict(kind=4, code=1) if six else dict(code=2)
        found = columns(kind.read(error(octets, via=via, **words)))
        assert found == [(index, State.CLOSED, Reason.PROTO_UNREACH, 5, 0)]


@pytest.mark.parametrize("via", VIAS)
def test_error_of_somebody_else_or_of_another_code_is_filtered(via):
    kind = made(via)
    octets = sent_by(kind, [GRE])[GRE]
    prohibited = 1 if VIAS[via].family == 6 else 13
    [row] = columns(kind.read(error(octets, prohibited, via=via)))
    assert row[:3] == (GRE, State.FILTERED, Reason.ADMIN_PROHIBITED)
    other = int(ip_of(octets).dst) ^ 1
    [row] = columns(kind.read(error(octets, prohibited, via=via, source=other)))
    assert row[1] == State.FILTERED


@pytest.mark.parametrize(("index", "state"), [(UDP, State.OPEN), (GRE, State.FILTERED)])
def test_port_unreachable_shows_a_protocol_only_where_there_are_ports(index, state):
    kind = made()
    [row] = columns(kind.read(error(sent_by(kind, [index])[index], 3)))
    assert row[:3] == (index, state, Reason.PORT_UNREACH)


@pytest.mark.parametrize("number", [0, 44])
def test_problem_within_an_extension_header_shows_that_it_was_read(number):
    kind = made("ether6")
    at = NUMBERS.index(number)
    [row] = columns(kind.read(error(sent_by(kind, [at])[at], 0, kind=4, via="ether6")))
    assert row[:3] == (at, State.OPEN, Reason.PARAM_PROBLEM)


def test_error_about_a_packet_that_we_did_not_send_says_nothing():
    kind = made()
    octets = sent_by(kind, [GRE])[GRE]
    other = octets[:4] + bytes([octets[4] ^ 0x80]) + octets[5:]
    assert not len(kind.read(error(other, 2)))


@pytest.mark.parametrize("via", VIAS)
def test_answers_with_our_cookie_are_open(via):
    kind = made(via)
    tcp = wire.TCP.parse(sent_by(kind, [TCP], 2)[TCP], 20 if VIAS[via].family == 4 else 40)
    reset = dict(sport=TCP_PORT, dport=tcp.sport, seq=tcp.ack, flags="R")
    octets = sent_by(kind, [TCP], 2)[TCP]
    for words, believed in ((reset, True), ({**reset, "seq": 1}, False),
                            ({**reset, "sport": 81}, False), ({**reset, "flags": "A"}, False)):
        found = columns(kind.read(reply(octets, wire.TCP(**words) / b"", via=via)))
        assert found == ([(TCP, State.OPEN, Reason.PROTO_RESPONSE, 2, 0)] if believed else [])
    octets = sent_by(kind, [SCTP])[SCTP]
    start = (20 if VIAS[via].family == 4 else 40) + 16
    tag = int.from_bytes(octets[start:start + 4], "big")
    for chunk, value, believed in ((INIT_ACK, tag, True), (ABORT, tag, True), (ABORT, 0, False)):
        packet = wire.SCTP(sport=9, dport=SPORT, tag=value) / bytes([chunk, 0, 0, 4])
        assert bool(len(kind.read(reply(octets, packet, via=via)))) == believed


@pytest.mark.parametrize(("via", "number"), [("ether4", 1), ("ether6", 58)])
def test_echo_reply_with_our_ids_is_open(via, number):
    kind = made(via)
    at = NUMBERS.index(number)
    octets = sent_by(kind, [at], 4)[at]
    header = wire.ICMP if number == 1 else wire.ICMPv6
    asked = header.parse(octets, 20 if number == 1 else 40)
    right = header.echo_reply(id=asked.id, seq=asked.seq) / b""
    assert columns(kind.read(reply(octets, right, via=via))) == [
        (at, State.OPEN, Reason.PROTO_RESPONSE, 4, 0)]
    wrong = header.echo_reply(id=asked.id ^ 1, seq=asked.seq) / b""
    assert not len(kind.read(reply(octets, wrong, via=via)))


def test_packet_of_the_protocol_from_the_target_is_open_our_own_is_not():
    kind = made("raw4")
    octets = sent_by(kind, [GRE])[GRE]
    answer = reply(octets, b"\0\0\x08\0", number=47, via="raw4")
    assert columns(kind.read(answer)) == [(GRE, State.OPEN, Reason.PROTO_RESPONSE, 1, 0)]
    ip = ip_of(octets)
    # On loopback both ends have one address, and our own probe comes by.
    own = wire.IPv4(
        src=ip.dst, dst=ip.dst, protocol=47, identification=ip.identification) / b""
    assert not len(kind.read(frames_of([own.pack()], ethernet=False)))


def test_udp_reply_to_our_port_is_open():
    kind = made()
    octets = sent_by(kind, [UDP])[UDP]
    for sport, believed in ((UDP_PORT, True), (UDP_PORT + 1, False)):
        found = kind.read(reply(octets, wire.UDP(sport=sport, dport=SPORT) / b"x"))
        assert bool(len(found)) == believed


@given(hostile_octets)
def test_hostile_octets_answer_nothing(octets):
    assert not len(made().read(frames_of([octets])))


@pytest.mark.parametrize("via", ["ether4", "ether6"])
def test_bare_headers_leave_together_and_in_the_order_they_were_asked_for(via):
    kind = made(via)
    index = np.random.default_rng(1).permutation(kind.space.size)
    first, *_ = kind.build(index, 1)
    bodies = {6, 17, 132, *((1,) if via == "ether4" else (58, *EXTENSIONS))}
    wanted = [
        at for at, one in enumerate(index.tolist()) if NUMBERS[one % len(NUMBERS)] not in bodies]
    assert np.asarray(first.at).tolist() == wanted

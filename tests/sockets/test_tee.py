from __future__ import annotations

import itertools
import random
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.link.pcapng_writer import PcapngWriter
from portulan.sockets.tee import SEGMENT_BYTES, Leg, Tee, shown_leg
from portulan.wire import TCP, IPv4, IPv6, LinkType
from portulan.wire.checksum import internet_sum

V4 = Leg(("10.0.0.1", 1234), ("10.0.0.2", 8080))
LEGS = [V4, Leg(("fe80::1%eth0", 1234), ("::1", 8080)), Leg(("::ffff:1.2.3.4", 5), ("::1", 8080)),
        Leg(None, None), Leg(("::1", 7), None)]


def teed(leg, script):
    """Return the frames of a connection's script: (side, bytes) pairs, an end, or a reset."""
    frames: list[bytes] = []
    clock = itertools.count(1_700_000_000_000_000_000, 1000)
    stream = Tee(lambda batch, _: frames.extend(batch), lambda: next(clock)).open(leg)
    for side, data in script:
        (stream.from_server if side else stream.from_client)(data)
    stream.close(reset=False)
    return frames


def parsed(frame):
    six = frame[0] >> 4 == 6
    ip = (IPv6 if six else IPv4).parse(frame)
    at = 40 if six else 20
    tcp = TCP.parse(frame, at)
    return ip, tcp, frame[at + tcp.data_offset * 4 :], frame[at:]


@pytest.mark.parametrize("leg", LEGS)
@given(script=st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=8))
@settings(max_examples=20, deadline=None)
def test_segments_carry_each_side_in_order_with_true_checksums(leg, script):
    script = [(side, data * 900) for side, data in script]
    sides: dict[int, bytes] = {}
    following: dict[int, int] = {}
    for frame in teed(leg, script):
        ip, tcp, payload, segment = parsed(frame)
        assert (internet_sum(segment) + ip.pseudo_sum(6, len(segment))) % 0xFFFF == 0
        if isinstance(ip, IPv4):
            assert internet_sum(frame[:20]) % 0xFFFF == 0
        side = (str(ip.src), tcp.sport)
        assert following.get(side, tcp.seq) == tcp.seq
        following[side] = (tcp.seq + len(payload) + bool(tcp.flags & 3)) % 2**32
        sides[side] = sides.get(side, b"") + payload
    client, server = sides.values()
    assert client == b"".join(data for side, data in script if not side)
    assert server == b"".join(data for side, data in script if side)


def test_shown_leg_is_the_clients_unless_that_was_secret_or_has_no_address():
    other = Leg(("10.0.0.2", 9), ("10.0.0.3", 80))
    assert shown_leg(V4, other) is V4
    assert shown_leg(Leg(V4.client, V4.server, secret=True), other) is other
    assert shown_leg(Leg(None, None), other) is other
    secret = Leg(V4.client, V4.server, secret=True)
    assert shown_leg(secret, Leg(None, None)) is secret


def test_nothing_follows_a_reset():
    frames: list[bytes] = []
    stream = Tee(lambda batch, _: frames.extend(batch), lambda: 1).open(V4)
    stream.close(reset=True)
    count = len(frames)
    stream.from_client(b"x")
    stream.close(reset=False)
    assert len(frames) == count
    assert parsed(frames[-1])[1].flags & 4


@pytest.mark.peer
@pytest.mark.parametrize("leg", LEGS)
def test_tshark_follows_the_streams_without_complaint(leg, tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    body = random.Random(5).randbytes(SEGMENT_BYTES * 3 + 7)
    path = tmp_path / "tee.pcapng"
    with PcapngWriter(path, link_type=LinkType.RAW) as writer:
        clock = itertools.count(1_700_000_000_000_000_000, 1000)
        tee = Tee(lambda frames, comment: writer.write(
            frames, comments={0: comment} if comment else None), lambda: next(clock))
        stream = tee.open(leg, "who -> where")
        stream.from_client(b"GET / HTTP/1.0\r\n\r\n")
        stream.from_server(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        stream.from_server(body)
        stream.close(reset=False)

    def tshark(*words):
        options = [f"{name}.check_checksum:TRUE" for name in ("tcp", "ip")]
        checks = [word for option in options for word in ("-o", option)]
        return subprocess.run(["tshark", "-r", str(path), *checks, *words], check=True,
                              capture_output=True, text=True, timeout=60).stdout

    followed = tshark("-q", "-z", "follow,tcp,raw,0")
    heard = "".join(line[1:] for line in followed.splitlines() if line.startswith("\t"))
    assert bytes.fromhex(heard).endswith(body)
    assert "who -> where" in tshark("-T", "fields", "-e", "frame.comment")
    assert tshark("-Y", "tcp.analysis.flags || _ws.expert.severity >= 0x00600000") == ""

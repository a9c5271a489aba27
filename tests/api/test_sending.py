from __future__ import annotations

import pytest

import portulan
from portulan.errors import UsageError
from portulan.link.rights import rights
from portulan.wire import ICMP, IPv4

RAW = pytest.mark.skipif(not getattr(rights(), "raw", True), reason="needs CAP_NET_RAW")


@RAW
@pytest.mark.live
def test_packet_and_its_text_get_the_same_answer():
    for packet in (IPv4(dst="127.0.0.1") / ICMP.echo(), 'IPv4(dst="127.0.0.1")/ICMP.echo()'):
        done = portulan.send_recv(packet, timeout_s=5)
        assert [pair.reply["icmp.type"] for pair in done.answered] == [0]
    assert portulan.send('IPv4(dst="127.0.0.1")/UDP(dport=9)', count=3) == 3


def test_text_that_is_no_packet_is_refused_before_anything_is_opened():
    with pytest.raises(UsageError, match="column 1"):
        portulan.send_recv("Nonsense()")


def test_replay_at_a_rate_and_a_speed_is_refused(tmp_path):
    with pytest.raises(UsageError, match="rate does not look"):
        portulan.replay(tmp_path / "a.pcap", interface="lo", rate_pps=5, speed=2.0)


@RAW
@pytest.mark.live
def test_replay_sends_a_file_by_its_path(tmp_path):
    from portulan.link.pcap import PcapWriter
    from portulan.wire import Ethernet, Frames

    frame = (Ethernet() / IPv4(src="127.0.0.1", dst="127.0.0.1") / b"").pack()
    with open(tmp_path / "a.pcap", "wb") as file:
        PcapWriter(file, link_type=1).write(Frames.of([frame] * 3))
    assert portulan.replay(tmp_path / "a.pcap", interface="lo", rate_pps=0).sent == 3

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.scan.stack import SEQUENCE, Test
from portulan.scan.stack_traits import Reply, first_ttl, signature, traits
from portulan.wire.tcp import EOL, NOP, SACK_OK, mss, tcp_options, timestamps, wscale

LINUX = (mss(1460), SACK_OK, timestamps(7, 1), NOP, wscale(7))


def frame(inner, **ip):
    words = dict(src="10.9.0.2", dst="10.9.0.1", ttl=63, **ip)
    return (wire.Ethernet() / wire.IPv4(**words) / inner).pack()


def accept(*options, seq=0, **ip):
    return frame(wire.TCP(flags="SA", seq=seq, window=65_160) / tcp_options(*options), **ip)


def sequence(seqs, *, clocks=None, ids=None, step_ns=110_000_000):
    """Six acceptances, one after the other."""
    return {
        test: Reply(
            accept(mss(1460), timestamps(clocks[at] if clocks else 0), seq=seqs[at],
                   identification=ids[at] if ids else 0), 1, 1_000_000_000 + at * step_ns)
        for at, test in enumerate(SEQUENCE)
    }


def test_nothing_answered_shows_nothing():
    assert traits([*Test], {}) == {}


def test_a_syn_ack_shows_ttl_window_and_the_order_of_its_options():
    told = signature(accept(*LINUX), 1)
    assert told["synack.options"] == "MSTNW"
    assert (told["synack.ttl"], told["synack.df"], told["synack.id"]) == ("64", "yes", "zero")
    assert (told["synack.window"], told["synack.segments"]) == ("65160", "45")
    assert told["synack.wscale"] == "7"


def test_a_clients_first_packet_is_told_without_its_id():
    told = signature(frame(wire.TCP(flags="S") / tcp_options(*LINUX), identification=4711), 1)
    assert told["synack.options"] == "MSTNW"
    assert "synack.id" not in told


def test_other_segments_have_no_signature():
    assert signature(frame(wire.TCP(flags="RA") / b""), 1) == {}
    assert signature(frame(wire.UDP() / b""), 1) == {}


def test_an_end_of_list_is_told_and_unknown_options_are_marked():
    options = (mss(1460), NOP, wscale(6), bytes((34, 2)), SACK_OK, EOL)
    assert signature(accept(*options), 1)["synack.options"] == "MNW?SE"


def test_a_test_asked_in_vain_is_none_only_where_its_port_answers():
    alive = sequence([1, 2, 3, 4, 5, 6])
    assert traits([*Test], alive)["t2"] == "none"
    assert "t5" not in traits([*Test], alive)
    closed = {Test.T6: Reply(frame(wire.TCP(flags="R", seq=5, window=0) / b""), 1, 0)}
    told = traits([*Test], closed)
    assert (told["t5"], told["t6"], told["t7"]) == ("none", "R seq ack 0 window 0", "none")
    assert "t2" not in told
    assert "t3" not in traits([Test.T6], closed)


def test_sequence_numbers_are_told_by_how_they_run():
    assert traits([], sequence([9] * 6))["isn"] == "constant"
    assert traits([], sequence([64_000 * n for n in range(6)]))["isn"] == "steps"
    clock = [27_500 * n + wobble for n, wobble in enumerate([0, 90, -70, 20, 0, 50])]
    assert traits([], sequence(clock))["isn"] == "clock"
    assert traits([], sequence([5, 3 << 30, 17, 2 << 30, 1 << 31, 99]))["isn"] == "random"


def test_clocks_are_told_by_their_rate():
    told = {hz: traits([], sequence([1] * 6, clocks=[1000 + hz * 11 * n // 100 for n in range(6)]))
            for hz in (100, 1000)}
    assert told[100]["timestamps"] == "100 Hz"
    assert told[1000]["timestamps"] == "1000 Hz"
    assert traits([], sequence([1] * 6, clocks=[0] * 6))["timestamps"] == "zero"
    apart = [5, 1 << 30, 77, 3 << 29, 12, 1 << 31]
    assert traits([], sequence([1] * 6, clocks=apart))["timestamps"] == "random"


def test_ip_ids_are_told_by_how_they_run():
    assert traits([], sequence([1] * 6))["ids"] == "zero"
    assert traits([], sequence([1] * 6, ids=[65_534, 65_535, 0, 1, 2, 3]))["ids"] == "count"
    swapped = [(n & 0xFF) << 8 | n >> 8 for n in range(0x1FE, 0x204)]
    assert traits([], sequence([1] * 6, ids=swapped))["ids"] == "count, bytes swapped"
    random = [5, 40_000, 20_000, 61_000, 9, 33_333]
    assert traits([], sequence([1] * 6, ids=random))["ids"] == "random"


def test_an_error_shows_its_service_bits_and_how_much_it_quotes():
    asked = (wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP() / (b"C" * 300)).pack()
    for quoted, words in ((len(asked), "all"), (28, "28")):
        error = frame(wire.ICMP(type=3, code=3) / asked[:quoted], dscp=48)
        told = traits([Test.U1], {Test.U1: Reply(error, 1, 0)})
        assert (told["u1.quoted"], told["u1.tos"], told["u1.ttl"]) == (words, "0xc0", "64")


def test_an_echo_reply_shows_what_became_of_the_code():
    for code, word in ((9, "same"), (0, "zero"), (3, "other")):
        reply = frame(wire.ICMP(type=0, code=code, seq=295) / bytes(120))
        assert traits([], {Test.IE1: Reply(reply, 1, 0)})["echo.code"] == word


def test_a_ttl_is_rounded_to_what_systems_begin_with():
    assert [first_ttl(ttl) for ttl in (0, 32, 33, 64, 65, 128, 129, 255)] == [
        32, 32, 64, 64, 128, 128, 255, 255]


@given(st.dictionaries(st.sampled_from([*Test]), st.binary(max_size=120)), st.integers(0, 300))
def test_hostile_replies_never_throw(replies, link_type):
    told = traits([*Test], {
        test: Reply(octets, link_type, n) for n, (test, octets) in enumerate(replies.items())})
    assert all(isinstance(value, str) for value in told.values())


@given(st.binary(min_size=0, max_size=40), st.sampled_from([*SEQUENCE, Test.ECN, Test.T4]))
def test_hostile_options_never_throw(area, test):
    segment = wire.TCP(flags="SA") / wire.Options(area + bytes(-len(area) % 4))
    assert traits([*Test], {test: Reply(frame(segment), 1, 0)})

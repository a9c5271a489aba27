from __future__ import annotations

import json

import pytest

from portulan.cli import main
from portulan.drive.capture import Capture
from portulan.wire import ICMP, TCP, IPv4


def run(capsys, *words):
    code = 0
    try:
        main(["send", *words])
    except SystemExit as end:
        code = end.code or 0
    said = capsys.readouterr()
    return code, said.out, said.err


def test_hex_prints_the_packet_and_sends_nothing(capsys):
    text = 'IPv4(src="10.9.0.1",dst="10.9.0.2")/TCP(sport=7,dport=80,flags="S")/b"hello"'
    packet = IPv4(src="10.9.0.1", dst="10.9.0.2") / TCP(sport=7, dport=80, flags="S") / b"hello"
    assert run(capsys, text, "--hex") == (0, packet.pack().hex() + "\n", "")


def test_hex_of_a_set_is_a_line_each(capsys):
    code, out, _ = run(capsys, 'IPv4(src="1.2.3.4",dst="10.9.0.0/30")/UDP(dport=(1,3))', "--hex")
    assert code == 0 and len(out.splitlines()) == len(set(out.splitlines())) == 12


@pytest.mark.parametrize(("words", "said"), [
    (['IPv4(dst="x")', "--hex"], "column 10: not an IPv4 address"),
    (["Foo()"], "column 1: no such header"),
    (["TCP()"], "does not begin with"),
    (["IPv4()", "--json", "--hex"], "--json shows replies"),
    (['IPv4(dst="127.0.0.1")/ICMP.echo()', "-e", "nothere0"], "no such interface"),
    (["IPv4()", "--count", "0"], "--count"),
])
def test_wrong_input_is_one_line_and_code_2(capsys, words, said):
    code, out, err = run(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


@pytest.mark.live
def test_reply_is_shown_with_its_round_trip(capsys):
    code, out, _ = run(capsys, 'IPv4(dst="127.0.0.1")/ICMP.echo(id=7)', "--count", "2")
    first, second = out.splitlines()
    assert code == 0 and "echo-reply id=7 seq=0" in first and "seq=1" in second
    assert first.endswith(" ms")


@pytest.mark.live
def test_json_is_one_object_of_registry_fields(capsys):
    code, out, err = run(capsys, 'IPv4(dst="127.0.0.1")/ICMP.echo(id=7,seq=3)', "--json")
    reply = json.loads(out)
    assert (code, err) == (0, "")
    assert (reply["ip.src"], reply["icmp.type"], reply["icmp.id"], reply["icmp.seq"]) == (
        "127.0.0.1", 0, 7, 3)


@pytest.mark.live
def test_nobody_answers_is_code_1(capsys):
    text = 'IPv4(dst="127.0.0.1")/ICMP.echo_reply(id=7)'
    code, out, err = run(capsys, text, "--timeout", "0.05")
    assert (code, out) == (1, "") and "no reply" in err
    code, out, err = run(capsys, text, "--no-reply")
    assert (code, out, err) == (0, "", "1 sent\n")
    assert ICMP.echo_reply(id=7).type == 0


@pytest.mark.live
def test_nothing_sent_says_why_and_is_code_1(capsys):
    code, out, err = run(capsys, 'IPv4(dst="127.0.0.1")/UDP()', "--no-reply", "-e", "lo")
    assert (code, out, err) == (0, "", "1 sent\n")
    code, out, err = run(capsys, 'IPv6(dst="2001:db8::1")/UDP()', "--no-reply", "-e", "lo")
    assert (code, out) == (1, "")
    assert err.splitlines()[0].startswith("packet 1 was not sent: ")


@pytest.mark.live
def test_kept_file_has_both_ways_and_the_last_line_sums_up(capsys, tmp_path):
    text = 'IPv4(dst="127.0.0.1")/ICMP.echo()'
    code, _, err = run(capsys, text, "--count", "2", "--interval", "0.01", "-w",
                       str(tmp_path / "a.pcapng"))
    assert code == 0 and err.startswith("2 sent, 2 answered, rtt ") and err.endswith(" ms\n")
    assert [packet["icmp.type"] for packet in Capture(tmp_path / "a.pcapng")] == [8, 0] * 2


@pytest.mark.parametrize(("words", "said"), [
    (["-w", "-"], "stdout is for the replies"), (["-w", "/nonexistent/a.pcapng"], "cannot be wri"),
    (["-w", "a.pcapng", "--hex"], "nothing is sent"),
])
def test_file_that_cannot_be_kept_is_refused_before_sending(capsys, words, said):
    code, out, err = run(capsys, 'IPv4(dst="127.0.0.1")/ICMP.echo()', *words)
    assert (code, out) == (2, "") and said in err

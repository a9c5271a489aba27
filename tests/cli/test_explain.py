from __future__ import annotations

import hashlib
import json

import pytest

import portulan
from portulan.cli import main
from portulan.link.pcapng_writer import PcapngWriter
from portulan.record import Hop, Host, Port, encode_lines
from portulan.wire.frames import Frames, LinkType
from tests.render.exchanges import THEM, tcp_pair


@pytest.fixture
def chart(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    portulan.scan("127.0.0.1", ports="1", method="connect", every_state=True)


def test_connect_scan_without_packets_says_what_the_kernel_told(chart, capsys):
    main(["explain", "last", "127.0.0.1", "1"])
    out = capsys.readouterr().out
    assert "No packet was kept" in " ".join(out.split())
    assert "ECONNREFUSED" in out
    main(["explain", "last", "127.0.0.1"])
    host, port = capsys.readouterr().out.split("\n\n127.0.0.1 port ")
    assert out == f"127.0.0.1 port {port}"
    assert "127.0.0.1 is up" in host


def test_state_or_reason_alone_is_told_in_words(capsys):
    main(["explain", "Filtered"])
    assert "cannot be told" in " ".join(capsys.readouterr().out.split())
    main(["explain", "no-response"])
    out = capsys.readouterr().out
    assert "In UDP scans" in out and "In FIN, NULL, Xmas scans" in out and "Of a host" in out
    assert max(map(len, out.splitlines())) <= 80
    main(["explain", "reset", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {of for row in rows for of in row["of"]} >= {"", "ack", "host"}


def test_word_that_is_neither_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["explain", "nonsense"])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "syn-ack" in line and "filtered" in line


def test_protocol_and_long_form_of_an_address_are_understood(chart, capsys):
    main(["explain", "last", "127.0.0.1", "T:1"])
    assert "1/tcp is closed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["explain", "last", "127.0.0.1", "U:1"])


def test_json_is_an_object_a_finding(chart, capsys):
    main(["explain", "last", "127.0.0.1", "--json"])
    host, port = map(json.loads, capsys.readouterr().out.splitlines())
    assert (host["addr"], host["state"], "port" in host) == ("127.0.0.1", "up", False)
    assert (port["port"], port["state"], port["packets"]) == (1, "closed", [])


@pytest.fixture
def kept(tmp_path):
    """A chart by hand: one port with evidence, many without."""
    folder = tmp_path / "a-chart"
    folder.mkdir()
    events = [Port(addr=THEM, port=80, protocol="tcp", state="open", reason="syn-ack",
                   frames=[1, 2])]
    events += [Port(addr=THEM, port=number, protocol="tcp", state="closed", reason="reset")
               for number in (*range(1, 20), 25)]
    (folder / "events.jsonl").write_bytes(encode_lines(events))
    return folder


def keep(folder, rungs):
    with PcapngWriter(folder / "evidence.pcapng", link_type=LinkType.RAW) as writer:
        for rung in rungs:
            writer.write(Frames.of([rung.octets], link_type=LinkType.RAW, time_ns=rung.time_ns))


def test_packets_of_the_evidence_are_checked_and_named_for_an_auditor(kept, capsys):
    keep(kept, tcp_pair())
    main(["explain", str(kept), THEM, "80", "-v"])
    out = capsys.readouterr().out
    assert "ok  it acknowledges 8 = 7 + 1 for SYN" in out
    digest = hashlib.sha256((kept / "evidence.pcapng").read_bytes()).hexdigest()
    assert digest in out and "frame.number==1 || frame.number==2" in out


def test_evidence_that_does_not_prove_is_told_by_the_exit_code(kept, capsys):
    keep(kept, tcp_pair(told_ack=9))
    with pytest.raises(SystemExit) as caught:
        main(["explain", str(kept), THEM, "80"])
    assert caught.value.code == 3
    assert "NO" in capsys.readouterr().out


def test_way_to_a_host_stands_below_it(kept, capsys):
    hops = [Hop(target=THEM, ttl=1, addr="192.0.2.254", state="expired", rtt_us=300),
            Hop(target=THEM, ttl=2, addr=THEM, state="reached", rtt_us=500)]
    keep(kept, tcp_pair())
    with (kept / "events.jsonl").open("ab") as file:
        file.write(encode_lines([Host(addr=THEM, state="up", reason="reset"), *hops]))
    main(["explain", str(kept), THEM])
    out = capsys.readouterr().out
    assert "The way there:" in out and out.index("192.0.2.254") < out.index(" port 80/tcp")


def test_evidence_that_is_gone_is_told_by_the_exit_code(kept, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["explain", str(kept), THEM, "80"])
    assert caught.value.code == 3
    assert "The packets kept are gone" in " ".join(capsys.readouterr().out.split())


def test_many_ports_alike_share_one_explanation(kept, capsys):
    keep(kept, tcp_pair())
    main(["explain", str(kept), THEM])
    out = capsys.readouterr().out
    assert out.count(" is closed (") == 1 and out.count(" is open (") == 1
    assert "closed (reset), 20 tcp ports as 1: 1-19,25" in out


@pytest.mark.parametrize("words", [["127.0.0.1", "2"], ["192.0.2.1"], ["127.0.0.1", "70000"]])
def test_port_the_chart_does_not_list_is_refused_in_one_line(chart, capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(["explain", "last", *words])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("text", "port"), [
    ("80", ("", 80)), ("U:53", ("udp", 53)), ("53/udp", ("udp", 53)), ("9/SCTP", ("sctp", 9)),
    ("6/ip", ("ip", 6)), ("P:47", ("ip", 47)),
])
def test_port_is_named_as_it_is_typed_and_as_it_is_printed(text, port):
    from portulan.api.explaining import parse_port

    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["x", "53/foo", "U:53/udp", "Q:1", "70000", "/", "/udp", "1/2/3"])
def test_what_is_no_port_is_refused(text):
    from portulan.api.explaining import parse_port
    from portulan.errors import UsageError

    with pytest.raises(UsageError, match="53/udp"):
        parse_port(text)

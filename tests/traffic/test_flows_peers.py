"""Flows and messages of real servers and clients, and what tshark says of the same captures."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from portulan.api.captures import Capture

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = ("make_captures.sh", "make_captures_loss.sh")
NEEDED = ("tshark", "tcpdump", "openssl", "curl", "unshare", "nft", "nsenter")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.peer, pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="making namespaces needs root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]
#: Each segment and fragment for itself, as flows count them.
PLAIN = ("tcp.desegment_tcp_streams", "ip.defragment", "ipv6.defragment")
LOSS = SCRIPTS.index("make_captures_loss.sh")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captures")
    paths = [folder / f"{Path(name).stem}.pcap" for name in SCRIPTS]
    running = [
        subprocess.Popen([str(TOOLS / name), str(path)], stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True)
        for name, path in zip(SCRIPTS, paths, strict=True)]
    said = [each.communicate(timeout=120)[1] for each in running]
    if any(each.returncode for each in running):
        pytest.skip(f"captures cannot be made here: {''.join(said).strip()[-200:]}")
    return paths


@pytest.fixture(params=range(len(SCRIPTS)), ids=SCRIPTS)
def path(made, request):
    return made[request.param]


def tshark(path, *names, only="", plain=True):
    """Return rows of fields, of those that come several times the first."""
    # With its dissector of SNMP tshark takes a question and its answer for two conversations.
    words = ["tshark", "-n", "--disable-protocol", "snmp", "-r", str(path), "-T", "fields",
             "-E", "occurrence=f"]
    if plain:
        words += [word for name in PLAIN for word in ("-o", f"{name}:FALSE")]
    words += ["-Y", only] if only else []
    words += [word for name in names for word in ("-e", name)]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in run.stdout.splitlines()]


def streams(path, protocol):
    """Return tshark's conversations as our flows have them."""
    names = ["ip.src", "ipv6.src", f"{protocol}.stream", f"{protocol}.srcport", "ip.dst",
             "ipv6.dst", f"{protocol}.dstport", "frame.len"]
    found = {}
    for src4, src6, stream, sport, dst4, dst6, dport, size in tshark(
        path, *names, only=f"{protocol} and not icmp and not icmpv6"
    ):
        one, two = (src4 or src6, int(sport)), (dst4 or dst6, int(dport))
        ends, counts = found.setdefault(stream, ((one, two), [0, 0, 0, 0]))
        side = int(ends[0] != one)
        counts[side] += 1
        counts[2 + side] += int(size)
    return Counter((*ends, *counts) for ends, counts in found.values())


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_conversations_are_those_of_tshark(path, protocol):
    flows = Capture(path).filter(protocol).flows()
    mine = Counter(
        ((row["src"], row["sport"]), (row["dst"], row["dport"]), row["packets_fwd"],
         row["packets_rev"], row["bytes_fwd"], row["bytes_rev"]) for row in flows)
    assert mine == streams(path, protocol)


def test_retransmissions_and_others_are_those_of_tshark(path):
    names = ("retransmission", "out_of_order", "zero_window")
    theirs = defaultdict(lambda: [0, 0, 0])
    fields = [f"tcp.analysis.{name}" for name in names]
    for stream, *values in tshark(path, "tcp.stream", *fields, only="tcp and not icmp"):
        theirs[stream] = [a + bool(b) for a, b in zip(theirs[stream], values, strict=True)]
    mine = Capture(path).filter("tcp").sql(
        "select retransmissions_fwd + retransmissions_rev, out_of_order_fwd + out_of_order_rev, "
        "zero_windows_fwd + zero_windows_rev from flows").fetchall()
    assert mine == [tuple(counts) for counts in theirs.values()]


def test_capture_with_loss_has_retransmissions(made):
    ((again, late),) = Capture(made[LOSS]).sql(
        "select sum(retransmissions_rev), sum(out_of_order_rev) from flows").fetchall()
    assert again > 0
    assert late > 0


def test_round_trip_of_handshakes_is_that_of_tshark(path):
    theirs = {}
    for stream, rtt in tshark(path, "tcp.stream", "tcp.analysis.initial_rtt",
                              only="tcp and not icmp"):
        theirs[stream] = theirs.get(stream) or (round(float(rtt) * 1e9) if rtt else None)
    flows = list(Capture(path).filter("tcp").flows())
    refused = [row["state"] == "REJ" for row in flows]  # tshark times the RST, too
    assert len(flows) == len(theirs)
    assert [row["rtt_ns"] for row, skip in zip(flows, refused, strict=True) if not skip] == [
        rtt for rtt, skip in zip(theirs.values(), refused, strict=True) if not skip]
    assert not all(refused)


def test_names_and_fingerprints_of_tls_are_those_of_tshark(path):
    theirs = Counter(map(tuple, tshark(
        path, "tls.handshake.extensions_server_name", "tls.handshake.ja3", plain=False,
        only="tcp and tls.handshake.type == 1")))
    mine = Counter(Capture(path).sql(
        "select coalesce(sni, ''), ja3 from flows where ja3 is not null and protocol = 'tcp'"
    ).fetchall())
    assert mine == theirs
    assert theirs


def test_dns_messages_are_those_of_tshark(path):
    theirs = Counter(map(tuple, tshark(
        path, "dns.id", "dns.flags.response", "dns.qry.name",
        only="dns and not mdns and not icmp")))
    mine = Counter(
        (f"0x{number:04x}", str(answer), name or "") for number, answer, name in
        Capture(path).sql("select id, answer, name from dns where dport <> 5353").fetchall())
    same(path, mine, theirs)


def same(path, mine, theirs):
    """Compare messages: those in segments sent again tshark tells once, the tables each time."""
    lossy = path.stem == Path(SCRIPTS[LOSS]).stem
    assert (set(mine) == set(theirs) and mine >= theirs) if lossy else mine == theirs


def test_times_of_dns_answers_are_those_of_tshark(path):
    theirs = Counter(
        (round(float(each) * 1e9),) for (each,) in tshark(
            path, "dns.time", only="dns.time and udp"))
    mine = Counter(Capture(path).filter("udp").sql(
        "select latency_ns from dns where latency_ns is not null").fetchall())
    assert mine == theirs


def test_http_messages_are_those_of_tshark(path):
    theirs = Counter(map(tuple, tshark(
        path, "http.request.method", "http.request.uri", "http.host", "http.response.code",
        only="tcp and (http.request or http.response)")))
    mine = Counter(
        tuple("" if value is None else str(value) for value in row) for row in
        Capture(path).sql("select method, target, host, status from http").fetchall())
    same(path, mine, theirs)

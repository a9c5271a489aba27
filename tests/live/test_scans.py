"""Whole scans in labs: what `portulan scan` finds is what is there, and the frames prove it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections import Counter

import pytest

import portulan.wire as wire
from portulan.link.captures import open_capture
from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import (
    ROUTER_6,
    UNPRIVILEGED,
    differences,
    in_family,
    last_chart,
    scan,
    six,
    truth,
)

pytestmark = pytest.mark.live
FAST = ["--max-rate", "100000"]
#: Takes 200 packets a second: a matter of patience, tested alone.
MISER = "10.81.0.11"


@pytest.mark.parametrize("method", ["-sS", "-sT"])
@pytest.mark.parametrize(("scenario", "family"), [("harbour", 4), ("router", 4), ("router", 6)])
def test_scan_finds_exactly_the_truth(make_lab, tmp_path, scenario, family, method):  # noqa: F811
    lab = make_lab(in_family(scenario, family, tmp_path))
    found = scan(lab, method, *FAST, *(ROUTER_6 if family == 6 else []))
    wanted = truth(lab)
    assert found.code == 0, found.stderr
    assert not differences(found.ports, wanted)
    assert found.up == {address for address, _ in wanted}
    [end] = found.of("end")
    assert end["open"] == sum(state == "open" for state in wanted.values())


@pytest.mark.parametrize(("method", "family"), [("-sS", 4), ("-sT", 4), ("-sS", 6), ("-sT", 6)])
def test_firewalls_are_told_by_their_manner(make_lab, tmp_path, method, family):  # noqa: F811
    lab = make_lab(in_family("firewalls", family, tmp_path))
    miser, herald, resetter, dropper = (
        address if family == 4 else six(address)
        for address in (MISER, "10.81.0.10", "10.81.0.9", "10.81.0.8"))
    # Not faster: a kernel sends 1,000 ICMP errors a second (icmp_msgs_per_sec), all hosts together.
    found = scan(lab, method, "--exclude", miser)
    wanted = truth(lab, miser)
    if method == "-sT":
        # connect() says refused for a reset and for ICMP port unreachable alike.
        wanted = {key: state for key, state in wanted.items()
                  if not (key[0] == herald and 201 <= key[1] <= 300)}
    assert not differences(found.ports, wanted)
    reasons = {(e["addr"], e["port"]): e["reason"] for e in found.of("port")}
    if method == "-sS":
        # Linux sends so many ICMP errors a second and no more (icmp_msgs_per_sec): some stay
        # silent, none says another word.
        for first, word in ((1, "admin-prohibited"), (101, "host-unreach"), (201, "port-unreach")):
            told = {reasons[herald, port] for port in range(first, first + 100)}
            assert word in told <= {word, "no-response"}
        assert reasons[resetter, 50] == "reset"
        assert reasons[dropper, 50] == "no-response"


def test_patience_finds_all_behind_a_rate_limit(make_lab):  # noqa: F811
    lab = make_lab("firewalls")
    found = scan(lab, "-p", "1-300,800", "--max-rate", "150", targets=MISER)
    wanted = {(MISER, port): "open" if port in (80, 800) else "closed"
              for port in (*range(1, 301), 800)}
    assert not differences(found.ports, wanted)


@pytest.mark.parametrize("method", ["-sS", "-sT"])
def test_ipv6_is_scanned_like_ipv4(make_lab, method):  # noqa: F811
    lab = make_lab("ipv6")
    found = scan(lab, method, *FAST, targets="fd83::10/126 fd83:0:0:1::/120")
    asked = {f"fd83::1{n}" for n in range(4)} | {"fd83:0:0:1::"}
    asked |= {f"fd83:0:0:1::{n:x}" for n in range(1, 256)}
    wanted = {key: state for key, state in truth(lab).items() if key[0] in asked}
    assert len(wanted) == 4 * (4 + 256)
    assert not differences(found.ports, wanted)


@pytest.mark.parametrize(("method", "family"), [("-sS", 4), ("-sT", 4), ("-sS", 6)])
def test_lossy_path_hides_no_port(make_lab, tmp_path, method, family):  # noqa: F811
    lab = make_lab(in_family("lossy", family, tmp_path))
    found = scan(lab, method, *FAST)
    # 5 % both ways: a probe fails by 10 %, so tries go as deep as needed. Silence may win once
    # in a long while, an invented answer never.
    wrong = differences(found.ports, truth(lab))
    assert len(wrong) <= 2
    assert all(found_state in (None, "filtered") for found_state, _ in wrong.values())


@pytest.mark.parametrize(("scenario", "family"), [
    ("harbour", 4), ("router", 4), ("lossy", 4), ("router", 6), ("lossy", 6)])
def test_hosts_only_finds_who_is_up_and_lists_no_port(
    make_lab, tmp_path, scenario, family,  # noqa: F811
):
    lab = make_lab(in_family(scenario, family, tmp_path))
    found = scan(lab, "-sn", *(ROUTER_6 if (scenario, family) == ("router", 6) else []))
    assert found.up == {addr for addr, up in lab.alive().items() if up}
    assert not found.of("port")
    assert found.of("run")[0]["method"] == "ping"
    for host in found.of("host"):
        assert host["state"] == "up" or host["reason"] == "no-response"


def test_without_rights_a_connect_scan_is_chosen_and_says_why(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, *FAST, prefix=UNPRIVILEGED)
    assert found.code == 0, found.stderr
    [run] = found.of("run")
    assert run["method"] == "connect"
    assert "CAP_NET_RAW" in run["why"]
    assert run["why"] in found.stderr
    assert not differences(found.ports, truth(lab))


def test_without_rights_syn_is_refused_in_one_line(make_lab):  # noqa: F811
    found = scan(make_lab("harbour"), "-sS", prefix=UNPRIVILEGED)
    assert (found.code, found.events) == (2, [])
    assert found.stderr.startswith("portulan: ")
    assert found.stderr.count("\n") == 1
    assert "CAP_NET_RAW" in found.stderr


def test_without_rights_hosts_only_finds_who_is_up(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, "-sn", prefix=UNPRIVILEGED)
    assert found.up == {addr for addr, up in lab.alive().items() if up}


@pytest.mark.parametrize(("there", "missing", "family"), [
    ("10.82.1.2", "10.82.1.5", 4), (six("10.82.1.2"), six("10.82.1.5"), 6)])
def test_pn_asks_hosts_that_answer_to_no_ping(
    make_lab, tmp_path, there, missing, family,  # noqa: F811
):
    lab = make_lab(in_family("router", family, tmp_path))
    # Behind a router nobody says that the second is not there but the router itself.
    found = scan(lab, "-p", "22-80", "-Pn", *FAST, targets=f"{there} {missing}")
    assert found.ports[there, 80] == "open"
    assert {found.ports[missing, port] for port in range(22, 81)} == {"filtered"}


# -- evidence ---------------------------------------------------------------------------------


def frames_in(path):
    with open_capture(path) as capture:
        return [octets for batch in capture.frames() for octets in batch]


@pytest.fixture
def proven(make_lab, tmp_path):  # noqa: F811
    """A SYN scan of one host, its kept frames, and what tcpdump saw on that host."""
    if not shutil.which("tcpdump"):
        pytest.skip("tcpdump is not here: apt-get install tcpdump")
    lab = make_lab("harbour")
    seen = tmp_path / "seen.pcap"
    # Short slots, or its ring holds too few of them on a busy machine.
    tcpdump = ["tcpdump", "-i", "lan", "-s256", "-U", "--immediate-mode", "-B8192", "-Zroot",
               "-w", str(seen), "tcp"]
    watcher = lab.exec("web", tcpdump, stderr=subprocess.PIPE, text=True)
    with watcher:
        for line in watcher.stderr:
            if "listening" in line:
                break
        found = scan(lab, "-p", "1-1024", "--max-rate", "2000", targets="10.77.0.10")
        size = -1
        while size != (size := seen.stat().st_size):
            time.sleep(0.3)
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=10)
    chart = last_chart(tmp_path / "home")
    return found, frames_in(chart / "evidence.pcapng"), frames_in(seen), chart


@pytest.mark.peer
def test_frames_named_by_each_port_are_its_probe_and_its_reply(proven):
    found, kept, _, _ = proven
    ports = found.of("port")
    assert len(ports) == 1024
    [host] = found.of("host")
    asked, told = (wire.ARP.parse(kept[number - 1], 14) for number in host["frames"])
    assert (asked.tpa, told.spa, str(told.sha)) == (*2 * (wire.Ip4.of(host["addr"]),), host["mac"])
    assert len(kept) == 2 + 2048
    for event in ports:
        out, back = (kept[number - 1] for number in event["frames"])
        probe, reply = wire.TCP.parse(out, 34), wire.TCP.parse(back, 34)
        assert int(wire.IPv4.parse(out, 14).dst) == int(wire.IPv4.parse(back, 14).src) \
            == int(wire.Ip4.of(event["addr"]))
        assert (probe.dport, reply.sport) == (event["port"], event["port"])
        assert probe.sport == reply.dport
        assert reply.ack == (probe.seq + 1) & 0xFFFF_FFFF
        is_open = reply.flags & wire.TcpFlags.SYN
        assert event["state"] == ("open" if is_open else "closed")
        assert wire.IPv4.parse(back, 14).ttl == event["ttl"]


@pytest.mark.peer
def test_kept_probes_are_the_very_frames_that_passed_the_wire(proven):
    _, kept, seen, _ = proven
    kept = kept[2:]  # ARP, which tcpdump was not asked for
    passed = Counter(seen)
    for number, octets in enumerate(kept):
        if number % 2 == 0:
            assert passed[octets] == 1
    # Replies leave their host before a checksum is computed (offload): all but that is the same.
    blind = Counter(octets[:50] + octets[52:] for octets in seen)
    for octets in kept[1::2]:
        assert blind[octets[:50] + octets[52:]] >= 1


@pytest.mark.peer
def test_tcpdump_reads_the_evidence_with_the_same_numbers(proven):
    found, kept, _, chart = proven
    told = subprocess.run(
        ["tcpdump", "-nn", "-#", "-r", str(chart / "evidence.pcapng")],
        capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == len(kept)
    by_number = {int(line.split()[0]): line for line in told}
    for event in found.of("port"):
        out, back = (by_number[number] for number in event["frames"])
        where = f"{event['addr']}.{event['port']}"
        assert f"> {where}: Flags [S]," in out
        assert f"IP {where} > " in back
        assert ("[S.]" if event["state"] == "open" else "[R.]") in back


@pytest.mark.parametrize("method", ["-sS", "-sU", "-sY"])
def test_frames_of_ipv6_prove_their_ports_too(make_lab, tmp_path, method):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, method, "-p", "22,80,99", targets="fd77::16")
    kept = frames_in(last_chart(tmp_path / "home") / "evidence.pcapng")
    header = {"-sS": wire.TCP, "-sU": wire.UDP, "-sY": wire.SCTP}[method]
    assert len(found.of("port")) == 3
    for event in found.of("port"):
        out, back = (kept[number - 1] for number in event["frames"])
        sent, came = wire.IPv6.parse(out, 14), wire.IPv6.parse(back, 14)
        assert str(sent.dst) == str(came.src) == event["addr"]
        if event["reason"] != "proto-unreach":  # which is said of all ports at once
            assert header.parse(out, 54).dport == event["port"]
        if event["reason"] in ("syn-ack", "reset"):
            assert header.parse(back, 54).sport == event["port"]
        else:
            # An ICMP error quotes what was sent, as far as 1,280 bytes go (RFC 4443 section 2.4).
            assert out[14:].startswith(back[62:])
            assert len(back) >= min(len(out) + 48, 1294)


# -- what is printed is what is kept ------------------------------------------------------------


def test_lines_printed_are_the_lines_kept(make_lab, tmp_path):  # noqa: F811
    lab = make_lab("harbour")
    found = scan(lab, "-p", "20-90", targets="10.77.0.10")
    kept = (last_chart(tmp_path / "home") / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in kept] == found.events


def test_this_machines_own_addresses_are_scanned_like_any_other(make_lab):  # noqa: F811
    harbour = make_lab("harbour")
    for way in ("-sS", "-sT"):
        found = scan(harbour, way, "-p", "1-30", targets="10.77.0.1 fd77::1 127.0.0.1")
        assert found.code == 0, found.stderr
        assert found.up == {"10.77.0.1", "fd77::1", "127.0.0.1"}
        assert set(found.ports.values()) == {"closed"}, way
        assert len(found.ports) == 90

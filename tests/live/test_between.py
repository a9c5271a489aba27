"""Five middleboxes, each recognised by the scan that meets it; ordinary hosts are not accused."""

from __future__ import annotations

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import scan

pytestmark = pytest.mark.live

BETWEEN = {
    "10.86.0.8": ("warning", "SYN proxy (certain)"),
    "10.86.0.9": ("warning", "tarpit (certain)"),
    "10.86.0.10": ("warning", "resets are rate-limited (likely)"),
    "10.86.0.11": ("info", "a filter drops the rest without a word"),
    "10.86.0.12": ("warning", "ports are forwarded to another host (likely)"),
}
ACCUSED = ("proxy", "tarpit", "limited", "forwarded", "every port", "before the host")


def notes(found):
    return [(e["addr"], e.get("level", "info"), e["text"]) for e in found.of("note") if e["addr"]]


def test_five_middleboxes_are_recognised_with_frames_and_ports_that_are_real(make_lab):  # noqa: F811
    found = scan(make_lab("between"), "--seed", "1")
    assert found.code == 0, found.stderr
    told = {addr: (level, text.partition(": ")[0]) for addr, level, text in notes(found)}
    assert told == BETWEEN
    assert len(notes(found)) == len(BETWEEN)
    texts = {addr: text for addr, _, text in notes(found)}
    assert "window 0" in texts["10.86.0.8"]
    assert "of the ports asked, 22, 80 acknowledge data" in texts["10.86.0.8"]
    assert "; frames " in texts["10.86.0.8"]
    assert "port 80 over 1 router (TTL 63" in texts["10.86.0.12"]
    assert not [port for _, port in found.ports if port >= 49152], "controls are no findings"


@pytest.mark.parametrize("scenario", ["harbour", "firewalls"])
def test_ordinary_hosts_and_firewalls_are_not_accused(make_lab, scenario):  # noqa: F811
    """Thirteen hosts: services, DROP and REJECT, odd services, a limiter on everything."""
    found = scan(make_lab(scenario), "--seed", "1")
    assert found.code == 0, found.stderr
    assert len(found.up) >= 6
    for addr, level, text in notes(found):
        assert level == "info", (addr, text)
        assert not any(word in text for word in ACCUSED), (addr, text)


def test_a_connect_scan_recognises_what_needs_no_header(make_lab):  # noqa: F811
    found = scan(make_lab("between"), "-sT", "--seed", "1", targets="10.86.0.8 10.86.0.9")
    kinds = {addr: text.partition(" (")[0] for addr, _, text in notes(found)}
    assert kinds == {"10.86.0.8": "SYN proxy", "10.86.0.9": "tarpit"}


FILTERS = {
    "web": (  # forgets each packet: SYNs are dropped, whatever else comes is let through
        "add rule inet t i tcp dport != { 22, 80, 443 } tcp flags & (syn|ack) == syn drop",
    ),
    "post": (  # knows connections
        "add rule inet t i ct state invalid drop",
        "add rule inet t i ct state established accept",
        "add rule inet t i tcp dport { 21, 25, 110 } tcp flags & (syn|ack) == syn accept",
        "add rule inet t i meta l4proto tcp drop",
    ),
}
LOOSE = "net.netfilter.nf_conntrack_tcp_loose=0"
CHAIN = ("add table inet t", "add chain inet t i { type filter hook input priority 0; }")


def test_stateful_and_stateless_filters_are_told_apart_with_frames(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    for host, rules in FILTERS.items():
        with lab.exec(host, ["nft", "-f", "-"], stdin=-1, text=True) as nft:
            nft.communicate("\n".join([*CHAIN, *rules]))
        assert nft.returncode == 0
    with lab.exec("post", ["sysctl", "-qw", LOOSE]) as sysctl:
        sysctl.wait()
    found = scan(lab, "-p", "1-200,443", "--seed", "1",
                 targets="10.77.0.10 10.77.0.11 10.77.0.13 10.77.0.15")
    assert found.code == 0, found.stderr
    told = {addr: text for addr, _, text in notes(found) if " filter, which" in text}
    assert set(told) == {"10.77.0.10", "10.77.0.11"}, "who drops a port altogether shows nothing"
    assert told["10.77.0.10"].startswith("a stateless filter")
    assert "frames" in told["10.77.0.10"]
    assert told["10.77.0.11"].startswith("a stateful filter")
    assert {*found.ports} >= {("10.77.0.10", 80)}, "and the scan's own ports are told once"

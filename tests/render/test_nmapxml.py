from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.parsers import expat

import pytest
from hypothesis import given, settings
from libnmap.parser import NmapParser
from lxml import etree
from msgspec.structs import replace

from portulan.record import Host, Port
from portulan.render.nmapxml import _cpe_uri, render

from .golden import check
from .runs import ATTACKS, KILLED, PATH, RUN, SMALL, hostile, opened, shown, texts

DTD = Path("/usr/share/nmap/nmap.dtd")


def whole(events) -> str:
    return "".join(render(events))


def wellformed(text: str) -> ET.Element:
    data = text.encode()
    expat.ParserCreate().Parse(data, True)
    etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    return ET.fromstring(data)


@pytest.fixture(scope="session")
def dtd() -> etree.DTD:
    if not DTD.exists():
        pytest.skip("nmap's DTD is not installed here")
    return etree.DTD(str(DTD))


def valid(dtd: etree.DTD, text: str) -> None:
    root = etree.fromstring(text.replace('scanner="portulan"', 'scanner="nmap"', 1).encode())
    assert dtd.validate(root), dtd.error_log.filter_from_errors()


def test_small_run_is_as_kept():
    check("small.xml", whole(SMALL))


def test_small_and_killed_and_empty_runs_are_valid(dtd):
    for events in (SMALL, KILLED, [], [RUN]):
        valid(dtd, whole(events))


def test_killed_run_is_closed_and_says_error():
    finished = wellformed(whole(KILLED)).find("runstats/finished")
    assert finished is not None
    assert finished.get("exit") == "error"
    assert "incomplete" in finished.get("errormsg", "")


def test_start_is_the_epoch_of_the_run():
    root = wellformed(whole(SMALL))
    assert root.get("start") == "1795255200"
    assert root.find("runstats/finished").get("time") == "1795255200"


@pytest.mark.parametrize(("method", "ports", "expected"), [
    ("syn", "1-1000", [("syn", "tcp", "1000")]),
    ("connect", "22,80,100-109", [("connect", "tcp", "12")]),
    ("udp", "53", [("udp", "udp", "1")]),
    ("syn", "T:22,80 U:53", [("syn", "tcp", "2"), ("udp", "udp", "1")]),
    ("ping", "", []),
])
def test_scaninfo_counts_the_ports_asked(dtd, method, ports, expected):
    text = whole([replace(RUN, method=method, ports=ports)])
    valid(dtd, text)
    infos = wellformed(text).findall("scaninfo")
    assert [(i.get("type"), i.get("protocol"), i.get("numservices")) for i in infos] == expected


def test_name_that_was_asked_for_is_user_and_others_are_ptr():
    host = Host(addr="10.0.0.1", state="up", reason="syn-ack",
                names=["www.example.org", "other.example.org"])
    names = wellformed(whole([RUN, host])).findall("host/hostnames/hostname")
    assert [name.get("type") for name in names] == ["user", "PTR"]


def test_unlisted_closed_ports_have_the_reason_of_the_method():
    host = Host(addr="10.0.0.1", state="up", reason="user-set",
                rest={"tcp": {"closed": 5, "filtered": 2}, "udp": {"closed": 1}})
    root = wellformed(whole([replace(RUN, method="connect"), host]))
    reasons = root.findall("host/ports/extraports[@state='closed']/extrareasons")
    assert [r.get("reason") for r in reasons] == ["conn-refused", "port-unreach"]
    assert root.find("host/ports/extraports[@state='closed']").get("count") == "6"
    assert not root.findall("host/ports/extraports[@state='filtered']/extrareasons")


def test_reason_that_nmap_has_no_word_for_is_its_nearest():
    port = Port(addr="::1", port=1, protocol="tcp", state="open", reason="accept-reset")
    assert wellformed(whole([port])).find("host/ports/port/state").get("reason") == "syn-ack"


def test_ipv6_host_says_so():
    assert wellformed(whole([opened("::1", 80)])).find("host/address").get("addrtype") == "ipv6"


def test_host_that_was_given_up_says_so_as_nmap_does(dtd):
    told = Host(addr="10.0.0.9", state="up", reason="arp-response", timed_out=True)
    text = whole([RUN, told, Host(addr="10.0.0.10", state="up", reason="arp-response")])
    valid(dtd, text)
    hosts = wellformed(text).findall("host")
    assert [host.get("timedout") for host in hosts] == ["true", None]


@pytest.mark.parametrize(("formatted", "uri"), [
    ("cpe:2.3:a:openbsd:openssh:9.2p1:*:*:*:*:*:*:*", "cpe:/a:openbsd:openssh:9.2p1"),
    (r"cpe:2.3:a:v\:w:a\&b\-c:*:u1:*:*:*:*:*:*", "cpe:/a:v%3aw:a%26b-c::u1"),
    ("cpe:/a:b:c", "cpe:/a:b:c"),
    ("cpe:2.3:", "cpe:/"),
])
def test_cpe_is_the_uri_that_readers_of_nmap_know(formatted, uri):
    assert _cpe_uri(formatted) == uri


def test_every_attack_is_wellformed_and_valid(dtd):
    for text in ATTACKS:
        document = whole(hostile(text))
        wellformed(document)
        valid(dtd, document)
        assert not shown(document)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_any_text_is_wellformed_and_can_be_restored(text):
    root = wellformed(whole(hostile(text)))
    banner = root.find("host/ports/port/script[@id='banner']")
    raw = "" if banner is None else banner.get("output", "")
    escape = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")
    assert escape.sub(lambda m: chr(int(m[1] or m[2] or m[3], 16)), raw) == text


def test_libnmap_reads_what_was_found():
    report = NmapParser.parse_fromstring(whole(SMALL))
    assert (report.hosts_up, report.hosts_total, report.started) == (3, 8, 1795255200)
    host = report.hosts[0]
    assert (host.address, host.mac, host.hostnames) == (
        "10.0.0.1", "52:54:00:12:34:56", ["gw.example.org"])
    assert host.get_open_ports() == [(22, "tcp"), (80, "tcp"), (443, "tcp")]
    ssh = host.get_service(22)
    assert ssh is not None
    assert ssh.service_dict["product"] == "OpenSSH"
    assert ssh.cpelist[0].cpestring == "cpe:/a:openbsd:openssh:9.2p1"
    assert host.os_match_probabilities()[0].accuracy == 90


def test_libnmap_reads_discovery_killed_and_hostile_runs():
    for events in (KILLED, [RUN, Host(addr="10.0.0.1", state="up", reason="echo-reply")],
                   hostile("\x1b]]><x>&\x00")):
        assert NmapParser.parse_fromstring(whole(events)).hosts


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("ndiff"), reason="ndiff is not installed here")
def test_ndiff_sees_no_change_in_the_same_run_and_a_closed_port_in_another(tmp_path):
    a, b = tmp_path / "a.xml", tmp_path / "b.xml"
    a.write_text(whole(SMALL), encoding="utf-8")
    gone = Port(addr="10.0.0.1", port=22, protocol="tcp", state="closed", reason="reset")
    b.write_text(whole([*SMALL, gone]), encoding="utf-8")
    same = subprocess.run(["ndiff", a, a], capture_output=True, text=True, check=False)
    assert (same.returncode, same.stdout) == (0, ""), same.stderr
    changed = subprocess.run(["ndiff", a, b], capture_output=True, text=True, check=False)
    assert changed.returncode == 1, changed.stderr
    assert re.search(r"^-22/tcp +open", changed.stdout, re.M)


def test_path_is_a_trace_and_its_length_the_distance(dtd):
    text = whole([*SMALL, *PATH])
    valid(dtd, text)
    trace = wellformed(text).find(".//trace")
    assert [hop.get("ttl") for hop in trace] == ["1", "3", "4"]
    assert (trace[0].get("rtt"), trace[1].get("host")) == ("0.25", "a<b")
    assert '<distance value="4"/>' in text

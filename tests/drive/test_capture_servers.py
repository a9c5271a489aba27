"""The same fields as tshark on traffic of real servers and clients, made by scripts of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from portulan.drive.capture import Capture
from portulan.errors import UsageError
from portulan.wire.columns import texts
from portulan.wire.header import headers
from tests.wire.filter_generators import LINKS

from .tshark_fields import FIELDS, Packet, is_elsewhere, values

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = (
    "make_captures.sh", "make_captures_services.sh", "make_captures_overlay.sh",
    "make_captures_scapy.py",
)
NEEDED = ("tshark", "tcpdump", "openssl", "curl", "unshare")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.peer, pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="making namespaces needs root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]
AGREE_MIN = 0.995
#: Headers whose fixed fields tshark shows under no name of its own, or that stand behind another.
NOT_NAMED = {"snap": "its OUI is llc.oui, its protocol llc.type", "pop3": "", "imap": ""}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the captures, and whether all programs that make them are here."""
    folder = tmp_path_factory.mktemp("captures")
    running = []
    for name in SCRIPTS:
        python = ["/usr/bin/python3"] if name.endswith(".py") else []
        argv = [*python, str(TOOLS / name), str(folder / f"{Path(name).stem}.pcap")]
        running.append(subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    said = [each.communicate(timeout=120)[1] for each in running]
    if running[0].returncode:
        pytest.skip(f"captures cannot be made here: {said[0].strip()[-200:]}")
    whole = not any(each.returncode for each in running) and "left out" not in "".join(said)
    return sorted(folder.glob("*.pcap")), whole


def packets(path):
    """Yield the packets of a capture as tshark and we see them."""
    names = sorted({name for each in FIELDS.values() for name in each})
    run = subprocess.run(
        ["tshark", "-n", "-r", path, "-T", "fields", "-E", "aggregator=|",
         *(word for protocol in ("tcp.desegment_tcp_streams", "ip.defragment", "ipv6.defragment")
           for word in ("-o", f"{protocol}:FALSE")),
         *(word for name in names for word in ("-e", name))],
        capture_output=True, text=True, check=True)
    columns = Capture(path).columns(*FIELDS, "frame.protocols")
    ours = {name: texts(name, column) for name, column in columns.items()}
    for row, line in enumerate(run.stdout.splitlines()):
        cells = zip(names, line.split("\t"), strict=True)
        theirs = {name: [each for each in cell.split("|") if each] for name, cell in cells}
        yield Packet(theirs, {name: ours[name][row] for name in FIELDS},
                     ours["frame.protocols"][row])


@pytest.fixture(scope="module")
def compared(made):
    """Return (field, theirs, ours, protocols) of every packet in which either has the field."""
    found = []
    for path in made[0]:
        for packet in packets(path):
            for field in FIELDS:
                if not is_elsewhere(field, packet):
                    theirs, ours = values(field, packet)
                    if theirs or ours:
                        found.append((field, theirs, ours, packet.protocols))
    return found


def test_fields_of_servers_and_clients_are_those_of_tshark(compared):
    differ = [each for each in compared if each[1] != each[2]]
    assert len(compared) > 10_000
    assert len(differ) <= (1 - AGREE_MIN) * len(compared), Counter(each[0] for each in differ)
    print(f"{len(compared):,} values, {len(differ)} differ: {differ[:20]}")


def test_no_field_differs_more_often_than_it_agrees(compared):
    total = Counter(each[0] for each in compared)
    differ = Counter(each[0] for each in compared if each[1] != each[2])
    assert not [name for name in differ if differ[name] * 2 > total[name]]


def test_every_dissector_has_been_compared_on_some_packet(made, compared):
    if not made[1]:
        pytest.skip("not all programs that make captures are installed")
    seen = {field.partition(".")[0] for field, *_ in compared}
    assert sorted(set(headers()) - seen - set(NOT_NAMED)) == []


FILTERS = (
    "ip", "ip6", "tcp", "udp", "icmp or icmp6", "port 53", "tcp port 80 or 443 or 8443", "host ::1",
    "src host 10.9.1.1 and not tcp", "net 10.9.0.0/16", "dst port 5353", "portrange 60-70",
    "ip multicast", "ip6 multicast", "greater 200", "less 80", "len <= 66 or len > 1000",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "ip[8] < 64", "ip[6:2] & 0x3fff != 0",
    "udp[8:2] & 0x8000 != 0", "ip proto 132", "ip6 proto 6", "ip proto \\gre", "sctp", "ah or esp",
    "igmp", "ip6[6] = 0", "ip protochain 6", "icmp[icmptype] = icmp-echo", "arp", "vlan",
    "vlan and vlan and ip", "mpls 200 and mpls 100", "pppoed", "pppoes 17 and ip", "stp or lldp",
    "ether multicast", "ether proto 0x88cc", "geneve 77 and icmp", "inbound", "ifindex 2",
)


def test_real_captures_are_filtered_as_by_tcpdump(made, tmp_path):
    pairs = kept = 0
    known = [path for path in made[0] if Capture(path).link_type in LINKS.values()]
    for path in known:
        for text in FILTERS:
            out = tmp_path / "out.pcap"
            argv = ["tcpdump", "-r", path, "-w", out, text]
            peer = subprocess.run(argv, capture_output=True, text=True, check=False)
            try:
                ours = [int(each) for part in Capture(path).filter(text).batches()
                        for each in part.frames.time_ns]
            except UsageError:
                assert peer.returncode or not len(Capture(out)), (path.name, text)
                continue
            assert not peer.returncode, (path.name, text, peer.stderr)
            times = [int(each) for part in Capture(out).batches() for each in part.frames.time_ns]
            assert ours == times, (path.name, text)
            pairs, kept = pairs + 1, kept + len(ours)
    assert pairs > 20 * len(known)
    assert kept > pairs
    print(f"{pairs} pairs, {kept:,} packets kept")


def test_no_packet_of_servers_and_clients_has_a_fault(made):
    for path in made[0]:
        defects = texts("frame.defect", Capture(path).columns("frame.defect")["frame.defect"])
        assert not [each for each in defects if each and "not whole" not in each], path

"""The same fields as tshark on traffic of real servers and clients, made by a script of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from portulan.drive.capture import Capture
from portulan.wire.columns import texts

from .test_capture_peers import comparable

SCRIPT = Path(__file__).parents[2] / "tools" / "make_captures.sh"
NEEDED = ("tshark", "tcpdump", "openssl", "curl", "unshare")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.peer, pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="making namespaces needs root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]

#: tshark's name, ours.
PAIRS = {
    "frame.len": "frame.length", "eth.type": "ethernet.ethertype", "ip.src": "ip.src",
    "ip.dst": "ip.dst", "ip.ttl": "ip.ttl", "ip.proto": "ip.protocol", "ip.id": "ip.identification",
    "ipv6.src": "ip6.src", "ipv6.dst": "ip6.dst", "ipv6.hlim": "ip6.hop_limit",
    "tcp.srcport": "tcp.sport", "tcp.dstport": "tcp.dport", "tcp.flags": "tcp.flags",
    "tcp.len": "tcp.payload_length", "tcp.seq_raw": "tcp.seq", "tcp.options.mss_val": "tcp.mss",
    "udp.srcport": "udp.sport", "udp.dstport": "udp.dport", "icmp.type": "icmp.type",
    "icmpv6.type": "icmpv6.type", "arp.dst.proto_ipv4": "arp.tpa", "igmp.type": "igmp.type",
    "tls.handshake.type": "tls.handshake", "tls.handshake.extensions_server_name": "tls.sni",
    "tls.handshake.ciphersuite": "tls.ciphers", "tls.handshake.ja3_full": "tls.ja3",
    "tls.handshake.ja3": "tls.ja3_hash", "tls.handshake.ja3s": "tls.ja3s",
    "tls.handshake.extension.type": "tls.extensions",
    "http.request.method": "http.method", "http.request.uri": "http.target",
    "http.response.code": "http.status", "http.server": "http.server",
    "ssh.kex.hassh": "ssh.hassh", "ssh.kex.hasshserver": "ssh.hassh_server",
    "snmp.community": "snmp.community", "snmp.name": "snmp.oids", "snmp.msgID": "snmp.message_id",
    "snmp.msgUserName": "snmp.user", "snmp.msgAuthoritativeEngineBoots": "snmp.engine_boots",
    "telnet.cmd": "telnet.commands",
    "stp.root.hw": "stp.root_mac", "stp.bridge.hw": "stp.bridge_mac", "stp.type": "stp.type",
    "ospf.msg": "ospf.type", "ospf.srcrouter": "ospf.router",
    "ospf.hello.network_mask": "ospf.mask",
    "ospf.hello.hello_interval": "ospf.hello_s", "ospf.hello.router_dead_interval": "ospf.dead_s",
    "ospf.hello.designated_router": "ospf.designated",
    "ospf.hello.active_neighbor": "ospf.neighbours",
    "bgp.type": "bgp.type", "bgp.open.myas": "bgp.asn", "bgp.open.identifier": "bgp.router",
    "bgp.update.path_attribute.type_code": "bgp.attributes", "bgp.nlri_prefix": "bgp.prefixes",
}
#: What one name of theirs means with us by the message it stands in.
ELSEWHERE = {"tls.ciphers": "tls.cipher"}


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    path = tmp_path_factory.mktemp("captures") / "a.pcap"
    done = subprocess.run([SCRIPT, path], check=False, capture_output=True, text=True,
                          timeout=90)
    if done.returncode:
        pytest.skip(f"captures cannot be made here: {done.stderr.strip()[-200:]}")
    return [each for each in (path, path.with_name("a-wire.pcap")) if each.exists()]


def rows_of_tshark(path):
    words = [word for name in PAIRS for word in ("-e", name)]
    run = subprocess.run(
        ["tshark", "-n", "-o", "tcp.desegment_tcp_streams:FALSE", "-r", path, "-T", "fields",
         "-E", "aggregator=|", *words],
        capture_output=True, text=True, check=True)
    return [[cell.split("|") if cell else [] for cell in line.split("\t")]
            for line in run.stdout.splitlines()]


def differences(path):
    """Yield (field, theirs, ours) for every packet that has the field with either."""
    theirs = rows_of_tshark(path)
    ours = Capture(path).columns(*PAIRS.values(), *ELSEWHERE.values(), "frame.protocols")
    columns = {name: texts(name, column) for name, column in ours.items()}
    for at, name in enumerate(PAIRS.values()):
        for row, first in enumerate(columns[name]):
            value = first
            if value is None and name in ELSEWHERE:
                value = columns[ELSEWHERE[name]][row]
            if name == "ethernet.ethertype" and value < 1536:
                continue  # tshark calls it eth.len
            if value is None and ":icmp" in columns["frame.protocols"][row]:
                continue  # tshark also reads the packet that an error quotes
            wanted = value if isinstance(value, list) else [value]
            wanted = [each for each in wanted if each not in (None, "")]
            if name == "bgp.prefixes":
                wanted = [each.partition("/")[0] for each in wanted]
            found = [each.removesuffix("\n") for each in theirs[row][at] if each]
            found = found if isinstance(value, list) else found[:1]
            if found or wanted:
                yield name, comparable(found), comparable(wanted)


def test_fields_of_servers_and_clients_are_those_of_tshark(captures):
    compared = [each for path in captures for each in differences(path)]
    assert len(compared) > 1500
    assert {"tls.ja3", "tls.ja3s", "tls.sni", "http.method"} <= {name for name, *_ in compared}
    assert not [each for each in compared if each[1] != each[2]]


def test_no_packet_of_servers_and_clients_has_a_fault(captures):
    for path in captures:
        defects = texts("frame.defect", Capture(path).columns("frame.defect")["frame.defect"])
        assert not [each for each in defects if each and "not whole" not in each]

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

import portulan.wire as wire
from portulan.scan.payload_bodies import QUIC_LEAST, RDP_LEAST
from portulan.scan.payloads import ANYWHERE, BY_PORT, PAYLOADS, UNKNOWN

BY_NAME = {payload.name: payload for payload in PAYLOADS}
#: What tshark calls them, where it knows the protocol by port.
DISSECTORS = {
    "echo": "echo", "dns": "dns", "dns-root": "dns", "dhcp-inform": "dhcp", "tftp": "tftp",
    "kerberos": "kerberos", "portmap": "rpc", "ntp-v4": "ntp", "ntp-v3": "ntp",
    "netbios-ns": "nbns", "snmp-v3": "snmp", "snmp-v1": "snmp", "snmp-v2c": "snmp",
    "xdmcp": "xdmcp", "cldap": "cldap", "slp": "srvloc", "quic": "quic", "dtls": "dtls",
    "ike-v2": "isakmp", "ike-v1": "isakmp", "ike-nat-v2": "isakmp", "ike-nat-v1": "isakmp",
    "rip": "rip", "ripng": "ripng", "ipmi": "ipmi_session", "asf-ping": "asf", "openvpn": "openvpn",
    "l2tp": "l2tp", "radius-status": "radius", "ssdp": "ssdp", "nfs": "rpc", "gtp-v2": "gtpv2",
    "gtp-v1": "gtp", "mgcp": "mgcp", "stun": "stun", "knx": "kip",
    "iax2": "iax2", "sip": "sip", "nat-pmp": "portcontrol", "pcp": "portcontrol", "mdns": "mdns",
    "llmnr": "llmnr", "coap-ping": "coap", "coap-core": "coap", "memcached": "memcache",
    "raknet": "raknet", "mountd": "rpc", "ethernet-ip": "enip", "bacnet": "bacapp",
    "wireguard": "wg", "quake3": "quake3",
}


def tshark_says(path):
    packets = [
        (wire.IPv4(src=0x0A00_0001, dst=0x0A00_0002)
         / (wire.UDP(sport=30_000 + n, dport=(*p.ports, 9)[0]) / p.body)).pack()
        for n, p in enumerate(PAYLOADS)
    ]
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2_C3D4, 2, 4, 0, 0, 65_535, 101) + b"".join(
        struct.pack("<IIII", n, 0, len(p), len(p)) + p for n, p in enumerate(packets)))
    words = ["tshark", "-nr", str(path), "-T", "fields", "-e", "frame.protocols",
             "-e", "_ws.malformed"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return dict(zip(BY_NAME, done.stdout.splitlines(), strict=True))


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_each_payload_as_its_protocol(tmp_path):
    said = tshark_says(tmp_path / "payloads.pcap")
    wrong = {name: said[name] for name, wanted in DISSECTORS.items()
             if wanted not in said[name].split("\t")[0].split(":")}
    assert not wrong
    malformed = {name for name, text in said.items() if "malformed" in text.lower()}
    # tshark reads QUIC's padding as one more packet, and wants a NUL that Quake never sends.
    assert malformed <= {"quic", "quake3"}


def test_forty_services_have_a_payload_and_names_are_unique():
    assert len(BY_NAME) == len(PAYLOADS)
    assert len({payload.ports[0] for payload in PAYLOADS if payload.ports}) >= 40


def test_every_payload_names_its_source_and_fits_any_path():
    for payload in PAYLOADS:
        assert payload.source
        assert len(payload.body) <= RDP_LEAST


def test_ids_lie_inside_their_payload_and_short_ones_have_a_place():
    for payload in PAYLOADS:
        if payload.mark is None:
            continue
        mark = payload.mark
        assert mark.at + mark.width <= len(payload.body), payload.name
        assert mark.echo >= 0 or (mark.echo == ANYWHERE and mark.width >= 3), payload.name
        stands = payload.body[mark.at : mark.at + mark.width]
        assert set(stands) <= ({0x30} if mark.hexadecimal else {0}), payload.name


def test_ports_lead_to_their_payloads_in_order():
    for port, numbers in BY_PORT.items():
        assert list(numbers) == sorted(numbers)
        assert all(port in PAYLOADS[number].ports for number in numbers)
    assert not any(PAYLOADS[number].ports for number in UNKNOWN)


def test_payloads_only_ask():
    assert BY_NAME["ntp-v4"].body[0] & 7 == 3  # a client's, never mode 6 or 7
    assert BY_NAME["tftp"].body[:2] == b"\0\1"  # a read request
    assert BY_NAME["memcached"].body[8:] == b"version\r\n"
    assert all(BY_NAME[f"snmp-{v}"].body.count(b"\xa0") for v in ("v1", "v2c", "v3"))
    assert len(BY_NAME["quic"].body) == QUIC_LEAST

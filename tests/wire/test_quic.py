from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import portulan.wire as wire
from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import quic
from portulan.wire.columns import columns
from portulan.wire.quic_initial import V1, V2

from .dissecting import over_udp
from .quic_packets import crypto, initial
from .test_tls import client_hello

HELLO = client_hello()[5:]


@pytest.mark.parametrize("version", [V1, V2])
def test_hello_in_an_initial_is_told_as_tls(version):
    found = over_udp(443, initial(crypto(0, HELLO), version=version))
    assert (found.get("quic.version"), found.get("quic.type")) == (version, "initial")
    assert found.get("quic.dcid") == b"8 octets".hex()
    assert found.get("tls.sni") == "shop.example"
    assert found.get("tls.alpn") == ["h2", "http/1.1"]
    assert found.get("tls.ja4").startswith("q13d")
    assert found.defect == ""


def test_crypto_frames_in_any_order_and_twice_make_one_hello():
    frames = [crypto(200, HELLO[200:]), b"\x01", crypto(0, HELLO[:150]),
              crypto(100, HELLO[100:200]), b"\x02\x05\x00\x00\x05"]
    assert over_udp(443, initial(b"".join(frames))).get("tls.sni") == "shop.example"


def test_hello_that_goes_on_in_another_packet_tells_no_fingerprint():
    found = over_udp(443, initial(crypto(0, HELLO[:-1])))
    assert found.get("tls.ja4") is None and found.get("tls.sni") == "shop.example"


def test_servers_initial_tells_what_is_not_encrypted():
    packet = bytearray(initial(crypto(0, HELLO)))
    packet[6] ^= 1  # another connection identifier is another key
    found = over_udp(443, bytes(packet))
    assert found.get("quic.type") == "initial" and found.get("tls.sni") is None


def test_nothing_is_decrypted_until_it_is_asked_for(monkeypatch):
    calls = []
    monkeypatch.setattr(quic, "crypto_octets", lambda *what: calls.append(what) or HELLO)
    found = over_udp(443, initial(crypto(0, HELLO)))
    assert not calls
    assert [found.get("tls.sni"), found.get("tls.ja3_hash") is None] == ["shop.example", False]
    assert len(calls) == 1


def test_columns_of_tls_have_rows_of_quic():
    frame = (wire.Ethernet() / wire.IPv4() / wire.UDP(dport=443) / initial(crypto(0, HELLO))).pack()
    found = columns(wire.Frames.of([frame]), ["tls.sni", "quic.scid"])
    assert [each.tolist() for each in found.values()] == [["shop.example"], [b"me".hex()]]


def test_packets_of_one_datagram_follow_each_other():
    found = over_udp(443, initial(crypto(0, HELLO)) + bytes.fromhex("e000000001 00 00 02 abcd"))
    assert found.protocols == "ip:udp:quic:quic"
    assert found.layers[-1].told["type"] == "handshake"


def test_version_negotiation_is_told():
    found = over_udp(443, bytes.fromhex("8000000000 0101 0102 00000001 6b3343cf"))
    assert found.get("quic.type") == "negotiation"


@given(st.data())
def test_any_damage_is_dissected(data):
    packet = bytearray(initial(crypto(0, HELLO))[:400])
    packet[data.draw(st.integers(0, 40))] = data.draw(st.integers(0, 255))
    found = over_udp(443, bytes(packet[: data.draw(st.integers(0, 400))]))
    assert all(isinstance(name, str) for layer in found.layers for name, _ in layer.values())


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_decrypts_the_same(tmp_path):
    frame = wire.Ethernet() / wire.IPv4() / wire.UDP(sport=4000, dport=443) / initial(
        crypto(0, HELLO), scid=b"mine")
    with PcapngWriter(tmp_path / "a.pcapng", link_type=1) as writer:
        writer.write(wire.Frames.of([frame.pack()], [10**9]))
    names = ["quic.version", "quic.dcid", "quic.scid", "tls.handshake.extensions_server_name",
             "tls.handshake.ja3", "tls.handshake.ja3_full"]
    run = subprocess.run(
        ["tshark", "-n", "-r", tmp_path / "a.pcapng", "-T", "fields",
         *(word for name in names for word in ("-e", name))],
        capture_output=True, text=True, check=True)
    ours = over_udp(443, initial(crypto(0, HELLO), scid=b"mine"))
    assert run.stdout.rstrip("\n").split("\t") == [
        f"{ours.get('quic.version'):#010x}", *(str(ours.get(name)) for name in (
            "quic.dcid", "quic.scid", "tls.sni", "tls.ja3_hash", "tls.ja3"))]

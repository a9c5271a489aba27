from __future__ import annotations

import struct
import zlib

from portulan.ident import probe_bodies as bodies
from portulan.ident.hpack import headers
from portulan.ident.http2 import frames


def test_http_request_is_one_message_that_lets_the_server_close():
    text = bodies.http_get("/x").decode()
    assert text.startswith("GET /x HTTP/1.1\r\nHost: {host}\r\n") and text.endswith("\r\n\r\n")
    assert text.count("\r\n\r\n") == 1 and "Connection: close" in text


def test_http2_request_is_a_preface_settings_and_one_whole_request():
    body = bodies.http2_get().partition(b"SM\r\n\r\n")[2]
    told = list(frames(body))
    assert [(f.kind, f.stream) for f in told] == [(4, 0), (1, 1)]
    assert headers(told[1].body)[0] == (":method", "GET")
    assert (":authority", "localhost") in headers(told[1].body)


def test_lengths_are_those_of_the_bodies():
    smb, rdp, rpc = bodies.smb_negotiate(), bodies.rdp_open(), bodies.rpc_null(100_000, 2)
    assert struct.unpack(">I", smb[:4])[0] == len(smb) - 4
    assert struct.unpack(">H", rdp[2:4])[0] == len(rdp)
    assert struct.unpack(">I", rpc[:4])[0] & 0x7FFFFFFF == len(rpc) - 4
    for message in (bodies.mongo_build_info(), bodies.mongo_query()):
        assert struct.unpack("<i", message[:4])[0] == len(message)
    assert struct.unpack(">H", bodies.tns_version()[:2])[0] == len(bodies.tns_version())
    assert struct.unpack(">H", bodies.tds_prelogin()[2:4])[0] == len(bodies.tds_prelogin())
    assert bodies.mqtt_connect()[1] == len(bodies.mqtt_connect()) - 2
    assert bodies.mqtt_subscribe()[1] == len(bodies.mqtt_subscribe()) - 2
    assert struct.unpack("<I", bodies.opcua_hello()[4:8])[0] == len(bodies.opcua_hello())
    assert int(bodies.git_upload_pack()[:4], 16) == len(bodies.git_upload_pack())
    assert len(bodies.pptp_start()) == struct.unpack(">H", bodies.pptp_start()[:2])[0] == 156
    assert struct.unpack("<H", bodies.msrpc_bind()[8:10])[0] == len(bodies.msrpc_bind())
    assert struct.unpack(">H", bodies.netbios_session()[2:4])[0] == len(
        bodies.netbios_session()) - 4
    kafka = bodies.kafka_versions()
    assert struct.unpack(">I", kafka[:4])[0] == len(kafka) - 4
    assert len(bodies.bittorrent_handshake()) == 68
    radius = bodies.radius_ask()
    assert struct.unpack(">H", radius[2:4])[0] == len(radius)


def test_mongo_document_ends_where_it_says():
    message = bodies.mongo_build_info()
    at = 16 + 4 + 1
    assert struct.unpack("<I", message[at : at + 4])[0] == len(message) - at
    assert message.endswith(b"\0")


def test_nrpe_checksum_is_over_the_packet_without_it():
    packet = bodies.nrpe_version()
    assert len(packet) == 1036
    without = packet[:4] + bytes(4) + packet[8:]
    assert struct.unpack(">I", packet[4:8])[0] == zlib.crc32(without)


def test_dns_over_tcp_stands_behind_its_length():
    query = bodies.dns_query("version.bind", 16, 3)
    assert bodies.dns_query("version.bind", 16, 3, stream=True) == struct.pack(
        ">H", len(query)) + query
    assert query.endswith(b"\x07version\x04bind\0\0\x10\0\x03")


def test_ldap_is_a_bind_without_name_and_a_search_of_the_root():
    both = bodies.ldap_root()
    bind = both[1] + 2
    assert both[:bind] == bytes.fromhex("300c02010160070201030400 8000".replace(" ", ""))
    assert both[bind] == 0x30 and b"objectClass" in both


def test_bitcoin_message_counts_its_body():
    message = bodies.bitcoin_version()
    assert struct.unpack("<I", message[16:20])[0] == len(message) - 24


def test_minecraft_handshake_counts_itself():
    message = bodies.minecraft_status()
    assert message[message[0] + 1 :] == b"\x01\0"

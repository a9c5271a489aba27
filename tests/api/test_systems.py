from __future__ import annotations

import portulan.wire as wire
from portulan.api.systems import COLUMNS, LOOKED_AT, system_columns
from portulan.drive.capture import Capture
from portulan.wire.tcp import NOP, SACK_OK, mss, tcp_options, timestamps, wscale

LINUX = (mss(1460), SACK_OK, timestamps(7), NOP, wscale(7))
WINDOWS = (mss(1460), NOP, wscale(8), NOP, NOP, SACK_OK)


def opening(src, options, *, ttl, window, flags="S", sport=1, ident=0):
    ip = (wire.IPv6(src=src, dst="fd00::9", hop_limit=ttl) if ":" in src
          else wire.IPv4(src=src, dst="10.9.0.9", ttl=ttl, identification=ident))
    segment = wire.TCP(sport=sport, dport=80, flags=flags, window=window)
    return (wire.Ethernet() / ip / segment / tcp_options(*options)).pack()


def table(tmp_path, frames):
    path = tmp_path / "some.pcap"
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    path.write_bytes(head + b"".join(
        at.to_bytes(4, "little") + bytes(4) + len(each).to_bytes(4, "little") * 2 + each
        for at, each in enumerate(frames)))
    found = system_columns([Capture(path)])
    assert list(found) == list(COLUMNS)
    return list(zip(*(found[name].tolist() for name in ("address", "family", "packets", "first")),
                    strict=True))


def test_clients_and_servers_are_told_by_their_first_packets(tmp_path):
    assert table(tmp_path, [
        opening("10.9.0.1", LINUX, ttl=63, window=64_240, ident=4711),
        opening("10.9.0.2", WINDOWS, ttl=126, window=64_240, ident=99),
        opening("10.9.0.3", LINUX, ttl=60, window=65_160, flags="SA"),
        # A client's packet of IPv6 shows too little: no DF, no id.
        opening("fd00::1", LINUX, ttl=64, window=64_800),
    ]) == [("10.9.0.1", "Linux", 1, 1), ("10.9.0.2", "Windows", 1, 2), ("10.9.0.3", "Linux", 1, 3)]


def test_two_systems_behind_one_address_are_two_rows(tmp_path):
    both = [opening("10.9.0.1", LINUX, ttl=63, window=64_240),
            opening("10.9.0.1", WINDOWS, ttl=126, window=64_240)] * 3
    assert sorted(table(tmp_path, both)) == [
        ("10.9.0.1", "Linux", 3, 1), ("10.9.0.1", "Windows", 3, 2)]


def test_a_flood_of_different_packets_is_looked_at_in_part(tmp_path):
    flood = [opening("10.9.0.1", LINUX, ttl=63, window=64_000 + n) for n in range(40)]
    [(_, family, packets, _)] = table(tmp_path, flood)
    assert (family, packets) == ("Linux", LOOKED_AT)


def test_packets_that_show_nothing_have_no_row(tmp_path):
    assert table(tmp_path, [
        opening("10.9.0.1", (), ttl=64, window=1024),
        opening("10.9.0.2", LINUX, ttl=64, window=1024, flags="R"),
        (wire.Ethernet() / wire.IPv4() / wire.UDP() / b"").pack()]) == []

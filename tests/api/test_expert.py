from __future__ import annotations

import json

from click.testing import CliRunner

import portulan.wire as wire
from portulan.api.expert import COLUMNS, expert_columns
from portulan.cli.stats import stats
from portulan.drive.capture import Capture


def capture(tmp_path):
    """A card that takes another's address, then a TTL that changes; written by hand."""
    claims = [(wire.Ethernet(src=mac) / wire.ARP(operation=2, sha=mac, spa="10.9.0.1")).pack()
              for mac in (1, 2)]
    talk = [(wire.Ethernet() / wire.IPv4(src="10.9.0.1", dst="10.9.0.2", ttl=ttl)
             / wire.TCP(sport=1, dport=2, flags="A", window=ttl) / b"").pack() for ttl in (64, 63)]
    path = tmp_path / "odd.pcap"
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000")
    path.write_bytes(head + b"".join(
        at.to_bytes(4, "little") + bytes(4) + len(each).to_bytes(4, "little") * 2 + each
        for at, each in enumerate([*claims, *talk])))
    return path


def test_notes_are_columns_with_the_ends_of_their_flow(tmp_path):
    found = expert_columns([Capture(capture(tmp_path))])
    assert list(found) == list(COLUMNS)
    rows = list(zip(*(found[name].tolist() for name in ("frame", "kind", "flow", "src", "level")),
                    strict=True))
    assert rows == [(2, "arp conflict", 0, None, "error"),
                    (4, "ttl change", 1, "10.9.0.1", "warning")]


def test_only_what_is_needed_is_told(tmp_path):
    assert list(expert_columns([Capture(capture(tmp_path))], {"kind", "frame"})) == [
        "frame", "kind"]


def test_the_command_sums_them_up(tmp_path):
    told = CliRunner().invoke(stats, [str(capture(tmp_path)), "expert", "--json"])
    assert told.exit_code == 0
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(row["kind"], row["times"], row["first"]) for row in rows] == [
        ("arp conflict", 1, 2), ("ttl change", 1, 4)]

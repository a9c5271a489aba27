"""pcapng in, pcapng out: the same by tshark and capinfos, and as Wireshark's tools write it."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess

import pytest

import portulan.wire as wire
from portulan.drive.capture import Capture
from portulan.drive.capture_merge import Merged
from tests.link.test_pcapng_copy import block, option

TOOLS = ("tshark", "capinfos", "editcap", "mergecap")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]

START_NS = 1_700_000_000_123_456_789
ETH = wire.Ethernet(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IP = wire.IPv4(src="10.9.0.1", dst="10.9.0.2")
KEYS = b"CLIENT_RANDOM " + b"0" * 64 + b" " + b"1" * 96 + b"\n"
FIELDS = (
    "frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_id",
    "frame.interface_name", "frame.interface_description", "frame.comment", "frame.packet_flags",
    "frame.packet_id", "frame.encap_type", "frame.protocols", "ip.src", "udp.srcport")


def run(*words):
    done = subprocess.run([*map(str, words)], check=False, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rich(path, order="<", *, start=0, seed=0):
    """Write a file with two interfaces and every kind of block and option that tools know."""
    def pack(form, *values):
        return struct.pack(order + form, *values)

    def one(interface, octets, number, said=b"", wire_length=None):
        unit = 1 if interface == 0 else 1000
        high, low = divmod((START_NS + start + number * 1_000_000) // unit, 1 << 32)
        length = len(octets)
        head = pack("IIIII", interface, high, low, length, wire_length or length)
        return block(order, 6, head + octets + bytes(-length % 4) + (said and said + bytes(4)))

    def udp(number):
        return IP / wire.UDP(sport=1000 * seed + number, dport=9) / bytes(number)

    end = bytes(4)
    said = option(order, 1, b"the first") + option(order, 2, pack("I", 1))
    said += option(order, 5, pack("Q", 77))
    interface = option(order, 2, b"eth0") + option(order, 3, b"the card")
    interface += option(order, 9, b"\x09") + option(order, 12, b"Linux 6.1")
    interface += option(order, 8, pack("Q", 10**9))
    counts = option(order, 4, pack("Q", 9)) + option(order, 5, pack("Q", 2))
    path.write_bytes(b"".join([
        block(order, 0x0A0D0D0A, pack("IHHq", 0x1A2B3C4D, 1, 0, -1)
              + option(order, 1, b"about the file") + option(order, 2, b"a machine")
              + option(order, 3, b"an OS") + option(order, 4, b"a tool") + end),
        block(order, 1, pack("HHI", 1, 0, 96) + interface + end),
        block(order, 1, pack("HHI", 101, 0, 0) + option(order, 2, b"tun0") + end),
        one(0, (ETH / udp(1)).pack(), 1, said),
        block(order, 10, pack("II", 0x544C534B, len(KEYS)) + KEYS + bytes(-len(KEYS) % 4)),
        one(1, udp(2).pack(), 2),
        one(0, (ETH / udp(3)).pack(), 3, option(order, 2, pack("I", 2)), 1400),
        block(order, 4, pack("HH", 1, 9) + b"\x0a\x09\0\x01host\0" + bytes(3) + end + end),
        one(1, udp(4).pack(), 4, option(order, 1, b"second") + option(order, 1, b"third")),
        block(order, 0xBAD, pack("I", 32473) + b"ours"),
        block(order, 5, pack("III", 0, 0, 5) + counts + end),
        block(order, 5, pack("III", 1, 0, 5) + counts + end),
    ]))
    return path


def seen(path):
    """Return what tshark says of each packet."""
    words = [word for field in FIELDS for word in ("-e", field)]
    return run("tshark", "-n", "-r", path, "-T", "fields", *words).splitlines()


def told(path):
    """Return what capinfos says of the file, but its name, size and hashes."""
    lines = run("capinfos", path).splitlines()
    apart = ("File name", "File size", "SHA", "RIPEMD", "MD5")
    return [line for line in lines if not line.startswith(apart)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_copy_is_the_same_to_tshark_and_capinfos(tmp_path, order):
    one, copy = rich(tmp_path / "a.pcapng", order), tmp_path / "b.pcapng"
    assert Capture(one).write(copy) == 4
    # tshark lists the custom block as well.
    assert len(seen(one)) == 5 and "\tthe first\t" in seen(one)[0]
    assert seen(copy) == seen(one)
    assert told(copy) == told(one)


def test_copy_of_what_wireshark_wrote_is_the_same(tmp_path):
    theirs, copy = tmp_path / "a.pcapng", tmp_path / "b.pcapng"
    keys = tmp_path / "keys"
    keys.write_bytes(KEYS)
    run("editcap", "-a", "2:by editcap", "--inject-secrets", f"tls,{keys}",
        rich(tmp_path / "rich.pcapng"), theirs)
    Capture(theirs).write(copy)
    assert seen(copy) == seen(theirs)
    assert told(copy) == told(theirs)
    assert any("by editcap" in line for line in seen(copy))


def test_chosen_packets_are_those_that_editcap_leaves(tmp_path):
    one, ours, theirs = (tmp_path / name for name in ("a.pcapng", "b.pcapng", "c.pcapng"))
    rich(one)
    run("editcap", "-r", one, theirs, "2-3")
    Capture(one)[1:3].write(ours)
    assert seen(ours) == seen(theirs)
    assert len(seen(ours)) == 2


@pytest.mark.parametrize("orders", ["<<", "<>", ">>"])
def test_merged_files_are_those_of_mergecap(tmp_path, orders):
    files = [rich(tmp_path / f"{n}.pcapng", order, start=n * 500_000, seed=n)
             for n, order in enumerate(orders)]
    ours, theirs = tmp_path / "ours.pcapng", tmp_path / "theirs.pcapng"
    run("mergecap", "-I", "none", "-w", theirs, *files)
    assert Merged(files).write(ours) == 8
    assert seen(ours) == seen(theirs)
    # mergecap drops names and secrets of the second file, and statistics of all.
    lines = [" ".join(line.split()) for line in told(ours)]
    assert lines.count("Number of stat entries = 1") == 4
    for line in told(theirs):
        if line.startswith("Number of") or "Capture length" in line or "Name = " in line:
            assert " ".join(line.split()) in lines


def test_flags_and_comments_of_a_merge_reach_json(tmp_path):
    files = [rich(tmp_path / "a.pcapng"), rich(tmp_path / "b.pcapng", ">", start=500_000)]
    Merged(files).write(tmp_path / "m.pcapng")
    layers = [each["_source"]["layers"] for each in json.loads(
        run("tshark", "-n", "-r", tmp_path / "m.pcapng", "-T", "json"))]
    assert len(layers) == 8 + 2  # custom blocks are listed as well
    texts = json.dumps(layers)
    assert texts.count('"the first"') >= 2 and texts.count('"third"') >= 2

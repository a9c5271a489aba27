from __future__ import annotations

import json
import lzma
import subprocess
import sys

import pytest

import portulan.wire as wire
from portulan.link.pcapng_writer import PcapngWriter

ETH = wire.Ethernet(src="02:00:00:00:00:01")
QUESTION = bytes.fromhex("000701000001000000000000 076578616d706c65 00 0001 0001")
PACKETS = [
    ETH / wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.TCP(sport=40000, dport=80),
    ETH / wire.IPv4(src="10.9.0.1", dst="10.9.0.2") / wire.UDP(sport=40001, dport=53) / QUESTION,
    ETH / wire.VLAN(id=7) / wire.VLAN(id=8) / wire.IPv6(src="::1", dst="::2") / wire.UDP(),
]


def portulan(*words, data=None):
    run = subprocess.run(
        [sys.executable, "-m", "portulan", "read", *map(str, words)], input=data,
        capture_output=True, check=False)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("read") / "a.pcapng"
    with PcapngWriter(path, link_type=1) as writer:
        writer.write(wire.Frames.of([each.pack() for each in PACKETS], [10, 20, 30]))
    return path


def test_read_prints_one_line_a_packet(path):
    code, out, err = portulan(path)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["1", "2", "3"]
    assert "DNS query A example" in out


def test_json_has_registry_names_and_addresses_as_text(path):
    code, out, _ = portulan(path, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["frame.number"] for row in rows] == [1, 2, 3]
    assert rows[0]["ip.src"] == "10.9.0.1" and rows[0]["tcp.sport"] == 40000
    assert rows[0]["tcp.flags"] == 2 and rows[0]["frame.time_ns"] == 10
    assert rows[1]["dns.qname"] == "example"
    assert rows[2]["ip6.src"] == "::1" and rows[2]["vlan.id"] == 7
    assert rows[2]["also"]["vlan.id"] == [8]


def test_fields_are_columns_of_text_with_nothing_for_missing_ones(path):
    code, out, _ = portulan(path, "--fields", "ip.src,tcp.dport,dns.qname")
    assert (code, out) == (0, "10.9.0.1\t80\t\n10.9.0.1\t\texample\n\t\t\n")


def test_json_with_fields_has_those_only(path):
    _, out, _ = portulan(path, "--json", "--fields", "ip.src,frame.number")
    assert json.loads(out.splitlines()[0]) == {"ip.src": "10.9.0.1", "frame.number": 1}


def test_unknown_field_is_one_line_and_code_2(path):
    code, out, err = portulan(path, "--fields", "tcp.dprt")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "tcp.dport" in err


def test_count_and_limit(path):
    assert portulan(path, "--count")[1] == "3\n"
    assert portulan(path, "--count", "-n", "2")[1] == "2\n"
    assert len(portulan(path, "-n", 1)[1].splitlines()) == 1


def test_hex_is_the_bytes_of_each_packet(path):
    _, out, _ = portulan(path, "--hex")
    assert out.splitlines() == [packet.pack().hex() for packet in PACKETS]


def test_tree_shows_every_layer(path):
    _, out, _ = portulan(path, "-v", "-n", 1)
    assert "frame 1, 54 bytes" in out and "    tcp.dport = 80" in out


def test_compressed_capture_on_stdin_is_read(path):
    code, out, _ = portulan("-", "--count", data=lzma.compress(path.read_bytes()))
    assert (code, out) == (0, "3\n")


def test_written_capture_reads_the_same(path, tmp_path):
    code, out, err = portulan(path, "-w", tmp_path / "b.pcap", "-n", 2)
    assert (code, out) == (0, "") and "2 packets" in err
    assert portulan(tmp_path / "b.pcap", "--hex")[1] == portulan(path, "--hex", "-n", 2)[1]


def test_filter_keeps_the_numbers_of_the_file(path):
    _, out, _ = portulan(path, "-f", "udp and not vlan", "--fields", "frame.number,udp.dport")
    assert out == "2\t53\n"


def test_filter_that_cannot_be_read_is_one_line_and_code_2(path):
    code, out, err = portulan(path, "-f", "tcp port")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_torn_capture_is_read_as_far_as_it_goes_with_code_3(path, tmp_path):
    torn = tmp_path / "torn.pcapng"
    torn.write_bytes(path.read_bytes()[:-9])
    code, out, err = portulan(torn)
    assert (code, len(out.splitlines()), err.count("\n")) == (3, 2, 1)


@pytest.mark.parametrize("data", [b"", b"hello, world"], ids=repr)
def test_no_capture_is_one_line_and_code_2(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    code, out, err = portulan(tmp_path / "x")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_two_ways_to_show_are_refused(path):
    assert portulan(path, "--json", "--count")[0] == 2


def test_reader_that_has_enough_ends_it_quietly(path, tmp_path):
    long = tmp_path / "long.pcapng"
    with PcapngWriter(long, link_type=1) as writer:
        writer.write(wire.Frames.of([PACKETS[0].pack()] * 20_000))
    run = subprocess.run(
        f"{sys.executable} -m portulan read {long} | head -n 1", shell=True, capture_output=True,
        check=False, text=True)
    assert (run.stdout.count("\n"), run.stderr) == (1, "")


def test_split_writes_numbered_files(path, tmp_path):
    code, _, err = portulan(path, "--split", "2packets", "-w", tmp_path / "s.pcapng")
    assert (code, err.split()[0]) == (0, "3")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["s-00001.pcapng", "s-00002.pcapng"]


def test_sanitise_with_a_key_gives_the_same_addresses_again(path):
    first, second, other = (
        portulan(path, "--sanitise", "--key", key, "--fields", "ip.src,tcp.dport")[1]
        for key in ("a", "a", "b"))
    assert first == second != other
    assert "10.9.0.1" not in first and "80" in first


def test_fix_checksums_repairs_what_is_written(tmp_path):
    wrong = bytearray(PACKETS[0].pack())
    wrong[24] ^= 1
    with PcapngWriter(tmp_path / "w.pcapng", link_type=1) as writer:
        writer.write(wire.Frames.of([bytes(wrong)]))
    code, out, _ = portulan(tmp_path / "w.pcapng", "--fix-checksums", "--hex")
    assert (code, out.strip()) == (0, PACKETS[0].pack().hex())


@pytest.mark.parametrize(("words", "said"), [
    (["--split", "2packets"], "-w NAME"), (["--split", "2", "-w", "x"], "60s"),
    (["--split", "2s", "-w", "-"], "need a name"), (["--key", "k"], "--sanitise"),
])
def test_options_that_need_each_other_say_so(path, words, said):
    code, _, err = portulan(path, *words)
    assert code == 2 and said in err and err.count("\n") == 1


def test_dump_and_time_are_for_lines_only(path):
    assert portulan(path, "-x", "-t", "utc", "-n", 1)[1].count("\n") == 1 + 4
    for words in (["-x", "--json"], ["--time", "utc", "--count"], ["-x", "--fields", "ip.src"]):
        code, out, err = portulan(path, *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "lines that people read" in err

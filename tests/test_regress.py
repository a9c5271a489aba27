"""Captures that broke tools of this kind, or ours, through every door: kept for ever.

A crash that a fuzz target or a user finds becomes a file in tests/regress, named after what it is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from portulan.cli import main
from portulan.drive.capture import Capture
from portulan.errors import UsageError
from portulan.wire.columns import columns, known_fields, plain, text
from portulan.wire.filter import compile_filter

FILES = sorted((Path(__file__).parent / "regress").iterdir())
NAMES = [name for name in known_fields() if not name.startswith("frame.")]
FILTERS = ("tcp port 80 or vlan and ip6", "not udp", 'dns.qname contains "a"', "ip[8:2] & 3 != 0")
PARTIAL, REFUSED = 3, 2
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What no line to a terminal may hold."""


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def path(request):
    return request.param


def opened(path: Path) -> Capture:
    try:
        return Capture(path)
    except UsageError as error:
        pytest.skip(f"refused in one line: {error.reason}")


def code_of(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def _known(value: object) -> object:
    return None if value is None else plain(value)


def test_lines_trees_objects_and_tables_are_printed(path, capfdbinary):
    for words in (["read"], ["read", "-v"], ["read", "--json"], ["read", "--hex"], ["flows"],
                  ["read", "--fields", "frame.number,ip.src,tcp.dport,dns.qname,frame.defect"]):
        code = code_of([*words, str(path)])
        out, err = (each.decode() for each in capfdbinary.readouterr())
        assert code in (0, PARTIAL, REFUSED), (words, err)
        assert "Traceback" not in err
        assert not CONTROLS.search((out + err).replace("\t", "")), words
        if code:
            assert err.count("\n") <= 2, err
        if "--json" in words:
            assert all(json.loads(line) for line in out.splitlines())


def test_columns_are_what_dissections_tell(path):
    capture = opened(path)
    for batch in capture.batches():
        found = columns(batch.frames, NAMES)
        packets = list(batch.packets())
        for name, column in found.items():
            ours = [text(name, value) for value in column]
            assert ours == [_known(packet.get(name)) for packet in packets], name


def test_mask_and_predicate_agree(path):
    for batch in opened(path).batches():
        for expression in FILTERS:
            try:
                found = compile_filter(expression, batch.frames.link_type)
            except UsageError:
                continue  # no such header on this link type
            lengths = batch.frames.wire_length.tolist()
            one_by_one = [found.match(o, n) for o, n in zip(batch.frames, lengths, strict=True)]
            assert found.mask(batch.frames).tolist() == one_by_one


@pytest.mark.parametrize("made", ["same", "sanitised", "repaired"])
def test_packets_written_are_read_again(path, made, tmp_path):
    capture = opened(path)
    if made == "sanitised":
        capture = capture.sanitise("key")
    elif made == "repaired":
        capture = capture.fix_checksums()
    target = tmp_path / "out.pcapng"
    written = capture.write(target)
    again = Capture(target)
    assert len(again) == written
    assert again.damage is None or not written  # blocks before a damage are copied as they are


@pytest.mark.parametrize("words", [
    {"LC_ALL": "C", "PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii:strict"},
], ids=["cp1252", "ascii"])
def test_names_and_comments_are_printed_in_any_locale(words):
    files = [str(path) for path in FILES if "control-octets" in path.name]
    assert len(files) == 2
    for file in files:
        run = subprocess.run(
            [sys.executable, "-m", "portulan", "read", "-v", file], capture_output=True,
            check=False, env={"PATH": os.environ["PATH"], **words})
        assert (run.returncode, run.stderr) == (0, b"")
        assert b"\x1b" not in run.stdout

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.record import AnyEvent, Port, encode_lines
from portulan.store.disk import DiskError, DiskFile
from portulan.store.journal import (
    CRC_BLOCK_BYTES,
    Journal,
    checks_path,
    decode_lines,
    read_events,
)

from .samples import FailingFile, end_event, hostile_events, open_port, run_event


def kept(path: Path, *batches: list[AnyEvent]) -> bytes:
    with Journal.create(path) as journal:
        return b"".join(journal.append(batch, sync=False) for batch in batches)


def two_batches() -> tuple[list[AnyEvent], list[AnyEvent]]:
    return [run_event(), *map(open_port, range(1, 9))], [*map(open_port, range(9, 13)), end_event()]


def put(path: Path, data: bytes, checks: bytes | None = None) -> Path:
    path.write_bytes(data)
    if checks is None:
        checks_path(path).unlink(missing_ok=True)
    else:
        checks_path(path).write_bytes(checks)
    return path


def test_append_returns_exactly_the_bytes_in_the_file(tmp_path: Path) -> None:
    first, second = two_batches()
    path = tmp_path / "events.jsonl"
    shown = kept(path, first, second)
    assert shown == path.read_bytes() == encode_lines(first + second)
    assert read_events(path) == (first + second, [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_hostile_text_round_trips_on_lines_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    shown = kept(path, hostile_events())
    assert shown.count(b"\n") == len(hostile_events())
    assert min(shown.replace(b"\n", b" ")) >= 0x20
    assert read_events(path) == (hostile_events(), [])


def test_create_refuses_a_file_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"precious\n")
    with pytest.raises(DiskError):
        Journal.create(path)
    assert path.read_bytes() == b"precious\n"


def test_create_through_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError):
        Journal.create(tmp_path / "events.jsonl")
    assert not (tmp_path / "elsewhere").exists()


def test_growing_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with Journal.create(path) as journal:
        for number in range(1, 20):
            journal.append([open_port(number)], sync=False)
            events, damage = read_events(path)
            assert len(events) == number
            assert damage == []


def test_lines_written_before_their_checksum_are_read_without_damage(tmp_path: Path) -> None:
    first, second = two_batches()
    path = tmp_path / "events.jsonl"
    kept(path, first, second)
    checks = checks_path(path).read_bytes()
    checks_path(path).write_bytes(checks[:20])
    assert read_events(path) == (first + second, [])


@pytest.mark.parametrize("with_checks", [True, False])
def test_truncated_at_every_byte_of_the_last_three_records_loses_only_what_is_cut(
    tmp_path: Path, with_checks: bool
) -> None:
    first, second = two_batches()
    every = first + second
    path = tmp_path / "events.jsonl"
    data = kept(path, first, second)
    checks = checks_path(path).read_bytes() if with_checks else None
    start = len(encode_lines(every[:-3]))
    for size in range(start, len(data)):
        put(path, data[:size], checks)
        events, damage = read_events(path)
        assert events == every[: data.count(b"\n", 0, size)]
        assert bool(damage) == with_checks  # the bytes were acknowledged: their loss is told
        with Journal.reopen(path) as journal:
            journal.append([end_event()], sync=False)
        assert read_events(path) == ([*events, end_event()], [])


def test_one_bit_flipped_anywhere_is_reported_and_mended(tmp_path: Path) -> None:
    first, second = two_batches()
    path = tmp_path / "events.jsonl"
    data = kept(path, first, second)
    checks = checks_path(path).read_bytes()
    chance = random.Random(2)
    for _ in range(1000):
        at, bit = chance.randrange(len(data)), chance.randrange(8)
        flipped = bytearray(data)
        flipped[at] ^= 1 << bit
        events, damage = read_events(put(path, bytes(flipped), checks))
        assert events == first + second
        assert [each.offset for each in damage] == [at]
        assert damage[0].line == data.count(b"\n", 0, at) + 1


def test_one_bit_flipped_without_checksums_loses_at_most_that_record(tmp_path: Path) -> None:
    first, second = two_batches()
    every = first + second
    path = tmp_path / "events.jsonl"
    data = kept(path, every)
    chance = random.Random(3)
    for _ in range(1000):
        flipped = bytearray(data)
        at = chance.randrange(len(data))
        flipped[at] ^= 1 << chance.randrange(8)
        events, damage = read_events(put(path, bytes(flipped)))
        # A lost newline joins two lines: the one place where a bit touches two records.
        touched = 2 if data[at : at + 1] == b"\n" else 1
        assert len([event for event in every if event in events]) >= len(every) - touched
        assert len(events) >= len(every) - touched
        if len(events) < len(every) and at < len(data) - 1:
            assert damage


def test_one_bit_flipped_in_the_checksums_changes_nothing(tmp_path: Path) -> None:
    first, second = two_batches()
    path = tmp_path / "events.jsonl"
    data = kept(path, first, second)
    checks = checks_path(path).read_bytes()
    for at in range(len(checks)):
        flipped = bytearray(checks)
        flipped[at] ^= 1 << at % 8
        assert read_events(put(path, data, bytes(flipped))) == (first + second, [])


def test_several_bytes_changed_inside_values_are_reported_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.jsonl"
    data = kept(path, list(map(open_port, range(1, 9))))
    checks = checks_path(path).read_bytes()
    changed = data.replace(b'"port":3,', b'"port":9,').replace(b'"port":5,', b'"port":6,')
    events, damage = read_events(put(path, changed, checks))
    assert len(events) == 8
    assert len(damage) == 1
    assert "were changed" in damage[0].reason


@pytest.mark.parametrize("line", [
    b"", b"nonsense", b"[]", b"null", b'{"type":"port"}', b'{"type":"spell"}', b"\xff\xfe", b"\0",
    b'{"type":"port","addr":1,"port":"x"}', b"[" * 100_000, b'{"type":"note","x":' + b"[" * 100_000,
    b'{"type":"note","addr":"\\ud800","text":""}', b"9" * 100_000,
])
def test_hostile_line_is_reported_and_left_out(tmp_path: Path, line: bytes) -> None:
    good = encode_lines([open_port(1)])
    path = put(tmp_path / "events.jsonl", good + line + b"\n" + good)
    events, damage = read_events(path)
    if line:
        assert [each.line for each in damage] == [2]
        assert damage[0].offset == len(good)
        assert str(damage[0]).startswith("events.jsonl:2 ")
    assert events == [open_port(1)] * 2


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_reported(data: bytes) -> None:
    events, damage = decode_lines(data + b"\n")
    assert len(events) + len(damage) <= data.count(b"\n") + 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, CRC_BLOCK_BYTES * 3 - 1), st.integers(0, 7))
def test_flip_in_a_batch_of_several_blocks_is_mended(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("blocks") / "events.jsonl"
    events: list[AnyEvent] = [open_port(number) for number in range(1, 2001)]
    data = bytearray(kept(path, events))
    assert len(data) > CRC_BLOCK_BYTES * 3
    data[at] ^= 1 << bit
    path.write_bytes(data)
    found, damage = read_events(path)
    assert found == events
    assert [each.offset for each in damage] == [at]


def test_unknown_fields_of_a_newer_version_are_ignored(tmp_path: Path) -> None:
    line = encode_lines([open_port(1)]).replace(b'"port":1', b'"port":1,"mood":"calm"')
    assert read_events(put(tmp_path / "events.jsonl", line)) == ([open_port(1)], [])


@pytest.mark.parametrize("takes", [None, 1, 50])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_every_nth_write_failing_keeps_whole_batches_only(
    tmp_path: Path, code: int, takes: int | None
) -> None:
    """A disk that takes `takes` bytes a call, and fails at call n, for every n there is."""
    batches: list[list[AnyEvent]] = [[open_port(1), open_port(2)], [open_port(3)], [open_port(4)]]
    fails_at = 0
    while True:
        fails_at += 1
        path = tmp_path / f"{fails_at}.jsonl"
        error = OSError(code, os.strerror(code))
        file = FailingFile(path, fails_at=fails_at, error=error, takes=takes)
        journal = Journal(file, DiskFile(checks_path(path), new=True), path=path)
        shown = b""
        failed = 0
        for batch in batches:
            try:
                shown += journal.append(batch)
            except DiskError as caught:
                failed += 1
                assert caught.code == code
                assert "\n" not in str(caught)
                assert str(path) in str(caught)
        journal.close()
        assert path.read_bytes() == shown  # later batches go on after the failed one was cut
        assert read_events(path)[1] == []
        if not failed:
            assert file.count == fails_at - 1
            return
        assert failed == 1


def test_write_and_truncate_failing_ends_the_journal_but_not_its_reading(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    error = OSError(errno.EIO, "gone")
    file = FailingFile(
        path, fails_at=3, error=error, takes=200, calls="write truncate", for_ever=True)
    journal = Journal(file, DiskFile(checks_path(path), new=True), path=path)
    journal.append([open_port(1)])
    with pytest.raises(DiskError):
        journal.append([open_port(2), open_port(3), open_port(4)])
    with pytest.raises(DiskError):
        journal.append([open_port(5)])
    journal.close()
    events, damage = read_events(path)
    assert (events[0], damage) == (open_port(1), [])
    with Journal.reopen(path) as again:
        again.append([open_port(5)])
    assert open_port(5) in read_events(path)[0]


def test_sync_failing_shows_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    file = FailingFile(path, fails_at=1, error=OSError(errno.EIO, "gone"), calls="sync")
    journal = Journal(file, DiskFile(checks_path(path), new=True), path=path)
    with pytest.raises(DiskError):
        journal.append([open_port(1)])
    assert path.read_bytes() == b""
    journal.close()


def test_checksums_failing_does_not_stop_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    checks = FailingFile(
        checks_path(path), fails_at=2, error=OSError(errno.ENOSPC, "full"), takes=7)
    with Journal(DiskFile(path, new=True), checks, path=path) as journal:
        journal.append([open_port(1)])
        journal.append([open_port(2)])
    assert read_events(path) == ([open_port(1), open_port(2)], [])
    assert len(checks_path(path).read_bytes()) == 20


def test_reopen_of_a_missing_journal_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Journal.reopen(tmp_path / "events.jsonl")


def test_reopen_tells_damage_and_goes_on(tmp_path: Path) -> None:
    good = encode_lines([open_port(1)])
    path = put(tmp_path / "events.jsonl", good + b"broken\n" + good + b'{"torn')
    with Journal.reopen(path) as journal:
        assert [each.line for each in journal.damage] == [2]
        assert journal.size == len(good) * 2 + len(b"broken\n")
        journal.append([open_port(3)])
    assert read_events(path)[0] == [open_port(1), open_port(1), open_port(3)]


def test_reopen_of_a_single_torn_line_leaves_an_empty_journal(tmp_path: Path) -> None:
    path = put(tmp_path / "events.jsonl", b"x" * (CRC_BLOCK_BYTES * 2 + 5))
    with Journal.reopen(path) as journal:
        assert journal.size == 0
    assert path.read_bytes() == b""


KILLED = """
import sys
from pathlib import Path
from portulan.record import Port
from portulan.store import Journal
journal = Journal.create(Path(sys.argv[1]))
for number in range(10**9):
    event = Port(addr="10.0.0.1", port=number, protocol="tcp", state="open", reason="syn-ack")
    sys.stdout.buffer.write(journal.append([event] * 3, sync=False))
    sys.stdout.buffer.flush()
"""


def test_sigkilled_writer_has_kept_every_line_it_showed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        shown = process.stdout.read(200_000)
        process.kill()
        shown += process.stdout.read()
    assert path.read_bytes().startswith(shown)
    events, damage = read_events(path)
    assert damage == []
    assert len(events) >= shown.count(b"\n")
    assert isinstance(events[-1], Port)


FULL_DISK = """
import sys
from pathlib import Path
from portulan.record import Port
from portulan.store import DiskError, Journal, ProgressLog, read_events
path = Path(sys.argv[1]) / "events.jsonl"
journal = Journal.create(path)
shown = b""
try:
    for number in range(10**6):
        event = Port(addr="10.0.0.1", port=number, protocol="tcp", state="open", reason="syn-ack")
        shown += journal.append([event] * 50)
except DiskError as error:
    assert str(error).startswith(str(path) + ": disk full"), error
    assert "\\n" not in str(error)
else:
    sys.exit("the disk was never full")
assert path.read_bytes() == shown
events, damage = read_events(path)
assert (len(events), damage) == (shown.count(b"\\n"), [])
print(len(events))
"""


@pytest.mark.live
def test_full_disk_ends_in_one_line_and_a_readable_journal(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to mount a small tmpfs of its own")
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FULL_DISK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "mount:" in done.stderr:
        pytest.skip(f"no tmpfs here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1000

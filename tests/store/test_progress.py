from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from portulan.errors import DamageError, PortulanError, UsageError
from portulan.store.disk import DiskError
from portulan.store.progress import ANSWER_DTYPE, BATCH_LIMIT, Mark, ProgressLog

from .samples import FailingFile

PLAN = b"\x07" * 32


def rows(*indices: int) -> NDArray[Any]:
    array = np.zeros(len(indices), ANSWER_DTYPE)
    array["index"] = indices
    array["rtt_us"] = 90
    return array


def three_batches(path: Path) -> list[int]:
    """Write answers, a mark, answers; return the file's size after each."""
    log = ProgressLog.create(path, PLAN)
    sizes = [path.stat().st_size]
    for step in (
        lambda: log.answers(rows(1, 2)), lambda: log.mark(1, 40, 99), lambda: log.answers(rows(3)),
    ):
        step()
        sizes.append(path.stat().st_size)
    log.flush()
    log.close()
    return sizes


def test_answer_is_16_packed_bytes() -> None:
    assert ANSWER_DTYPE.itemsize == 16


def test_log_is_read_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "progress.bin"
    three_batches(path)
    answers, mark = ProgressLog.load(path, PLAN)
    assert answers.tolist() == rows(1, 2, 3).tolist()
    assert mark == Mark(1, 40, 99)
    assert path.stat().st_mode & 0o777 == 0o600


def test_new_log_holds_nothing(tmp_path: Path) -> None:
    ProgressLog.create(tmp_path / "p", PLAN).close()
    answers, mark = ProgressLog.load(tmp_path / "p", PLAN)
    assert (len(answers), mark) == (0, None)


def test_torn_at_every_byte_keeps_the_whole_batches_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "progress.bin"
    sizes = three_batches(path)
    data = path.read_bytes()
    for size in range(sizes[0], len(data) + 1):
        path.write_bytes(data[:size])
        answers, mark = ProgressLog.load(path, PLAN)
        whole = sum(size >= each for each in sizes) - 1
        assert answers["index"].tolist() == [[], [1, 2], [1, 2], [1, 2, 3]][whole]
        assert (mark is not None) == (whole >= 2)
        with ProgressLog.reopen(path, PLAN) as log:
            log.answers(rows(77))
        assert ProgressLog.load(path, PLAN)[0]["index"].tolist() == [*answers["index"], 77]


def test_one_bit_flipped_anywhere_loses_only_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "progress.bin"
    sizes = three_batches(path)
    data = path.read_bytes()
    for at in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            if at < sizes[0]:
                with pytest.raises((DamageError, UsageError)):
                    ProgressLog.load(path, PLAN)
                continue
            answers, _ = ProgressLog.load(path, PLAN)
            sound = answers["index"].tolist()
            # The three padding bytes of a batch's header carry nothing and are not checked.
            assert sound == [1, 2, 3][: len(sound)]
            assert at >= sizes[1] or not sound or sound == [1, 2, 3]


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "p"
    ProgressLog.create(path, PLAN).close()
    header = path.read_bytes()
    path.write_bytes(header + data)
    ProgressLog.load(path, PLAN)
    path.write_bytes(data)
    with pytest.raises(PortulanError):
        ProgressLog.load(path, PLAN)


def test_log_of_another_plan_is_refused(tmp_path: Path) -> None:
    three_batches(tmp_path / "p")
    with pytest.raises(UsageError, match="another plan"):
        ProgressLog.load(tmp_path / "p", b"other")
    with pytest.raises(UsageError, match="another plan"):
        ProgressLog.reopen(tmp_path / "p", b"other")


def test_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    three_batches(tmp_path / "p")
    data = bytearray((tmp_path / "p").read_bytes())
    data[8] = 9
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(UsageError, match="version 9"):
        ProgressLog.load(tmp_path / "p", PLAN)


def test_missing_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="no such file"):
        ProgressLog.load(tmp_path / "p", PLAN)


def test_fingerprint_that_is_a_whole_plan_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="digest"):
        ProgressLog.create(tmp_path / "p", bytes(2000))


def test_more_answers_than_a_batch_holds_are_all_kept(tmp_path: Path) -> None:
    many = np.zeros(BATCH_LIMIT + 3, ANSWER_DTYPE)
    many["index"] = np.arange(len(many))
    with ProgressLog.create(tmp_path / "p", PLAN) as log:
        log.answers(many)
        log.answers(many[:0])
    assert np.array_equal(ProgressLog.load(tmp_path / "p", PLAN)[0], many)


@pytest.mark.parametrize("fails_at", range(1, 8))
def test_nth_write_failing_keeps_the_whole_batches(tmp_path: Path, fails_at: int) -> None:
    path = tmp_path / "p"
    ProgressLog.create(path, PLAN).close()
    header = path.read_bytes()
    path.unlink()
    file = FailingFile(
        path, fails_at=fails_at, error=OSError(errno.ENOSPC, "full"), takes=40)
    file._file.write(header)
    log = ProgressLog(file, path=path, size=len(header))
    kept = []
    for index in range(4):
        try:
            log.answers(rows(index, index))
        except DiskError:
            continue
        kept += [index, index]
    log.close()
    assert ProgressLog.load(path, PLAN)[0]["index"].tolist() == kept
    assert len(kept) == 6

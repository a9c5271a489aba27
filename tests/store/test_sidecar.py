from __future__ import annotations

import os

import numpy as np
import pytest

from portulan.store import sidecar as module
from portulan.store.disk import DiskError
from portulan.store.sidecar import Sidecar, sidecar_path, write_sidecar

TABLE = {
    "n": np.array([1, -1, 300], np.int64), "big": np.array([1 << 40, 0, -1]),
    "t": np.array(["a", None, "a\x1b\udc80"], object), "none": np.full(3, None, object)}


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(os.urandom(300_000))
    return path


@pytest.fixture
def kept(capture):
    write_sidecar(capture, {"things": TABLE}, version="1", damage=None)
    return capture


def read(capture, *names, version="1"):
    index = Sidecar.open(capture, version)
    found = None if index is None else index.columns("things", names or TABLE)
    return found and {name: values.tolist() for name, values in found.items()}


def test_columns_come_back_as_they_were(kept):
    assert read(kept) == {name: values.tolist() for name, values in TABLE.items()}
    assert list(read(kept, "t")) == ["t"]
    assert Sidecar.open(kept, "1").columns("things", ["n"])["n"].dtype == np.int16


def test_table_without_rows_comes_back(capture):
    write_sidecar(capture, {"things": {name: values[:0] for name, values in TABLE.items()}},
                  version="1", damage="cut")
    assert read(capture) == {name: [] for name in TABLE}
    assert Sidecar.open(capture, "1").damage == "cut"


@pytest.mark.parametrize("change", [
    lambda path: path.write_bytes(path.read_bytes() + b"x"),
    lambda path: os.utime(path, ns=(0, 0)), lambda path: path.write_bytes(b""),
    lambda path: sidecar_path(path).unlink(), lambda path: path.unlink()])
def test_index_of_another_capture_is_not_used(kept, change):
    change(kept)
    assert read(kept) is None


def test_same_size_and_time_but_other_octets_is_another_capture(kept):
    times = (kept.stat().st_atime_ns, kept.stat().st_mtime_ns)
    octets = bytearray(kept.read_bytes())
    octets[-1] ^= 1
    kept.write_bytes(octets)
    os.utime(kept, ns=times)
    assert read(kept) is None


def test_index_of_another_version_is_not_used(kept):
    assert read(kept, version="2") is None


def test_names_that_are_not_there_are_none(kept):
    index = Sidecar.open(kept, "1")
    assert index.columns("others", ["n"]) is None
    assert index.columns("things", ["x"]) is None


def test_flipped_or_cut_index_never_lies(kept):
    path = sidecar_path(kept)
    octets = path.read_bytes()
    whole = read(kept)
    for at in range(len(octets)):
        for bad in (octets[:at] + bytes([octets[at] ^ 8]) + octets[at + 1 :], octets[:at]):
            path.write_bytes(bad)
            assert read(kept) in (None, whole), at


def test_header_that_lies_with_a_right_checksum_is_refused(kept, monkeypatch):
    monkeypatch.setattr(module, "zlib", type("Fake", (), {"crc32": staticmethod(lambda x: 0)}))
    for told in ('{}', '[]', '{"key":1,"version":"1"}', "1", "nope", '"' * 9):
        text = told.encode()
        sidecar_path(kept).write_bytes(module.MAGIC + len(text).to_bytes(4) + bytes(4) + text)
        assert read(kept) is None


def test_huge_header_is_not_read(kept):
    sidecar_path(kept).write_bytes(module.MAGIC + b"\xff" * 8)
    assert read(kept) is None


def test_folder_that_takes_no_file_is_one_line(capture, monkeypatch):
    monkeypatch.setattr(module, "sidecar_path", lambda path: capture / "x" / "y")
    with pytest.raises(DiskError):
        write_sidecar(capture, {}, version="1", damage=None)

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from portulan.errors import UsageError
from portulan.link import capture_source
from portulan.link.capture_source import Window


def drained(window: Window) -> bytes:
    out = b""
    while len(window) or window.more():
        out += window.view.tobytes()
        window.skip(len(window))
    return out


DATA = os.urandom(50_000) * 3


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_data_plain_or_compressed_comes_out_whole(pack, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(pack(DATA))
    window = Window(path)
    assert drained(window) == DATA and not window.fault
    window.close()
    window.close()
    assert drained(Window(io.BytesIO(pack(DATA)))) == DATA


def test_gzip_of_several_members_comes_out_whole():
    both = gzip.compress(b"one") + gzip.compress(b"two")
    assert drained(Window(io.BytesIO(both))) == b"onetwo"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_data_cut_gives_what_was_there_and_a_fault(pack):
    packed = pack(DATA)
    window = Window(io.BytesIO(packed[: len(packed) // 2]))
    out = drained(window)
    assert DATA.startswith(out) and len(out) > 10_000
    assert window.fault


def test_gzip_with_a_wrong_checksum_gives_the_data_and_a_fault():
    packed = bytearray(gzip.compress(DATA))
    packed[-8] ^= 1
    window = Window(io.BytesIO(bytes(packed)))
    assert drained(window) == DATA and "CRC" in window.fault


def test_two_hundred_mib_of_packed_zeros_stay_a_window_in_memory():
    packer = lzma.LZMACompressor(preset=0)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    window, total = Window(io.BytesIO(packed)), 0
    while window.more():
        total += len(window)
        assert len(window.buffer) <= 2 * capture_source.WINDOW_BYTES
        window.skip(len(window))
    assert total == 200 << 20


def test_pipe_with_a_little_data_gives_it_at_once():
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as reader, open(write_end, "wb", buffering=0) as writer:
        writer.write(b"sixsix")
        window = Window(reader)
        assert window.more() and window.view.tobytes() == b"sixsix"
        late = threading.Thread(target=writer.write, args=(b"later",))
        late.start()
        assert window.reach(11) and window.view.tobytes() == b"sixsixlater"
        late.join()


def test_file_object_with_nothing_but_read_will_do():
    class Bare:
        def __init__(self):
            self.file = io.BytesIO(DATA)

        def read(self, size):
            return self.file.read(size)

    assert drained(Window(Bare())) == DATA


def test_views_given_out_stay_as_they_were():
    window = Window(io.BytesIO(bytes(3 << 20) + b"\1" * (9 << 20)))
    window.more()
    seen, copy = window.view, window.view.tobytes()
    window.skip(len(window) - 7)
    while window.more():
        window.skip(len(window) - 7)
    assert seen.tobytes() == copy


def test_disk_error_in_the_middle_is_a_fault_not_an_exception():
    class Broken(io.BytesIO):
        def readinto1(self, buffer):
            if self.tell() > 50_000:
                raise OSError(5, "Input/output error")
            return super().readinto1(memoryview(buffer)[:30_000])

    window = Window(Broken(DATA))
    assert DATA.startswith(drained(window)) and "Input/output" in window.fault


@pytest.mark.parametrize(
    ("name", "reason"), [("absent", "No such file"), (".", "Is a directory"), ("a\0b", "null")]
)
def test_path_that_cannot_be_read_is_one_line(tmp_path, name, reason):
    with pytest.raises(UsageError, match=reason) as caught:
        Window(os.path.join(tmp_path, name))
    assert "\n" not in str(caught.value)


def test_zstd_without_a_module_says_so_and_what_to_do(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(capture_source, "import_module", missing)
    with pytest.raises(UsageError, match=r"zstd.*portulan\[zstd\].*zstd -d"):
        Window(io.BytesIO(ZSTD))


ZSTD = bytes.fromhex("28b52ffd0458790000") + bytes(30)
"""The head of a frame, and no more that makes sense."""


def zstd_module():
    return pytest.importorskip(
        "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def test_zstd_is_read_and_its_damage_is_a_fault():
    zstd = zstd_module()
    data = np.random.default_rng(1).bytes(300_000)
    packed = zstd.compress(data)
    window = Window(io.BytesIO(packed))
    assert window.reach(len(data)) and window.view.tobytes() == data
    assert not window.more() and not window.fault
    for damaged in (packed[:-9], ZSTD):
        window = Window(io.BytesIO(damaged))
        while window.more():
            pass
        assert window.fault and data.startswith(window.view[:100].tobytes())


def test_zstd_made_by_its_own_tool_is_read(tmp_path):
    zstd_module()
    if not shutil.which("zstd"):
        pytest.skip("zstd is not installed")
    (tmp_path / "a").write_bytes(b"ahoy" * 10_000)
    subprocess.run(["zstd", "-q", "a"], cwd=tmp_path, check=True)
    window = Window(tmp_path / "a.zst")
    assert window.reach(40_000) and window.view.tobytes() == b"ahoy" * 10_000
    window.close()



def test_unknown_compression_is_left_as_it_is():
    packed = bz2.compress(b"x")
    assert drained(Window(io.BytesIO(packed))) == packed

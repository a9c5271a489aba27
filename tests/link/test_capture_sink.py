import errno
import io
import os
import subprocess

import pytest

from portulan.link.capture_sink import CaptureSink
from portulan.link.pcapng import PcapngReader, PcapngWriter
from portulan.wire.frames import Frames


class Failing(io.BytesIO):
    """A file whose N-th write takes half of its bytes, and the next one fails."""

    def __init__(self, good: int, number: int) -> None:
        super().__init__()
        self.good, self.number = good, number

    def write(self, data):
        self.good -= 1
        if self.good == 0:
            return super().write(bytes(data)[: len(data) // 2])
        if self.good < 0:
            self.good = 1 << 30
            raise OSError(self.number, os.strerror(self.number))
        return super().write(data)


def test_write_failing_half_way_is_taken_back():
    file = Failing(2, errno.ENOSPC)
    sink = CaptureSink(file)
    sink.append(b"whole")
    with pytest.raises(OSError, match="No space"):
        sink.append(b"torn block")
    assert file.getvalue() == b"whole" and sink.size == 5
    sink.append(b" more")
    assert file.getvalue() == b"whole more"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("good", range(1, 7))
def test_capture_whose_nth_write_fails_stays_readable_and_goes_on(good, number):
    file = Failing(good, number)
    failures, written, writer = 0, [], None
    for text in [None, b"a", b"bb", b"ccc", b"dddd"]:
        try:
            if writer is None:
                writer = PcapngWriter(file, link_type=1)
            if text is not None:
                assert writer.write(Frames.of([text, text])) == 2 * len(written) + 1
                written.append(text)
        except OSError as error:
            assert error.errno == number
            failures += 1
    assert failures == 1
    reader = PcapngReader(io.BytesIO(file.getvalue()))
    if writer is not None and reader.interfaces:
        assert [frame for batch in reader for frame in batch] == [t for t in written for _ in "12"]
        assert reader.damage is None


def test_device_full_is_an_os_error_at_the_write():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space"):
        PcapngWriter(full, link_type=1)


def test_pipe_torn_within_a_block_takes_no_more():
    class Pipe(Failing):
        def seekable(self):
            return False

    sink = CaptureSink(Pipe(1, errno.EPIPE))
    with pytest.raises(BrokenPipeError):
        sink.append(b"block")
    with pytest.raises(OSError, match="torn"):
        sink.append(b"block")


def test_file_that_takes_nothing_is_not_retried_for_ever():
    class Stuck(io.BytesIO):
        def write(self, data):
            return 0

    with pytest.raises(OSError, match="no more bytes"):
        CaptureSink(Stuck()).append(b"x")


def test_bytes_appended_are_there_before_any_flush(tmp_path):
    path = tmp_path / "file"
    sink = CaptureSink(path)
    sink.append(b"seen")
    assert path.read_bytes() == b"seen"
    sink.sync()
    sink.close()
    sink.close()


def test_buffered_file_given_is_written_through_and_left_open(tmp_path):
    path = tmp_path / "file"
    with open(path, "wb") as file:
        file.write(b"head ")
        sink = CaptureSink(file)
        sink.append(b"seen")
        assert path.read_bytes() == b"head seen"
        sink.sync()
        sink.close()
        assert not file.closed


def test_sink_in_memory_syncs_without_a_disk():
    CaptureSink(io.BytesIO()).sync()


def test_pipe_syncs_without_a_disk():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        sink = CaptureSink(process.stdin)
        sink.append(b"through")
        sink.sync()
        assert process.communicate()[0] == b"through"

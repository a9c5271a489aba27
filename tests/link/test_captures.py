import gzip
import io
import lzma
import sys

import pytest

from portulan.errors import UsageError
from portulan.link.captures import Capture, open_capture
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng import PcapngWriter
from portulan.wire.frames import Frames

PARTS = [b"one", b"two", b""]


def made(kind: str) -> bytes:
    file = io.BytesIO()
    writer = {"pcap": PcapWriter, "pcapng": PcapngWriter}[kind](file, link_type=1)
    writer.write(Frames.of(PARTS, [1, 2, 3]))
    return file.getvalue()


def frames_of(capture: Capture) -> list[bytes]:
    return [frame for batch in capture.frames() for frame in batch]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_capture_named_wrongly_is_opened_by_its_content(tmp_path, kind, pack):
    path = tmp_path / "notes.txt"
    path.write_bytes(pack(made(kind)))
    with open_capture(path) as capture:
        assert (capture.format, capture.link_type, capture.packets) == (kind, 1, 0)
        assert frames_of(capture) == PARTS
        assert (capture.packets, capture.damage) == (3, None)


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_gzip_cut_gives_the_packets_before_and_says_so(kind):
    packed = gzip.compress(made(kind))
    capture = open_capture(io.BytesIO(packed[:-9]))
    assert frames_of(capture) == PARTS[: capture.packets]
    assert "end-of-stream" in capture.damage


def test_dash_is_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made("pcap"))))
    assert frames_of(open_capture("-")) == PARTS


@pytest.mark.parametrize(
    # mtime=0: the bytes name the test, and every worker of a run must name it alike.
    "data",
    [b"", b"\n", b"\n\r\r\n", b"\n\r\r\n but text", b"#!/bin/sh", gzip.compress(b"", mtime=0)],
)
def test_anything_else_is_not_a_capture(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    try:
        capture = open_capture(path)
    except UsageError as error:
        assert "not a capture" in str(error) and str(path) in str(error)
    else:
        assert data == b"\n\r\r\n" and "cut" in capture.damage
        capture.close()

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import PortulanError
from portulan.link import netlink
from portulan.link.netlink import (
    RTM_GETLINK,
    RTM_GETROUTE,
    Rtnetlink,
    address_text,
    attribute,
    attributes,
    number,
    text,
)


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=12))
def test_attributes_written_read_back_equal(given_attributes: dict[int, bytes]) -> None:
    data = b"".join(attribute(kind, value) for kind, value in given_attributes.items())
    assert len(data) % 4 == 0
    assert attributes(data) == given_attributes


@given(st.binary(max_size=200), st.integers(0, 220))
def test_attributes_of_any_bytes_end_without_error(data: bytes, at: int) -> None:
    found = attributes(data, at)
    assert sum(len(value) for value in found.values()) <= len(data)


def test_attributes_with_flag_bits_keep_their_type() -> None:
    assert attributes(struct.pack("=HHI", 8, 0x8000 | 5, 7)) == {5: struct.pack("=I", 7)}


def test_attributes_of_zero_length_end_the_walk() -> None:
    assert attributes(struct.pack("=HH", 0, 1) * 4) == {}


def test_number_is_in_host_order() -> None:
    assert number(struct.pack("=I", 70_000)) == 70_000
    assert number(struct.pack("=H", 7)) == 7
    assert number(None) == 0


def test_text_ends_at_its_nul_and_survives_other_bytes() -> None:
    assert text(b"eth0\0junk") == "eth0"
    assert text(b"\xff0\0") == "\\xff0"
    assert text(None) == ""


@given(st.integers(0, 2**128 - 1))
def test_address_text_is_what_inet_pton_reads(value: int) -> None:
    assert socket.inet_pton(socket.AF_INET6, address_text(value, 6)) == value.to_bytes(16, "big")
    short = value >> 96
    assert socket.inet_pton(socket.AF_INET, address_text(short, 4)) == short.to_bytes(4, "big")


def test_dump_of_one_family_holds_only_that_family() -> None:
    with Rtnetlink() as kernel:
        found = kernel.dump(RTM_GETROUTE, 4)
    assert found
    assert {answer.header[0] for answer in found} == {int(socket.AF_INET)}


def test_dump_refused_by_the_kernel_raises_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(netlink.HEADER_BYTES, 9999, 4)
    with Rtnetlink() as kernel, pytest.raises(PortulanError, match="not supported"):
        kernel.dump(9999)


def test_ask_refused_by_the_kernel_is_an_errno() -> None:
    with Rtnetlink() as kernel:
        assert kernel.ask(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 2**30, 0, 0)) == 19  # ENODEV


def test_netlink_without_a_socket_raises_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(netlink.socket, "socket", refuse)
    with pytest.raises(PortulanError, match=r"netlink.*not permitted"):
        Rtnetlink()


class Script:
    """A socket that plays back datagrams."""

    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = list(datagrams)
        self.requests = 0

    def send(self, data: bytes) -> int:
        self.requests += 1
        return len(data)

    def recv(self, _: int) -> bytes:
        return self.datagrams.pop(0)


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def test_dump_interrupted_is_asked_again() -> None:
    row, done = message(24, bytes([2]).ljust(12, b"\0")), message(3, bytes(4))
    broken = message(24, bytes([2]).ljust(12, b"\0"), netlink.NLM_F_DUMP_INTERRUPTED)
    script = Script(broken + row + done, row + done)
    kernel = Rtnetlink.__new__(Rtnetlink)
    kernel._socket = script
    assert len(kernel.dump(RTM_GETROUTE, 4)) == 1
    assert script.requests == 2


def test_dump_interrupted_for_ever_ends_with_what_there_is() -> None:
    broken = message(24, bytes([2]).ljust(12, b"\0"), netlink.NLM_F_DUMP_INTERRUPTED)
    script = Script(*[broken + message(3, bytes(4))] * 99)
    kernel = Rtnetlink.__new__(Rtnetlink)
    kernel._socket = script
    assert len(kernel.dump(RTM_GETROUTE, 4)) == 1
    assert script.requests == netlink.DUMP_TRIES

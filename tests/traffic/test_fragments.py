from __future__ import annotations

import pytest

from portulan import wire
from portulan.traffic import fragments as module
from portulan.traffic.flows import FlowTable

SECOND = 1_000_000_000


def raw4(ident, offset, more, payload):
    """Return a fragment, by RFC 791's layout."""
    head = bytearray(wire.IPv4(src="10.9.0.1", dst="10.9.0.2", protocol=17).pack())
    head[2:4] = (20 + len(payload)).to_bytes(2)
    head[4:6] = ident.to_bytes(2)
    head[6:8] = (offset // 8 | more << 13).to_bytes(2)
    return bytes(head) + payload


def raw6(ident, offset, more, payload):
    """Return a fragment, by RFC 8200's layout."""
    inner = bytes([17, 0]) + (offset | more).to_bytes(2) + ident.to_bytes(4) + payload
    head = bytearray(wire.IPv6(src="fd00::1", dst="fd00::2").pack())
    head[4:6], head[6] = len(inner).to_bytes(2), 44
    return bytes(head) + inner


UDP = bytes.fromhex("0009 0035 0408 0000") + bytes(1016)


def flows(packets, times=None, cut=None):
    table = FlowTable()
    times = times or [0] * len(packets)
    for each in ([slice(None)] if cut is None else [slice(0, cut), slice(cut, None)]):
        table.add(wire.Frames.of(packets[each], times[each], link_type=101))
    return [(flow.sport, flow.dport, flow.packets_fwd, flow.packets_rev) for flow in table.flows()]


@pytest.mark.parametrize("raw", [raw4, raw6])
@pytest.mark.parametrize("cut", [None, 1, 2])
def test_later_fragments_join_the_flow_of_their_first(raw, cut):
    packets = [raw(7, 0, True, UDP), raw(7, 1024, True, bytes(800)), raw(7, 1824, False, bytes(9))]
    assert flows(packets, cut=cut) == [(9, 53, 3, 0)]


def test_other_identification_does_not_join():
    packets = [raw4(7, 0, True, UDP), raw4(8, 1024, False, bytes(80))]
    assert flows(packets) == [(9, 53, 1, 0), (0, 0, 1, 0)]


def test_later_fragment_before_its_first_has_no_ports():
    packets = [raw4(7, 1024, False, bytes(80)), raw4(7, 0, True, UDP)]
    assert flows(packets) == [(0, 0, 1, 0), (9, 53, 1, 0)]


def test_fragment_a_minute_later_does_not_join():
    packets = [raw4(7, 0, True, UDP), raw4(7, 1024, False, bytes(80))]
    assert flows(packets, [0, 61 * SECOND]) == [(9, 53, 1, 0), (0, 0, 1, 0)]


def test_flood_of_first_fragments_is_forgotten(monkeypatch):
    monkeypatch.setattr(module, "OPEN_MAX", 3)
    packets = [raw4(ident, 0, True, UDP) for ident in range(5)]
    packets += [raw4(0, 1024, False, bytes(8)), raw4(4, 1024, False, bytes(8))]
    assert flows(packets) == [(9, 53, 6, 0), (0, 0, 1, 0)]


@pytest.mark.parametrize("size", range(0, 48))
def test_cut_fragment_does_no_harm(size):
    assert len(flows([raw6(7, 0, True, UDP)[:size], raw4(7, 8, True, b"")[:size]])) <= 2

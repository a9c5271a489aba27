from __future__ import annotations

import pytest

import portulan
from portulan.api.explaining import EACH_MAX, Wanted, rungs_of
from portulan.errors import UsageError
from portulan.link.pcapng_writer import PcapngWriter
from portulan.record import Host, Port, encode_lines
from portulan.wire.frames import Frames, LinkType
from tests.render.exchanges import THEM, tcp_pair


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a-chart"
    path.mkdir()
    events = [Host(addr=THEM, state="up", reason="reset"),
              Port(addr=THEM, port=80, protocol="tcp", state="open", reason="syn-ack",
                   frames=[1, 2])]
    events += [Port(addr=THEM, port=53, protocol=protocol, state="closed", reason="reset")
               for protocol in ("tcp", "udp")]
    (path / "events.jsonl").write_bytes(encode_lines(events))
    with PcapngWriter(path / "evidence.pcapng", link_type=LinkType.RAW) as writer:
        for rung in tcp_pair():
            writer.write(Frames.of([rung.octets], link_type=LinkType.RAW, time_ns=rung.time_ns))
    return path


def test_port_is_explained_by_its_packets(folder):
    (found,) = portulan.explain(folder, THEM, 80)
    assert found.proven and len(found.seen) == 2
    assert "SYN ACK" in str(found)


def test_host_comes_with_each_of_its_ports(folder):
    found = portulan.explain(folder, THEM)
    assert [(one.port, one.protocol) for one in found] == [
        (None, ""), (53, "tcp"), (80, "tcp"), (53, "udp")]


@pytest.mark.parametrize(("port", "protocols"), [
    (53, ["tcp", "udp"]), ("53", ["tcp", "udp"]), ("U:53", ["udp"]), ("53/udp", ["udp"]),
])
def test_port_is_given_as_people_write_it(folder, port, protocols):
    assert [one.protocol for one in portulan.explain(folder, THEM, port)] == protocols


@pytest.mark.parametrize("port", ["", "x", "70000", "Q:1", "1/xyz", "U:1/udp", 81])
def test_what_is_no_port_of_the_chart_is_refused(folder, port):
    with pytest.raises(UsageError):
        portulan.explain(folder, THEM, port)


def test_only_wanted_packets_are_read_and_missing_ones_left_out(folder):
    assert set(rungs_of(folder / "evidence.pcapng", [[2, 9]])) == {2}
    assert rungs_of(folder / "none", [[1]]) == {}


def test_many_ports_alike_are_grouped_unless_each_is_wanted(folder):
    with (folder / "events.jsonl").open("ab") as file:
        file.write(encode_lines([
            Port(addr=THEM, port=number, protocol="tcp", state="closed", reason="reset")
            for number in range(100, 100 + EACH_MAX)]))
    wanted = Wanted.of(portulan.open_chart(folder), THEM, None)
    assert wanted.grouped
    assert len(wanted.explained()) < len(wanted.explained(each=True))

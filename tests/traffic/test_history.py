from __future__ import annotations

import pytest

from portulan import wire
from portulan.traffic.flows import FlowTable
from portulan.traffic.quality import Quality

FLAGS = {"s": 2, "h": 18, "a": 16, "d": 24, "f": 17, "r": 4, "i": 5, "q": 3, "w": 16}


def flow(history):
    """Return the flow of packets that are one letter each; capitals are the first sender's."""
    packets, at = [], {False: 100, True: 100}
    for letter in history:
        rev = letter.islower()
        ends = ("10.9.0.1", "10.9.0.2")[:: -1 if rev else 1]
        size = 5 if letter in "dD" else 0
        kind = letter.lower()
        tcp = wire.TCP(sport=(9, 80)[rev], dport=(80, 9)[rev], seq=at[rev], flags=FLAGS[kind],
                       ack=at[not rev], window=0 if kind == "w" else 9)
        packet = wire.IPv4(src=ends[0], dst=ends[1]) / tcp
        packets.append((packet / bytes(size) if size else packet).pack())
        at[rev] += size + (kind in "shf")
    table = FlowTable([Quality()])
    table.add(wire.Frames.of(packets, link_type=101))
    (found,) = table.flows()
    return found


@pytest.mark.parametrize(("history", "state"), [
    ("S", "S0"), ("SS", "S0"), ("Sr", "REJ"), ("Sh", "S1"), ("ShA", "S1"), ("ShADadFAfA", "SF"),
    ("ShADF", "S2"), ("ShADf", "S3"), ("ShADR", "RSTO"), ("ShADr", "RSTR"), ("SR", "RSTOS0"),
    ("SF", "SH"), ("Hr", "RSTR"), ("Hd", "OTH"), ("DadA", "OTH"), ("Dr", "RSTRH"),
    ("ShADFfR", "SF"), ("ShADFR", "RSTO"), ("ShArR", "RSTR"), ("ShARr", "RSTO"), ("A", "OTH"),
])
def test_what_happened_has_its_state(history, state):
    assert flow(history).state == state


@pytest.mark.parametrize(("packets", "history"), [
    ("SSShhAADDdd", "ShADd"), ("ShAWwI", "ShAWawI"), ("SQ", "SQ"), ("ShADaFfA", "ShADaFf")])
def test_first_times_are_told_in_order(packets, history):
    assert flow(packets).history.replace("T", "") == history


def test_icmp_has_neither():
    table = FlowTable([Quality()])
    table.add(wire.Frames.of([(wire.IPv4() / wire.ICMP()).pack()], link_type=101))
    (found,) = table.flows()
    assert (found.state, found.history) == (None, None)

"""Scans of the same lab say the same: whatever the seed, and in one piece or in four."""

from __future__ import annotations

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import ROUTER_6, in_family, scan, truth

pytestmark = pytest.mark.live
FAST = ["--max-rate", "100000"]


def said(found):
    """What a scan says of ports and hosts, without times, tries and frames."""
    ports = {(e["addr"], e["protocol"], e["port"]): (e["state"], e["reason"])
             for e in found.of("port")}
    assert len(ports) == len(found.of("port"))
    return ports


@pytest.mark.parametrize("family", [4, 6])
def test_two_scans_of_the_same_lab_agree(make_lab, tmp_path, family):  # noqa: F811
    lab = make_lab(in_family("router", family, tmp_path))
    words = ["-sS", *FAST, *(ROUTER_6 if family == 6 else [])]
    one, two = (scan(lab, *words, "--seed", seed) for seed in ("1", "2"))
    assert said(one) == said(two)
    assert one.up == two.up
    assert len(said(one)) == len(truth(lab))


def test_two_scans_of_tcp_and_udp_with_different_rights_agree_on_what_is_open(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    targets = "10.77.0.10 10.77.0.12 10.77.0.16 fd77::16"
    ports = ["-p", "T:7,22,53,80,443,U:7,53"]
    by_packets, by_sockets = (scan(lab, method, *ports, targets=targets)
                              for method in ("-sSU", "-sTU"))
    states = [{key: state for key, (state, _) in said(each).items()}
              for each in (by_packets, by_sockets)]
    assert states[0] == states[1]
    assert len(states[0]) == 4 * 7


def test_four_shards_say_together_what_one_scan_says_and_nothing_twice(make_lab):  # noqa: F811
    lab = make_lab("router")
    # Whether a host is up is asked by each shard for itself, its ports are not.
    words = ["-sSU", "-p", "T:1-200,U:9,53", "--seed", "5", *FAST]
    targets = "10.82.0.1 10.82.0.2 10.82.1.2"
    whole = said(scan(lab, *words, targets=targets))
    parts = [said(scan(lab, *words, "--shard", f"{n}/4", targets=targets)) for n in range(1, 5)]
    together = {key: state for part in parts for key, state in part.items()}
    assert sum(map(len, parts)) == len(together)
    assert together == whole
    assert len(whole) == 3 * 202

from __future__ import annotations

import json

import pytest

from portulan.drive.plan import take_aim
from portulan.drive.rehearsal import probe_lines
from portulan.drive.request import Request


def lines(**words):
    request = Request(targets=[("10.0.0.0/24", "target"), ("fd00::/126", "target")], **words)
    text = b"".join(probe_lines(take_aim(request, lambda name: [])))
    return [json.loads(line) for line in text.splitlines()]


def test_every_probe_is_told_once():
    found = lines(ports="1-100", seed=3)
    assert len(found) == 260 * 100
    assert len({(one["addr"], one["port"]) for one in found}) == len(found)
    assert {one["type"] for one in found} == {"probe"}
    assert {one["protocol"] for one in found} == {"tcp"}


@pytest.mark.parametrize("count", [2, 5])
def test_shards_share_the_probes_out(count):
    parts = [lines(ports="1-9", seed=3, shard=f"{n}/{count}") for n in range(1, count + 1)]
    told = [(one["addr"], one["port"]) for part in parts for one in part]
    assert sorted(told) == sorted((one["addr"], one["port"]) for one in lines(ports="1-9", seed=3))

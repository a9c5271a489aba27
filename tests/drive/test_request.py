from __future__ import annotations

import msgspec

from portulan.drive.request import Request


def test_request_survives_being_kept():
    request = Request(
        targets=[("10.0.0.1", "hosts.txt:3")], exclude=[("10.0.0.9", "--exclude")], ports="1-5",
        method="syn", discover=False, max_rate=0.0, retries=0, seed=2**63 - 1, shard="2/3",
        every_state=True, scope="allow 10.0.0.0/8\n", scope_where="s.txt", confirmed=True,
        contact="x", argv=["portulan"], interface="eth0", family=4, timing=1, top_ports=7)
    kept = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(request)))
    assert msgspec.convert(kept, Request) == request


def test_what_is_left_out_is_not_kept():
    assert msgspec.to_builtins(Request(targets=[("a", "target")])) == {
        "targets": [("a", "target")]}

"""`portulan discover` inside of labs, with names of the lab's own server, and without rights."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import PORTULAN, UNPRIVILEGED

pytestmark = pytest.mark.live
ALIVE = {f"10.77.0.{number}" for number in (10, 11, 12, 13, 14, 15, 16)}


def discover(lab, *words, prefix=()):
    process = lab.exec(
        lab.scenario.scanner, [*prefix, *PORTULAN, "discover", *words], stdin=subprocess.DEVNULL,
        stdout=-1, stderr=-1, text=True)
    with process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out, err


def test_hosts_are_found_with_macs_and_names_of_the_given_server(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    out, _ = discover(lab, "10.77.0.8/29", "10.77.0.16/30", "--json",
                      "--dns-server", "10.77.0.12")
    events = [json.loads(line) for line in out.splitlines()]
    up = {e["addr"]: e for e in events if e["type"] == "host" and e["state"] == "up"}
    assert set(up) == ALIVE
    assert up["10.77.0.10"]["names"] == ["web.lab"]
    assert {e["addr"] for e in events if e["type"] == "host" and e.get("mac")} == ALIVE
    assert events[-1]["type"] == "end"


def test_people_get_a_table_within_80_columns_and_a_kept_chart(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    out, _ = discover(lab, "10.77.0.8/29", "10.77.0.16/30", "--dns-server", "10.77.0.12")
    lines = out.splitlines()
    assert lines[0].split() == ["address", "rtt", "mac", "who"]
    assert lines[-1] == "7 of 12 addresses answer"
    assert any("10.77.0.10" in line and "web.lab" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_without_rights_hosts_are_found_by_echo_where_the_group_may(make_lab):  # noqa: F811
    lab = make_lab("firewalls")
    lab.run(["sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"])
    out, err = discover(lab, "10.81.0.8/29", "--json", "--no-keep", prefix=UNPRIVILEGED)
    up = {e["addr"]: e for e in map(json.loads, out.splitlines()) if e["type"] == "host"}
    assert "ICMP echo" in err
    assert up["10.81.0.8"]["reason"] == "echo-reply"  # it drops 80 and 443
    assert up["10.81.0.12"]["reason"] == "syn-ack"  # it drops echo requests
    assert all(e["mac"] for e in up.values() if e["state"] == "up")


def test_without_rights_hosts_are_found_by_connecting(make_lab):  # noqa: F811
    out, err = discover(make_lab("harbour"), "10.77.0.8/29", "-n", "--json", "--no-keep",
                        prefix=UNPRIVILEGED)
    up = {e["addr"] for e in map(json.loads, out.splitlines())
          if e["type"] == "host" and e["state"] == "up"}
    assert "no CAP_NET_RAW" in err
    assert {"10.77.0.10", "10.77.0.11", "10.77.0.12", "10.77.0.14", "10.77.0.15"} <= up

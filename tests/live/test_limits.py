"""Hosts that limit what they refuse, live: ICMP errors, resets; and a path that is policed."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import scan

pytestmark = pytest.mark.live

LIMITED = """
about = "A host whose refusals are limited."
targets = ["10.89.0.2"]
ports = "1-14"

[links.wire]

[hosts.scanner]
links = { wire = ["10.89.0.1/30"] }

[hosts.miser]
links = { wire = ["10.89.0.2/30"] }
services = [{ kind = "http", port = 80 }, { kind = "echo", port = 7, protocol = "udp" }]

[hosts.miser.sysctls]
"net.ipv4.icmp_ratelimit" = 1000
"""


@pytest.fixture
def miser(make_lab, tmp_path):  # noqa: F811
    path = tmp_path / "miser.toml"
    path.write_text(LIMITED)
    return make_lab(str(path))


def nft(lab, rules: str) -> None:
    if not shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        pytest.skip("nft is not here: apt-get install nftables")
    done = lab.run(["nft", rules], host="miser", stderr=subprocess.PIPE, text=True)
    assert not done.returncode, done.stderr


def test_udp_ports_behind_the_kernel_s_limit_are_all_named_in_the_limit_s_time(miser):
    found = scan(miser, "-sU", "-p", "1-14")
    assert found.code == 0, found.stderr
    wanted = {("10.89.0.2", port): "closed" for port in range(1, 15)}
    assert found.ports == wanted | {("10.89.0.2", 7): "open"}
    [end] = found.of("end")
    # 13 closed ports, six refused at once, then one a second.
    assert 6 <= end["elapsed_s"] <= 1.15 * 7 + 2


def test_host_timeout_keeps_what_the_limit_let_through(miser):
    found = scan(miser, "-sU", "-p", "1-14", "--host-timeout", "3")
    assert found.code == 0, found.stderr
    assert found.ports["10.89.0.2", 7] == "open"
    assert 6 <= sum(state == "closed" for state in found.ports.values()) <= 11
    assert found.of("host")[-1]["timed_out"]
    assert found.of("end")[0]["timed_out"] == 1


def test_limited_resets_leave_no_closed_port_filtered(miser):
    nft(miser, "table ip f { chain o { type filter hook output priority 0; "
               "tcp flags & rst == rst limit rate over 50/second burst 5 packets drop; }; }")
    found = scan(miser, "-p", "1-100")
    assert found.code == 0, found.stderr
    assert [port for (_, port), state in found.ports.items() if state == "open"] == [80]
    assert sum(state == "closed" for state in found.ports.values()) == 99


def test_policed_path_is_scanned_exactly_and_not_much_faster_than_it_takes(miser):
    nft(miser, "table ip f { chain i { type filter hook prerouting priority -310; "
               "ip protocol tcp limit rate over 2000/second burst 64 packets drop; }; }")
    found = scan(miser, "-p", "1-5000")
    assert found.code == 0, found.stderr
    assert [port for (_, port), state in found.ports.items() if state == "open"] == [80]
    assert sum(state == "closed" for state in found.ports.values()) == 4999
    assert found.of("end")[0]["sent"] <= 2.5 * 5000

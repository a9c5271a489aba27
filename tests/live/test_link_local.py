"""Link-local addresses: by zone or by interface, in each verb that takes a host."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lab.fixtures import make_lab  # noqa: F401

from .scanning import PORTULAN, UNPRIVILEGED, scan

pytestmark = pytest.mark.live

#: What the lab's MAC address of `web` makes of fe80::/64 (RFC 4291 appendix A).
WEB = "fe80::70:74ff:fe6c:200"
PORTS = {(WEB, 22): "closed", (WEB, 80): "open"}


def run(lab, *words):
    process = lab.exec(lab.scenario.scanner, [*PORTULAN, *words], stdin=subprocess.DEVNULL,
                       stdout=-1, stderr=-1, text=True)
    with process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.fixture
def lab(make_lab):  # noqa: F811
    return make_lab("ipv6")


def test_host_of_a_zone_is_scanned_with_and_without_rights(lab):
    for words, targets, prefix in (
        ([], f"{WEB}%lan", []), (["-e", "lan"], WEB, []), ([], f"[{WEB}%lan]:22,80", []),
        (["-sT"], f"{WEB}%lan", UNPRIVILEGED),
    ):
        found = scan(lab, "-p", "22,80", *words, targets=targets, prefix=prefix)
        assert (found.code, found.ports) == (0, PORTS), found.stderr
    found = scan(lab, "-sU", "-p", "9", targets=f"{WEB}%lan", prefix=UNPRIVILEGED)
    assert found.ports == {(WEB, 9): "closed"}


def test_host_of_a_zone_is_discovered_and_traced(lab):
    for words in ([f"{WEB}%lan"], [WEB, "-e", "lan"]):
        code, out, err = run(lab, "discover", *words, "-n", "--json", "--no-keep")
        hosts = [json.loads(line) for line in out.splitlines() if '"host"' in line]
        assert code == 0, err
        assert [(host["addr"], host["state"]) for host in hosts] == [(WEB, "up")]
        for manner in ([], ["-T", "-p", "80"]):
            code, out, err = run(lab, "trace", *words, *manner, "--json")
            assert code == 0, err
            [hop] = map(json.loads, out.splitlines())
            assert (hop["addr"], hop["state"]) == (WEB, "reached")


@pytest.mark.parametrize("verb", ["scan", "discover", "trace"])
def test_address_without_its_zone_is_one_line_that_names_the_links(lab, verb):
    code, out, err = run(lab, verb, WEB)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{WEB}%lan" in err
    assert "-e lan" in err

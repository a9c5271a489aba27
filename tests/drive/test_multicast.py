from __future__ import annotations

import json
import subprocess
import sys

import pytest

from portulan.drive import multicast
from portulan.drive.multicast import link_targets
from portulan.errors import PrivilegeError, UsageError
from portulan.link.interfaces import Address, Interface
from portulan.link.rights import rights
from portulan.scan.multicast import Answerer
from portulan.wire.frames import LinkType
from tests.lab.fixtures import make_lab  # noqa: F401

NET4 = Address(4, 0x0A000001, 24, "global")
WIDE4 = Address(4, 0x0A000001, 8, "global")
LINK6 = Address(6, (0xFE80 << 112) | 1, 64, "link")


@pytest.fixture
def device(monkeypatch):
    def made(*addresses, up=True, found=()):
        one = Interface(
            name="eth7", index=7, mac=b"\x02\0\0\0\0\1", mtu=1500, up=up, running=up,
            loopback=False, point_to_point=False, arp=True, kind="veth",
            link_type=LinkType.ETHERNET, addresses=addresses)
        monkeypatch.setattr(multicast, "interface", lambda name: one)
        monkeypatch.setattr(multicast, "nodes", lambda *_: [
            Answerer(addr, "", "echo-reply") for addr in found])

    return made


def test_link_is_its_own_nets_and_the_nodes_that_answer(device):
    device(NET4, LINK6, found=["fe80::9", "2001:db8::9"])
    targets, notes = link_targets("eth7", 0, rights())
    assert targets == ["10.0.0.1/24", "2001:db8::9", "fe80::9%eth7"]
    assert notes == ["2 IPv6 addresses answer to ff02::1 on eth7"]
    assert link_targets("eth7", 4, rights())[0] == ["10.0.0.1/24"]
    assert link_targets("eth7", 6, rights())[0] == ["2001:db8::9", "fe80::9%eth7"]


def test_wide_net_is_left_out_and_named(device):
    device(WIDE4, LINK6, found=["fe80::9"])
    targets, notes = link_targets("eth7", 0, rights())
    assert targets == ["fe80::9%eth7"]
    assert "10.0.0.1/8" in notes[0]


@pytest.mark.parametrize(("addresses", "up"), [((), True), ((NET4,), False), ((WIDE4,), True)])
def test_link_that_gives_nobody_is_one_line(device, addresses, up):
    device(*addresses, up=up)
    with pytest.raises(UsageError):
        link_targets("eth7", 0, rights())


def test_missing_right_leaves_ipv4_to_be_asked(device, monkeypatch):
    def refuse(*_):
        raise PrivilegeError("asking all nodes", right="CAP_NET_RAW", grant="sudo")

    device(NET4, LINK6)
    monkeypatch.setattr(multicast, "nodes", refuse)
    targets, notes = link_targets("eth7", 0, rights())
    assert targets == ["10.0.0.1/24"] and "left out" in notes[0]
    with pytest.raises(PrivilegeError):
        link_targets("eth7", 6, rights())


DISCOVER = [sys.executable, "-m", "portulan", "discover", "--link", "lan", "-6", "--json"]
UNPRIVILEGED = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]


def link_local(lab, host):
    told = json.loads(lab.run(["ip", "-j", "-6", "addr", "show", "dev", "lan", "scope", "link"],
                              host=host, stdout=subprocess.PIPE, text=True).stdout)
    return next(each["local"] for each in told[0]["addr_info"] if "local" in each)


def found(lab, *prefix):
    done = lab.run([*prefix, *DISCOVER], stdout=subprocess.PIPE, text=True)
    events = map(json.loads, done.stdout.splitlines())
    return {event["addr"]: event for event in events
            if event["type"] == "host" and event["state"] == "up"}


@pytest.mark.live
def test_nodes_of_a_link_are_found_silent_to_echo_or_not(make_lab):  # noqa: F811
    lab = make_lab("harbour")
    hosts = {host: link_local(lab, host) for host in ("web", "post", "pilot", "twin")}
    lab.run(["sysctl", "-qw", "net.ipv6.icmp.echo_ignore_multicast=1"], host="web")
    up = found(lab)
    assert {*hosts.values(), "fd77::16"} <= set(up)
    assert all(up[addr]["mac"] and up[addr]["frames"] for addr in hosts.values())
    lab.run(["sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"])
    up = found(lab, *UNPRIVILEGED)
    assert hosts["post"] in up and hosts["web"] not in up

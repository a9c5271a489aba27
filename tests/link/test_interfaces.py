from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
from typing import Any

import pytest

from portulan.errors import UsageError
from portulan.link.interfaces import Address, Interface, _interface, interface, interfaces
from portulan.link.netlink import Answer, attribute
from portulan.wire.frames import LinkType


def test_interfaces_hold_the_loopback() -> None:
    (found,) = [one for one in interfaces() if one.loopback]
    assert found.index == socket.if_nametoindex(found.name)
    assert found.kind == "loopback"
    assert found.link_type == LinkType.ETHERNET
    assert not found.arp
    assert not found.point_to_point
    assert Address(4, 0x7F000001, 8, "host") in found.addresses
    assert str(found.addresses[0]) == "127.0.0.1/8"


def listed() -> Any:
    return json.loads(subprocess.run(
        ["ip", "-j", "addr"], check=True, capture_output=True, text=True,
    ).stdout)


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("ip"), reason="needs iproute2's ip")
def test_interfaces_are_what_ip_lists() -> None:
    listing, ours = listed(), interfaces()
    for _ in range(20):  # others may make and move interfaces meanwhile
        again = listed()
        if again == listing:
            break
        listing, ours = again, interfaces()
    assert [one.name for one in ours] == [link["ifname"] for link in listing]
    for one, link in zip(ours, listing, strict=True):
        assert (one.index, one.mtu) == (link["ifindex"], link["mtu"])
        assert one.up == ("UP" in link["flags"])
        assert one.running == ("LOWER_UP" in link["flags"] and link["operstate"] != "DOWN")
        if one.mac is not None:
            assert one.mac.hex(":") == link["address"]
        assert {(each.text, each.prefix_length, each.scope) for each in one.addresses} == {
            (each["local"], each["prefixlen"], each["scope"]) for each in link["addr_info"]
        }


def test_interface_unknown_raises_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"no such interface.*'wlan9'.*lo"):
        interface("wlan9")
    assert interface("lo").index == 1


def made(hardware: int, word: str = "", mac: bytes = b"\1" * 6) -> Interface:
    info = {18: attribute(1, word.encode() + b"\0")} if word else {}
    header = struct.pack("=BxHiII", 0, hardware, 7, 0x11043, 0)
    return _interface(Answer(header, {1: mac, 3: b"x0\0", 4: struct.pack("=I", 1400), **info}), {})


@pytest.mark.parametrize(("hardware", "word", "kind", "link_type"), [
    (1, "", "ethernet", LinkType.ETHERNET),
    (1, "veth", "veth", LinkType.ETHERNET),
    (1, "tun", "tap", LinkType.ETHERNET),
    (65534, "tun", "tun", LinkType.RAW),
    (65534, "wireguard", "wireguard", LinkType.RAW),
    (65534, "", "none", LinkType.RAW),
    (512, "ppp", "ppp", LinkType.LINUX_SLL),
    (32, "ipoib", "ipoib", LinkType.LINUX_SLL),
    (9999, "", "arphrd-9999", LinkType.LINUX_SLL),
])
def test_interface_of_hardware_type_has_kind_and_link_type(
    hardware: int, word: str, kind: str, link_type: LinkType,
) -> None:
    one = made(hardware, word)
    assert (one.kind, one.link_type) == (kind, link_type)


def test_interface_with_an_address_of_another_size_has_no_mac() -> None:
    assert made(32, mac=bytes(20)).mac is None
    assert made(1).mac == b"\1" * 6

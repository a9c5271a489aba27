from __future__ import annotations

import socket

import pytest

from portulan.errors import UsageError
from portulan.link.device import Device, device, filter_link_type
from portulan.wire.frames import LinkType
from tests.link.namespace import inside, namespace, run

__all__ = ["namespace"]


def test_loopback_is_known_without_any_right():
    found = device("lo")
    assert found.index == socket.if_nametoindex("lo")
    assert found.hardware == 772
    assert found.link_type == LinkType.ETHERNET


def test_loopback_is_scanned_with_raw_packets():
    assert filter_link_type("lo") == LinkType.RAW


@pytest.mark.parametrize("name", ["nosuch0", "", "a" * 16, "lo\0", "ä" * 8, "lo/../x"])
def test_name_of_no_interface_is_refused_naming_those_there_are(name: str):
    with pytest.raises(UsageError, match=r"no such interface.*there are: .*\blo\b"):
        device(name)


def test_hardware_without_a_known_frame_is_refused():
    with pytest.raises(UsageError, match="hardware type 32"):
        _ = Device("ib0", 5, 2044, 32, up=True).link_type


def test_radiotap_frames_have_their_own_link_type():
    assert Device("mon0", 5, 1500, 803, up=True).link_type == LinkType.IEEE802_11_RADIOTAP


@pytest.mark.live
def test_interfaces_of_a_namespace_are_seen_inside_it_only(namespace: str):
    with inside(namespace):
        assert device("va").mtu == 1500
        assert device("va").up
        assert filter_link_type("va") == LinkType.ETHERNET
    with pytest.raises(UsageError):
        device("va")


@pytest.mark.live
def test_tun_gives_raw_packets(namespace: str):
    run("ip", "-n", namespace, "tuntap", "add", "dev", "tun7", "mode", "tun")
    try:
        with inside(namespace):
            assert filter_link_type("tun7") == LinkType.RAW
            assert not device("tun7").up
    finally:
        run("ip", "-n", namespace, "link", "del", "tun7")

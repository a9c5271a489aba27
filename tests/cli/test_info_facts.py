from __future__ import annotations

import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.cli import info_facts
from portulan.cli.info_facts import Address, Machine, Ports, machine, subject
from portulan.errors import UsageError


def address(text: str, *, resolve: bool = False) -> Address:
    found = subject(text, resolve=resolve)
    assert isinstance(found, Address)
    return found


def ports(text: str) -> list[tuple[int, str]]:
    found = subject(text, resolve=False)
    assert isinstance(found, Ports)
    return [(port.port, port.protocol) for port in found.ports]


def test_machine_holds_the_loopback_and_its_methods() -> None:
    found = machine()
    assert found.hostname
    loopback = next(card for card in found.interfaces if card.kind == "loopback")
    assert "127.0.0.1" in [held.address for held in loopback.addresses]
    assert loopback.mac is None
    assert next(m for m in found.methods if m.name == "connect").allowed
    assert bool(found.grant) != found.rights.net_raw


def test_machine_as_json_reads_back_equal() -> None:
    found = machine()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Machine) == found


def test_machine_routes_begin_with_the_default_of_each_family() -> None:
    ways = [way for way in machine().routes if way.table == 254]
    for family in (4, 6):
        of = [way.destination for way in ways if way.family == family]
        assert "default" not in of[1:] or of[0] == "default"


def test_private_address_is_explained_with_its_rfc() -> None:
    found = address("10.1.2.3")
    assert (found.family, found.kind, found.rfc) == (4, "private", "1918")
    assert found.scannable
    assert found.names is None


def test_loopback_address_is_this_machine() -> None:
    found = address("127.0.0.1")
    assert found.route is not None
    assert (found.route.kind, found.route.interface) == ("local", "lo")
    assert found.route.source == "127.0.0.1"
    assert found.route.neighbour is None


def test_link_local_address_without_zone_says_so() -> None:
    found = address("fe80::1")
    assert found.zone_missing
    assert found.route is None


def test_link_local_address_with_a_zone_keeps_it() -> None:
    for zone in ("lo", "1"):
        found = address(f"fe80::1%{zone}")
        assert found.address == f"fe80::1%{zone}"
        assert not found.zone_missing


def test_multicast_address_is_never_scanned() -> None:
    found = address("224.0.0.1")
    assert not found.scannable
    assert found.route is None


def test_resolve_asks_for_the_names_of_that_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(text: str) -> tuple[str, list[str], list[str]]:
        asked.append(text)
        return "a.example", ["b\x1b[2J.example", "a.example"], [text]

    monkeypatch.setattr(socket, "gethostbyaddr", answer)
    assert address("127.0.0.1").names is None
    assert asked == []
    assert address("127.0.0.1", resolve=True).names == ["a.example", "b\\x1b[2J.example"]
    assert asked == ["127.0.0.1"]


def test_resolve_without_a_name_is_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> None:
        raise socket.herror(1, "Unknown host")

    monkeypatch.setattr(socket, "gethostbyaddr", unknown)
    assert address("127.0.0.1", resolve=True).names == []


@pytest.mark.parametrize(("text", "expected"), [
    ("443/tcp", [(443, "tcp")]),
    ("53/UDP", [(53, "udp")]),
    ("22", [(22, "tcp")]),
    ("443", [(443, "tcp"), (443, "udp")]),
    ("https", [(443, "tcp"), (443, "udp")]),
    ("https/tcp", [(443, "tcp")]),
    ("64999", [(64999, "tcp")]),
    ("22,25", [(22, "tcp"), (25, "tcp")]),
])
def test_port_words_name_ports(text: str, expected: list[tuple[int, str]]) -> None:
    assert ports(text) == expected


@pytest.mark.parametrize(("text", "words"), [
    ("10.1.2.300", "not an address"),
    ("10.0.0.0/8", "a network"),
    ("8.8.8.8%lo", "only a link-local address has a zone"),
    ("fe80::1%wlan77", "no such interface"),
    ("443/foo", "unknown protocol"),
    ("70000", "ports end at 65535"),
    ("nosuchservice", "unknown service name"),
    ("1-100", "at most 16"),
    ("", "no port"),
    ("\x1b[2J", "neither a port"),
])
def test_bad_words_raise_one_safe_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        subject(text, resolve=False)
    assert str(caught.value).isprintable()


def test_resolve_of_a_port_is_the_users_error() -> None:
    with pytest.raises(UsageError, match="--resolve"):
        subject("443", resolve=True)


@given(st.text(max_size=30))
def test_subject_of_any_text_is_facts_or_a_usage_error(text: str) -> None:
    try:
        found = subject(text, resolve=False)
    except UsageError as error:
        assert str(error).isprintable()
    else:
        assert msgspec.json.encode(found)


def test_limits_are_what_the_hint_says() -> None:
    assert len(ports(f"1-{info_facts.PORTS_MAX}/tcp")) == info_facts.PORTS_MAX

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.cli.info_facts import Card, HeldAddress, Machine, Path, Peer, Way, machine, subject
from portulan.cli.info_text import NEIGHBOURS_SHOWN, lines
from portulan.link.rights import Rights, grant, methods
from portulan.render.layout import cells

POOR = Rights(
    net_raw=False, net_admin=False, net_bind_service=False, packet_sockets=False,
    ping_sockets=False, ping_groups=(1, 0), files_soft=1024, files_hard=4096,
    unprivileged_port_start=1024, ephemeral_ports=(32768, 60999), foreign_network=False,
    net_raw_bounded=False, no_new_privileges=False, interpreter="/usr/bin/python3.11",
    interpreter_nosuid=False,
)


REFUSED = Path(
    kind="blackhole", interface="", gateway=None, source=None, mtu=0, neighbour=None,
)


def card(name: str, *texts: str, up: bool = True) -> Card:
    held = [
        HeldAddress(address=text, prefix_length=64, scope="global", broadcast=None)
        for text in texts
    ]
    return Card(
        name=name, index=3, kind="ethernet", up=up, running=up, mtu=1500,
        mac="b8:27:eb:01:02:03", vendor="Raspberry Pi Foundation", addresses=held,
    )


def peer(address: str, mac: str | None = "02:00:00:00:00:01") -> Peer:
    return Peer(
        address=address, interface="eth0", mac=mac, vendor="", private_mac=bool(mac),
        state="stale" if mac else "failed", router=False,
    )


def made(rights: Rights = POOR, peers: int = 2) -> Machine:
    long = "2001:db8:1111:2222:3333:4444:5555:6666"
    routes = [
        Way(destination="default", family=4, kind="unicast", gateway="10.0.0.1", interface="eth0",
            source="10.0.0.7", metric=100, table=254),
        Way(destination="10.79.0.0/16", family=4, kind="local", gateway=None, interface="lo",
            source=None, metric=0, table=255),
        Way(destination="10.9.0.0/16", family=4, kind="blackhole", gateway=None, interface="",
            source=None, metric=0, table=100),
        Way(destination="fe80::/64", family=6, kind="unicast", gateway=None, interface="eth0",
            source=None, metric=256, table=254),
    ]
    return Machine(
        hostname="harbour", routes=routes, rights=rights, methods=methods(rights),
        interfaces=[card("idle0", up=False), card("eth0", "10.0.0.7", long, long)],
        neighbours=[peer(f"10.0.0.{at + 1}") for at in range(peers)] + [peer("10.0.0.99", None)],
        grant="" if rights.net_raw else grant(rights),
    )


def shown(facts: Machine, width: int = 80) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines(facts, width)]


def test_machine_lines_hold_every_section_in_order() -> None:
    text = shown(made())
    titles = ["Interfaces", "Routes", "Neighbours", "Rights", "Methods", "To allow more"]
    assert [line for line in text if line in titles] == titles
    assert text[0] == "harbour"


@pytest.mark.parametrize("width", [56, 60, 80, 120])
def test_machine_lines_fit_the_width_but_for_the_command(width: int) -> None:
    for line in shown(made(), width):
        assert cells(line) <= width or line.startswith("  sudo setcap"), line


def test_machine_columns_are_aligned() -> None:
    text = shown(made())
    start = text.index("Routes") + 1
    at = text[start].index("INTERFACE")
    assert [line[at:at + 4].strip() for line in text[start + 1:start + 3]] == ["eth0", "lo"]


def test_machine_lists_busy_interfaces_before_idle_ones() -> None:
    text = shown(made())
    assert text.index("Interfaces") + 1 == next(
        at for at, line in enumerate(text) if line.startswith("  eth0")
    )


def test_machine_addresses_too_long_for_one_row_take_two_whole() -> None:
    text = shown(made(), 60)
    assert sum(line.count("2001:db8:1111:2222:3333:4444:5555:6666/64") for line in text) == 2


def test_machine_routes_say_local_refusing_and_foreign_tables() -> None:
    text = "\n".join(shown(made()))
    assert "this machine" in text
    assert "blackhole" in text
    assert "table 100" in text
    assert "metric 100" in text
    assert "fe80::/64" not in text


def test_machine_with_many_neighbours_counts_the_rest() -> None:
    text = shown(made(peers=40))
    assert f"  … and {41 - NEIGHBOURS_SHOWN} more: --json lists all" in text


def test_machine_neighbour_rows_tell_vendor_and_odd_states_only() -> None:
    text = shown(made())
    rows = {line.split()[0]: line for line in text if line.startswith("  10.0.0.")}
    assert rows["10.0.0.1"].endswith("locally administered")
    assert rows["10.0.0.99"].endswith("no answer          failed")


def test_address_that_cannot_be_reached_is_not_offered_to_a_scan() -> None:
    facts = subject("10.1.2.3", resolve=False)
    for route, words in ((None, "none from here"), (REFUSED, "routing table says blackhole")):
        unreachable = msgspec.structs.replace(facts, route=route)
        text = "\n".join("".join(part for part, _ in line) for line in lines(unreachable))
        assert words in text
        assert "portulan scan" not in text


def test_machine_with_raw_sockets_needs_no_grant() -> None:
    rich = dataclasses.replace(POOR, net_raw=True, packet_sockets=True)
    text = "\n".join(shown(made(rich)))
    assert "To allow more" not in text
    assert "setcap" not in text


def test_machine_without_rights_shows_the_command_and_its_reach() -> None:
    text = shown(made())
    assert "  sudo setcap cap_net_raw+ep /usr/bin/python3.11" in text
    assert any("everyone" in line for line in text)


def test_this_machine_fits_80_columns() -> None:
    for line in shown(machine()):
        assert cells(line) <= 80 or line.startswith("  sudo"), line


@pytest.mark.parametrize(("word", "words"), [
    ("127.0.0.1", ["loopback (RFC 1122)", "this machine itself", "portulan scan 127.0.0.1"]),
    ("224.0.0.1", ["multicast", "never: multicast"]),
    ("fe80::1", ["link-local", "zone"]),
    ("443/tcp", ["443/tcp is a well-known port", "portulan scan TARGET -p 443"]),
    ("22,25", ["portulan scan TARGET -p 22,25"]),
])
def test_words_are_explained(word: str, words: list[str]) -> None:
    text = "\n".join(
        "".join(part for part, _ in line) for line in lines(subject(word, resolve=False))
    )
    for expected in words:
        assert expected in text


@given(st.integers(24, 200), st.sampled_from(["10.1.2.3", "fe80::1", "::1", "8000", "http*/tcp"]))
def test_explanations_fit_any_width(width: int, word: str) -> None:
    for line in lines(subject(word, resolve=False), width):
        text = "".join(part for part, _ in line)
        assert cells(text) <= width or "portulan scan" in text

from __future__ import annotations

import pytest

from portulan.errors import UsageError
from portulan.sockets.access import AccessList
from portulan.sockets.proxy_rules import Door, Rules


@pytest.mark.parametrize("text, protocol, address, login", [
    ("socks5://1080", "socks5", ("127.0.0.1", 1080), ("", "")),
    ("socks5://:0", "socks5", ("127.0.0.1", 0), ("", "")),
    ("HTTP://0.0.0.0:3128/", "http", ("0.0.0.0", 3128), ("", "")),
    ("http://[::1]:80", "http", ("::1", 80), ("", "")),
    ("socks5://me:a%40b:c@*:1080", "socks5", ("*", 1080), ("me", "a@b:c")),
])
def test_door_is_read(
    text: str, protocol: str, address: tuple[str, int], login: tuple[str, str]
) -> None:
    door = Door.parse(text)
    assert (door.protocol, door.end.address, (door.user, door.password)) == (
        protocol, address, login)
    assert "a@b" not in repr(door) + door.shown


@pytest.mark.parametrize("text", [
    "1080", "socks4://:1080", "https://:1", "socks5://unix:/x", "socks5://:x", "socks5://me@:1",
    "socks5://:70000", "http://:1/path", "socks5://u:" + "p" * 256 + "@:1",
])
def test_door_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Door.parse(text)
    assert "ppp" not in str(caught.value)


def test_login_is_known_only_if_both_are_right() -> None:
    door = Door.parse("socks5://me:secret@:1")
    assert door.knows(b"me", b"secret")
    assert not door.knows(b"me", b"secre")
    assert not door.knows(b"you", b"secret")
    assert not door.knows(b"", b"")


@pytest.mark.parametrize("client, target, reached", [
    ("127.0.0.1", "127.0.0.1", True), ("10.0.0.1", "10.0.0.2", True), ("127.0.0.1", "::1", True),
    ("10.0.0.1", "127.0.0.1", False), ("10.0.0.1", "127.9.9.9", False), ("10.0.0.1", "::1", False),
    ("10.0.0.1", "0.0.0.0", False), ("10.0.0.1", "::", False), ("10.0.0.1", "::ffff:7f00:1", False),
])
def test_loopback_is_for_clients_of_this_machine(client: str, target: str, reached: bool) -> None:
    assert Rules().reaches(client, target) is reached


def test_target_list_decides() -> None:
    rules = Rules(targets=AccessList.of(["10.0.0.0/8", "127.0.0.1"], ["10.0.0.9"]))
    assert rules.reaches("10.0.0.1", "127.0.0.1")
    assert rules.reaches("127.0.0.1", "10.0.0.8")
    assert not rules.reaches("127.0.0.1", "10.0.0.9")
    assert not rules.reaches("127.0.0.1", "192.0.2.1")

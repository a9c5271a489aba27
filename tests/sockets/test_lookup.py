import asyncio
import socket
import threading

import pytest

from portulan.sockets import lookup as room
from portulan.sockets.lookup import interleave, lookup
from tests.sockets.talking import run


def test_literal_looked_up_needs_no_thread():
    async def main():
        before = threading.active_count()
        assert await lookup("127.0.0.1", 80) == [(socket.AF_INET, ("127.0.0.1", 80))]
        assert await lookup("::1", 80) == [(socket.AF_INET6, ("::1", 80, 0, 0))]
        assert threading.active_count() == before

    run(main())


def test_localhost_is_found_in_a_thread():
    found = run(lookup("localhost", 80))
    assert {address[0] for _, address in found} <= {"127.0.0.1", "::1"} and found


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "\ud800"])
def test_impossible_name_is_a_gaierror(host):
    with pytest.raises(socket.gaierror):
        run(lookup(host, 80))


def test_name_server_that_never_answers_does_not_hold_up_the_end(monkeypatch):
    release = threading.Event()

    def ask(host, port, kind, flags):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "")
        release.wait(20)
        return []

    monkeypatch.setattr(room, "_ask", ask)

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lookup("slow.example", 80)

    run(main())
    release.set()


def test_families_take_turns_the_first_ones_first():
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(six, ("a",)), (six, ("b",)), (six, ("c",)), (four, ("d",))]
    assert [address[0] for _, address in interleave(found)] == ["a", "d", "b", "c"]

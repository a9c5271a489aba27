from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.ident.checks import Say, Told, builtin, check, ran
from portulan.ident.checks.script import CONNECTIONS_MAX, OCTETS_MAX, SECONDS_MAX

from .places import place


def test_every_check_has_a_name_a_reason_and_a_small_budget():
    names = [each.name for each in builtin()]
    assert names == sorted(set(names))
    for each in builtin():
        assert each.about.endswith((".", ")"))
        assert each.secure_only or each.services
        assert each.connections <= CONNECTIONS_MAX
        assert each.octets <= OCTETS_MAX
        assert 0 < each.seconds <= SECONDS_MAX


def test_a_budget_that_is_not_small_is_refused():
    for words in ({"connections": 99}, {"octets": 1 << 30}, {"seconds": 600}, {"seconds": 0}):
        with pytest.raises(ValueError, match="not a small one"):
            check("greedy", services=("http",), **words)


def test_a_check_suits_its_services_on_its_transport():
    dns = next(each for each in builtin() if each.name == "dns-recursion")
    assert dns.suits(place("dns", protocol="udp").service)
    assert not dns.suits(place("dns", protocol="tcp").service)
    assert not dns.suits(place("ntp", protocol="udp").service)
    tls = next(each for each in builtin() if each.name == "tls-certificate")
    assert tls.suits(place("anything", tls=True).service)
    assert not tls.suits(place("http").service)


def test_a_script_is_told_nothing_when_answers_run_out():
    def script(where):
        first = yield Say(b"one")
        second = yield Say(b"two")
        return [Told(f"{first!r} {second!r}")]

    assert ran(script(place("x")), [b"1"]) == [Told("b'1' b''")]


@given(st.sampled_from(builtin()), st.lists(st.binary(max_size=300), max_size=8))
def test_hostile_answers_never_throw(each, answers):
    name = each.services[0] if each.services else "http"
    where = place(name, tls=each.secure_only, certificates=answers[:2], heard=answers,
                  protocol="udp" if each.transport == "udp" else "tcp")
    for told in ran(each.script(where), answers):
        assert isinstance(told.text, str)


@given(st.sampled_from(builtin()), st.sampled_from([
    b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n\0\0\1\x2c\x0a\x14", b"250-x\r\n",
    b"\x16\x03\x01\0\x50\x02",
    b"\xfeSMB", bytes(4) + b"\xfeSMB" + bytes(60), b"\x24\x02", b"211-x\r\n FEAT\r\n211 end\r\n",
]), st.binary(max_size=200))
def test_answers_that_begin_well_and_end_badly_never_throw(each, start, rest):
    name = each.services[0] if each.services else "http"
    where = place(name, tls=each.secure_only, protocol="udp" if each.transport == "udp" else "tcp")
    script = each.script(where)
    try:
        say = next(script)
        for _ in range(8):
            if say.enough is not None:
                say.enough(start + rest)
            say = script.send(start + rest)
    except StopIteration:
        pass

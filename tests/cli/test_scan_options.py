from __future__ import annotations

from dataclasses import fields

import pytest

from portulan.cli.scan import scan
from portulan.cli.scan_options import METHODS, SHOWING, Options, read_time
from portulan.errors import UsageError


def test_every_flag_is_a_field_and_every_field_a_flag():
    words = {each.name for each in scan.params}
    assert words == {each.name for each in fields(Options)}


def test_what_click_takes_for_left_out_is_what_the_fields_take():
    with scan.make_context("scan", ["127.0.0.1"]) as context:
        assert Options(**context.params) == Options(targets=("127.0.0.1",))


def test_what_goes_with_resume_is_named_as_the_fields_are():
    assert {each.name for each in fields(Options)} > SHOWING


@pytest.mark.parametrize("letter", METHODS)
def test_letter_given_becomes_its_method(letter):
    assert Options(targets=("127.0.0.1",), kind=(letter,)).request().method == METHODS[letter]


@pytest.mark.parametrize(("kind", "method", "also"), [
    (("S", "U"), "syn", ["udp"]), (("US",), "syn", ["udp"]), (("UTY",), "connect", ["udp", "sctp"]),
    (("SS",), "syn", []), ((), "auto", []),
])
def test_letters_may_be_joined_and_tcp_goes_first(kind, method, also):
    request = Options(targets=("127.0.0.1",), kind=kind).request()
    assert (request.method, request.also) == (method, also)


def test_flags_of_one_family_become_the_family():
    assert [Options(targets=("x",), **words).request().family for words in (
        {}, {"ip4": True}, {"ip6": True})] == [0, 4, 6]


def test_plan_of_a_resumed_scan_is_kept_to():
    Options(resume="x", as_json=True).check()
    with pytest.raises(UsageError, match="max-rate included"):
        Options(resume="x", max_rate=5.0).check()


@pytest.mark.parametrize(("kind", "method"), [(("V",), "auto"), (("TV",), "connect"),
                                              (("S", "V"), "syn")])
def test_versions_go_with_a_method_and_are_none(kind, method):
    request = Options(targets=("127.0.0.1",), kind=kind, host_timeout="15s").request()
    assert (request.method, request.identify, request.host_timeout_s) == (method, True, 15.0)


@pytest.mark.parametrize(("words", "complaint"), [
    ({"kind": ("nV",)}, "no port is asked"), ({"kind": ("OV",)}, "no port is asked"),
    ({"scan_delay": "soon"}, "no such time"),
    ({"kind": ("V",), "host_timeout": "soon"}, "no such time"),
    ({"kind": ("V",), "host_timeout": "0"}, "no such time"),
])
def test_versions_without_ports_and_odd_times_are_refused(words, complaint):
    with pytest.raises(UsageError, match=complaint):
        Options(targets=("127.0.0.1",), **words).check()


@pytest.mark.parametrize(("text", "seconds"), [
    ("", 0.0), ("15", 15.0), ("15s", 15.0), ("500ms", 0.5), ("2m", 120.0), ("1.5h", 5400.0),
])
def test_times_are_written_as_nmap_writes_them(text, seconds):
    assert read_time(text, "--host-timeout") == seconds

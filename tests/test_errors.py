from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan import errors
from portulan.errors import PortulanError, PrivilegeError, UsageError, WireError, printable

KINDS = [
    each for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, PortulanError)
]


def test_usage_error_says_where_what_and_what_to_do():
    error = UsageError("no such port", text="70000", where="-p", hint="0 to 65535")
    assert str(error) == "-p: no such port: '70000' - 0 to 65535"
    assert (error.text, error.where, error.hint) == ("70000", "-p", "0 to 65535")
    assert str(UsageError("no target")) == "no target"


def test_usage_error_with_control_characters_stays_one_safe_line():
    line = str(UsageError("bad", text="a\x1b[2J\nb\u202e"))
    assert line.isprintable()


def test_wire_error_tells_the_layer_and_the_missing_bytes():
    error = WireError("cut short", layer="tcp", offset=34, need=20, have=3)
    assert str(error) == "tcp at byte 34: cut short (needs 20 bytes, has 3)"


def test_privilege_error_tells_the_right_and_who_grants_it():
    error = PrivilegeError("a SYN scan", right="CAP_NET_RAW", grant="setcap ...")
    assert str(error) == "a SYN scan: needs CAP_NET_RAW - setcap ..."


@pytest.mark.parametrize("kind", [k for k in KINDS if k.__init__ is PortulanError.__init__])
def test_error_without_words_says_its_docstring(kind):
    assert str(kind()) == kind.__doc__.splitlines()[0]
    assert str(kind("this")) == "this"


@given(st.text(), st.integers(1, 200))
def test_any_text_becomes_printable_and_short(text, limit):
    safe = printable(text, limit)
    assert safe.isprintable()
    assert len(safe) <= limit

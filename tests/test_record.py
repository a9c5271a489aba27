from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.record import (
    SCHEMA,
    End,
    Host,
    Missed,
    Note,
    Os,
    Port,
    Progress,
    Run,
    Service,
    Tls,
    decode,
    encode,
    encode_lines,
)

PORT = Port(addr="10.0.0.1", port=80, protocol="tcp", state="open", reason="syn-ack")
#: The promised minimum: every field a reader may count on. Taking one away needs a new schema.
REQUIRED = {
    Run: {"schema", "id", "version", "argv", "started", "seed", "targets", "probes", "method",
          "why"},
    Host: {"addr", "state", "reason"},
    Port: {"addr", "port", "protocol", "state", "reason"},
    Service: {"addr", "port", "protocol", "name"},
    Os: {"addr", "family"},
    Note: {"addr", "text"},
    Progress: {"done", "sent", "received", "rate_pps", "eta_s"},
    End: {"reason", "hosts_up", "open", "sent", "received", "drops", "elapsed_s"},
}


@pytest.mark.parametrize("kind", REQUIRED, ids=lambda kind: kind.__name__)
def test_required_fields_of_this_schema_stay(kind):
    assert SCHEMA == 1
    found = {each.name for each in msgspec.structs.fields(kind) if each.required}
    assert found == REQUIRED[kind]


def made(kind):
    """Return a strategy of events with every field given; JSON knows no infinity."""
    number = st.floats(allow_nan=False, allow_infinity=False)
    missed = st.none() | st.builds(Missed, estimate=number, low=number, high=number)
    tls = st.none() | st.builds(Tls, version=st.text(), certificates=st.lists(st.binary()))
    special = {float: number, Missed | None: missed, Tls | None: tls}
    return st.builds(kind, **{
        each.name: special.get(each.type, st.from_type(each.type))
        for each in msgspec.structs.fields(kind)
    })


@given(st.one_of([made(kind) for kind in REQUIRED]))
def test_any_event_written_and_read_is_itself(event):
    assert decode(encode(event)) == event


def test_lines_are_one_object_each_with_its_type_first():
    first, second, rest = encode_lines([PORT, Note(addr="", text="a\nb")]).split(b"\n")
    assert first.startswith(b'{"type":"port"')
    assert json.loads(second)["text"] == "a\nb"
    assert rest == b""


def test_fields_at_their_default_are_left_out():
    assert set(json.loads(encode(PORT))) == {"type", *REQUIRED[Port]}


def test_unknown_fields_are_ignored_and_unknown_types_are_not():
    assert decode(encode(PORT)[:-1] + b',"later":{"x":1}}') == PORT
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"type":"comet"}')


def test_estimate_inside_the_end_survives():
    end = End(reason="done", hosts_up=1, open=2, sent=3, received=4, drops=0, elapsed_s=0.5,
              missed=Missed(estimate=0.1, low=0.0, high=1.2))
    assert decode(encode(end)).missed == end.missed

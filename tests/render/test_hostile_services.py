"""A stranger's bytes, from the wire through the judge to every format."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portulan.drive.identifying import Aim, Identified
from portulan.drive.identifying_events import service_event
from portulan.ident.dialogue import Outcome
from portulan.ident.dialogue_known import Known
from portulan.ident.reply import Reply
from portulan.record import decode, encode_lines
from portulan.render import FORMATS, renderer
from portulan.render.terminal import render as on_terminal

from .runs import ATTACKS, END, RUN, opened, shown

SPOKEN = (
    b"HTTP/1.1 200 OK\r\nServer: %s/1.2\r\nX-Powered-By: %s\r\n\r\n<title>%s</title>",
    b"SSH-2.0-%s_1.0 %s %s\r\n", b"220 %s FTP %s %s\r\n", b"* OK %s %s IMAP4 %s\r\n",
    b"VERSION %s %s %s\r\n", b"%s%s%s",
)


def events(data: bytes):
    known = Known()
    known.take(Reply("tcp", data))
    outcome = Outcome("answered", known.verdict, None, tuple(known.replies), (), 1)
    service = service_event(Identified(Aim("10.0.0.1", 80), outcome, 0))
    return [RUN, opened("10.0.0.1", 80, 1, 2), service, END]


def check(data: bytes, suffix: str) -> None:
    run = events(data)
    output = "".join(renderer(suffix)(run))
    assert not shown(output)
    match suffix:
        case ".xml":
            ElementTree.fromstring(output)
        case ".csv":
            cells = [cell for row in csv.reader(io.StringIO(output)) for cell in row]
            assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in cells)
        case ".jsonl" | ".ndjson":
            assert [decode(line) for line in output.splitlines()] == run
        case ".json":
            json.loads(output)
        case ".html":
            body = output.partition("</style>")[2]
            assert "<script>window" not in body and "<img" not in body and "<svg/" not in body


@pytest.mark.parametrize("suffix", sorted(FORMATS))
@pytest.mark.parametrize("form", SPOKEN)
def test_hostile_banner_comes_out_harmless(suffix, form):
    for attack in ATTACKS:
        raw = attack.encode("utf-8", "surrogatepass")
        check(form % (raw, raw, raw), suffix)


@pytest.mark.parametrize("suffix", sorted(FORMATS))
@settings(max_examples=40, deadline=None)
@given(data=st.binary(min_size=1, max_size=80), form=st.sampled_from(SPOKEN))
def test_any_bytes_come_out_harmless(suffix, data, form):
    check(form % (data, data, data), suffix)


@settings(max_examples=40, deadline=None)
@given(data=st.binary(min_size=1, max_size=80), form=st.sampled_from(SPOKEN))
def test_any_bytes_are_harmless_on_a_terminal_and_in_the_journal(data, form):
    run = events(form % (data, data, data))
    assert not shown("\n".join(on_terminal(run)))
    assert not shown(encode_lines(run).decode())

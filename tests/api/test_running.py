from __future__ import annotations

import asyncio
import socket
import threading

import pytest

import portulan
from portulan import api
from portulan.errors import UsageError
from portulan.record import End, Port, Run, encode_lines


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_scan_returns_a_chart_that_can_be_opened_again(port, home):
    chart = portulan.scan("127.0.0.1", ports=f"{port},1-9", method="connect")
    assert chart.end.open == 1
    again = api.open_chart()
    assert again.run.id == chart.run.id
    assert len(list(home.rglob("events.jsonl"))) == 1


def test_unkept_scan_leaves_nothing_behind(port, home, tmp_path, monkeypatch):
    import gc
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chart = portulan.scan("127.0.0.1", ports=str(port), method="connect", keep=False)
    assert chart.end.reason == "done"
    assert list(tmp_path.glob("portulan-*"))
    del chart
    gc.collect()
    assert not list(tmp_path.glob("portulan-*"))
    assert not home.exists()


@pytest.mark.parametrize("targets", ["127.0.0.1 127.0.0.2", ["127.0.0.1", "127.0.0.2"]])
def test_targets_are_words_or_a_list(targets):
    request = api.make_request(targets, exclude="10.0.0.1 10.0.0.2", ports="1")
    assert [text for text, _ in request.targets] == ["127.0.0.1", "127.0.0.2"]
    assert [text for text, _ in request.exclude] == ["10.0.0.1", "10.0.0.2"]
    assert 0 <= request.seed < 1 << 32


@pytest.mark.parametrize("words", [{"ports": "70000"}, {"timing": 9}, {"interface": "nosuch0"}])
def test_wrong_input_raises_before_anything_is_kept(words, home):
    with pytest.raises(UsageError):
        portulan.scan("127.0.0.1", **words)
    assert not list(home.rglob("*.jsonl"))


def test_shown_lines_are_the_events_as_kept(port, home):
    scan = api.Scan.begin(api.plan(api.make_request(
        "127.0.0.1", ports=f"{port},1-99", method="connect", every_state=True)))
    lines = b""
    for shown in scan.shown():
        assert shown.lines == encode_lines(shown.events)
        lines += shown.lines
    assert scan.folder.journal.read_bytes() == lines
    assert not list(scan.folder.path.glob("progress-*.bin"))


def test_stopped_scan_resumes_to_the_whole(port, home):
    request = api.make_request("127.0.0.1", ports=f"{port},1-2000", method="connect",
                               every_state=True, max_rate=3000.0)
    scan = api.Scan.begin(api.plan(request))
    for shown in scan.shown():
        if any(isinstance(event, Port) for event in shown.events):
            scan.stop()
    assert scan.stopped
    assert scan.events[-1].reason == "interrupted"
    again = api.Scan.resume(scan.folder.id)
    for _ in again.shown():
        pass
    told = [event.port for event in again.events if isinstance(event, Port)]
    assert sorted(told) == sorted({port, *range(1, 2001)})
    runs = [event for event in again.events if isinstance(event, Run)]
    assert [run.resumes for run in runs] == [0, 1]
    assert again.events[-1].reason == "done"
    with pytest.raises(UsageError, match="complete"):
        api.Scan.resume(scan.folder.id)


def test_events_come_one_by_one_to_a_coroutine(port):
    async def collect():
        return [event async for event in api.scan_events(
            "127.0.0.1", ports=f"{port},1-9", method="connect")]

    events = asyncio.run(collect())
    assert isinstance(events[0], Run)
    assert isinstance(events[-1], End)
    assert [event.port for event in events if isinstance(event, Port)] == [port]


def test_leaving_the_loop_ends_the_scan():
    async def first():
        stream = api.scan_events("127.0.0.1", ports="1-60000", method="connect", max_rate=1000.0)
        async for event in stream:
            await stream.aclose()
            return event

    assert isinstance(asyncio.run(first()), Run)
    assert not [one for one in threading.enumerate() if one.name == "portulan-scan"]


def test_error_reaches_the_coroutine():
    async def go():
        async for _ in api.scan_events("127.0.0.1", ports="70000"):
            pass

    with pytest.raises(UsageError):
        asyncio.run(go())

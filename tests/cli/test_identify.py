"""`portulan identify`."""

from __future__ import annotations

import base64
import json

from click.testing import CliRunner

from portulan.cli.identify import identify


def line(data: bytes, name: str = "1") -> str:
    return json.dumps({"id": name, "transport": "tcp",
                       "reply_b64": base64.b64encode(data).decode()})


def test_replies_are_answered_in_order():
    done = CliRunner().invoke(
        identify, ["--json"], input=line(b"SSH-2.0-toy\r\n", "a") + "\n" + line(b"\1\2", "b"))
    rows = [json.loads(each) for each in done.stdout.splitlines()]
    assert [(row["id"], row["name"]) for row in rows] == [("a", "ssh"), ("b", "unknown")]
    assert rows[1]["confidence"] == 0 and done.exit_code == 0


def test_bad_line_is_told_by_number_and_the_rest_goes_on():
    done = CliRunner().invoke(identify, ["--json"], input="{\n" + line(b"+PONG\r\n"))
    assert done.exit_code == 3 and "line 1:" in done.stderr and '"redis"' in done.stdout


def test_terminal_escape_comes_out_harmless():
    done = CliRunner().invoke(
        identify, [], input=line(b"HTTP/1.1 200 OK\r\nServer: a\x1b[2J/1\r\n\r\n"))
    assert "\x1b" not in done.stdout


def test_replies_of_a_chart_are_judged_by_the_rules_of_today(tmp_path, monkeypatch):
    import portulan
    from portulan.api.keeper import Keeper
    from portulan.drive.request import Request
    from portulan.drive.step import Step
    from portulan.record import End, Heard, Run, Service
    from portulan.store.charts import Charts

    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    keeper = Keeper.create(Request(targets=[("10.0.0.1", "target")]), Charts())
    said = [Heard(data=b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")]
    events = [
        Run(schema=1, id="x", version=portulan.__version__, argv=[], started="", seed=0,
            targets=[], probes=0, method="syn", why=""),
        Service(addr="10.0.0.1", port=22, protocol="tcp", name="ssh", product="Old", heard=said),
        Service(addr="10.0.0.1", port=23, protocol="tcp", name="telnet"),
        End(reason="done", hosts_up=1, open=2, sent=2, received=2, drops=0, elapsed_s=0.1),
    ]
    keeper.keep(Step(events))
    keeper.finish(events)
    keeper.close()
    done = CliRunner().invoke(identify, ["last"])
    first, second = done.stdout.splitlines()
    assert first == "10.0.0.1:22/tcp  ssh OpenSSH 9.2p1  (was ssh Old)"
    assert second == "10.0.0.1:23/tcp  telnet"
    assert "2 services, 1 judged otherwise, 1 without their replies" in done.stderr
    done = CliRunner().invoke(identify, ["last", "--json"])
    assert json.loads(done.stdout.splitlines()[0])["product"] == "OpenSSH"

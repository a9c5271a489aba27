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

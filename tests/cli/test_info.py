from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from portulan.cli.info import info
from portulan.errors import UsageError


def run(*words: str) -> Result:
    return CliRunner().invoke(info, list(words))


def test_info_without_words_shows_this_machine() -> None:
    done = run()
    assert done.exit_code == 0
    for title in ("Interfaces", "Routes", "Neighbours", "Rights", "Methods"):
        assert f"\n{title}\n" in done.output
    assert "127.0.0.1/8" in done.output


def test_info_json_is_one_object_with_stable_keys() -> None:
    done = run("--json")
    (line,) = done.output.splitlines()
    found = json.loads(line)
    assert list(found) == [
        "type", "hostname", "interfaces", "routes", "neighbours", "rights", "methods", "grant",
    ]
    assert {"net_raw", "net_admin", "net_bind_service", "files_soft"} <= set(found["rights"])
    assert set(found["methods"][0]) == {"name", "allowed", "reason", "grant"}
    assert {"name", "index", "mac", "mtu", "up", "addresses"} <= set(found["interfaces"][0])


def test_info_json_of_words_is_an_object_a_line() -> None:
    done = run("--json", "10.1.2.3", "443/tcp")
    first, second = map(json.loads, done.output.splitlines())
    assert (first["type"], first["kind"]) == ("address", "private")
    assert second == {"type": "ports", "ports": [{
        "port": 443, "protocol": "tcp", "kind": "well-known", "name": "https",
        "sentence": second["ports"][0]["sentence"],
    }]}


def test_info_of_several_words_parts_them_by_a_blank_line() -> None:
    done = run("10.1.2.3", "https/tcp")
    assert done.exit_code == 0
    assert "\n\n443/tcp is" in done.output


@pytest.mark.parametrize("words", [["70000"], ["10.1.2.300"], ["--resolve"], ["443/foo"]])
def test_info_of_bad_input_is_a_usage_error_and_prints_nothing(words: list[str]) -> None:
    done = run(*words)
    assert isinstance(done.exception, UsageError)
    assert done.output == ""


def test_info_of_a_bad_word_after_a_good_one_prints_nothing() -> None:
    done = run("--json", "443", "70000")
    assert isinstance(done.exception, UsageError)
    assert done.output == ""


def test_info_in_ascii_has_no_other_signs() -> None:
    code = "from portulan.cli.info import info; info()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.isascii()
    assert b"Interfaces" in done.stdout


def test_info_imported_loads_nothing_heavy() -> None:
    code = (
        "import sys, portulan.cli.info;"
        "sys.exit(bool({'numpy', 'msgspec', 'netaddr', 'portulan.link'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("word", ["70000", "10.1.2.300", "fe80::1%nope", "\x1b[2J"])
def test_info_of_bad_input_on_the_command_line_is_one_line_and_exit_2(word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "portulan", "info", word],
        capture_output=True, text=True, check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.isprintable()

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from portulan.cli.lab import lab
from portulan.errors import UsageError
from portulan.lab import all_names
from tests.lab.fixtures import loopback_to_ourselves, skip_reason  # noqa: F401

MAIN = "from portulan.cli.lab import lab; lab(prog_name='portulan lab')"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))


@pytest.fixture
def name(request):
    made = f"cli-{os.getpid()}-{abs(hash(request.node.name)) % 10**9}"
    yield made
    CliRunner().invoke(lab, ["down", made])


def call(*argv: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(lab, argv)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def start(*argv: str, **popen) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", MAIN, *argv], stdin=subprocess.DEVNULL,
                            stdout=-1, stderr=-1, text=True, **popen)


def needs_namespaces(scenario: str = "ipv6") -> None:
    if reason := skip_reason(scenario):
        pytest.skip(reason)


def test_list_names_each_scenario_with_its_sentence():
    code, out, _ = call("list")
    assert code == 0
    assert any(line.startswith("harbour  ") and line.endswith(".") for line in out.splitlines())


def test_show_is_the_map_and_json_the_truth():
    assert "443/tcp" in call("show")[1]
    rows = json.loads(call("show", "harbour", "--json", "-p", "80")[1])
    assert {"addr": "10.77.0.10", "port": 80, "protocol": "tcp", "state": "open"} in rows
    assert len(rows) == 7
    assert "127.77.0.10" in call("show", "--local")[1]


def test_run_without_a_command_or_with_an_unknown_scenario_is_one_line():
    with pytest.raises(UsageError, match="no command"):
        call("run", "harbour")
    with pytest.raises(UsageError, match="no such scenario: 'atlantis'"):
        call("run", "atlantis", "--", "true")


def test_run_code_and_streams_are_the_command_s_own(name, loopback_to_ourselves):  # noqa: F811
    script = "cat; echo $PORTULAN_LAB_TARGETS; echo oops >&2; exit 7"
    argv = [sys.executable, "-c", MAIN, "run", "--name", name, "--local", "--", "sh", "-c", script]
    done = subprocess.run(argv, input="in\n", capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stdout.startswith("in\n127.77.0.10 ")
    assert "oops" in done.stderr and "127.0.0.0/8" in done.stderr
    assert name not in all_names()


def test_run_unknown_command_is_one_line_and_lab_goes(name, loopback_to_ourselves):  # noqa: F811
    with pytest.raises(UsageError, match="no such command: 'no-such-thing'"):
        call("run", "--name", name, "--local", "--", "no-such-thing")
    assert name not in all_names()


def test_down_what_was_never_up_says_so():
    code, _, err = call("down", "nothing")
    assert (code, err) == (0, "lab nothing: was not up\n")


@pytest.mark.live
def test_up_run_inside_other_host_down(name):
    needs_namespaces()
    assert "is up in" in call("up", "ipv6", "--name", name)[2]
    assert f"up: {name} " in call("list")[1]
    with start("run", "--name", name, "--host", "web", "--", "cat", "/proc/net/if_inet6") as run:
        out, _ = run.communicate()
    assert run.returncode == 0 and "fd83" in out
    with pytest.raises(UsageError, match="is up with scenario ipv6"):
        call("run", "harbour", "--name", name, "--", "true")
    assert name in all_names()
    assert f"lab {name}: down" in call("down", name)[2]
    assert name not in all_names()


@pytest.mark.live
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_run_interrupted_lab_goes_and_the_code_says_why(name, number, code):
    needs_namespaces()
    script = "echo here; exec sleep 30"
    with start("run", "ipv6", "--name", name, "--", "sh", "-c", script,
               start_new_session=True) as run:
        assert run.stdout.readline() == "here\n"
        # A terminal sends Ctrl-C to the whole group, a supervisor SIGTERM to one process.
        (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)
        _, err = run.communicate()
    assert run.returncode == code
    assert "Traceback" not in err
    assert name not in all_names()

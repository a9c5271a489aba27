from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portulan.errors import UsageError
from portulan.lab import Expected, Lab, all_names, down
from portulan.lab import state as labs
from portulan.lab.lab import best_mode
from tests.lab.fixtures import (  # noqa: F401
    harbour,
    loopback_to_ourselves,
    make_lab,
    skip_reason,
)

ASK = str(Path(__file__).with_name("ask.py"))
UP = "import sys; from portulan.lab import Lab; Lab.up(*sys.argv[1:2], name=sys.argv[2], keep=True)"


def observed(lab: Lab, rows: list[Expected], wait_s: float = 1.5) -> list[Expected]:
    asked = json.dumps([(row.addr, row.port) for row in rows])
    argv = [sys.executable, ASK, str(wait_s)]
    with lab.exec("scanner", argv, stdin=-1, stdout=-1, text=True) as process:
        out, _ = process.communicate(asked)
    states = json.loads(out)
    return [Expected(r.addr, r.port, "tcp", s) for r, s in zip(rows, states, strict=True)]


# Ports where a plain connect() can tell what the truth tells: it reads ICMP port-unreachable as a
# refusal, and the rate limit of `miser` drops what exceeds it.
@pytest.mark.live
@pytest.mark.parametrize(("scenario", "ports"), [
    ("harbour", "7,21,22,25,53,80,443,600,3000,8000,8080,9000"),
    ("firewalls", "80,150,443,500-501,800"),
    ("router", "22,23,80,900"),
    ("lossy", "22,80,81"),
])
def test_truth_of_a_scenario_is_what_a_plain_connect_finds(make_lab, scenario, ports):  # noqa: F811
    lab = make_lab(scenario)
    rows = [row for row in lab.truth(ports) if row.protocol == "tcp"]
    if scenario == "lossy":
        rows = rows[:60]
    assert len({row.state for row in rows}) >= 2
    # The kernel repeats a lost SYN after 1, 3 and 7 s.
    assert observed(lab, rows, 8.0 if scenario == "lossy" else 1.5) == rows


@pytest.mark.live
def test_ipv6_truth_is_what_a_plain_connect_finds(make_lab):  # noqa: F811
    lab = make_lab("ipv6")
    rows = [row for row in lab.truth() if row.addr.startswith("fd83::1") or row.addr[-3:] == "abc"]
    assert len(rows) > 16
    assert observed(lab, rows) == rows


@pytest.mark.live
def test_anyip_every_sampled_address_is_open(make_lab):  # noqa: F811
    lab = make_lab("anyip16")
    rows = lab.truth()
    assert len(rows) == 65536
    sample = random.Random(1).sample(rows, 500)
    assert observed(lab, sample) == sample


@pytest.mark.live
def test_run_exit_code_output_and_environment_pass_through(harbour):  # noqa: F811
    script = 'echo "$PORTULAN_LAB $PORTULAN_LAB_TARGETS $PORTULAN_LAB_PORTS"; exit 7'
    done = harbour.run(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 7
    assert done.stdout.split() == [
        harbour.name, "10.77.0.8/29", "10.77.0.16/30", "1-1024,3000,8000,8080,9000",
    ]


@pytest.mark.live
def test_namespace_of_each_host_differs_from_ours_and_from_each_other(harbour):  # noqa: F811
    rooms = {harbour.namespace(name).stat().st_ino for name in ("scanner", "web", "fort")}
    assert len(rooms | {os.stat("/proc/self/ns/net").st_ino}) == 4
    with pytest.raises(UsageError, match="no such host"):
        harbour.namespace("atlantis")


@pytest.mark.live
def test_up_name_taken_is_one_clear_line(make_lab):  # noqa: F811
    lab = make_lab("ipv6")
    with pytest.raises(UsageError, match=r"a lab of this name is up.*lab down"):
        Lab.up("ipv6", name=lab.name)
    assert lab.run(["true"]).returncode == 0  # the first is untouched


@pytest.mark.live
def test_down_ends_commands_that_were_left_inside(make_lab):  # noqa: F811
    lab = make_lab("ipv6")
    with lab.exec("scanner", ["sleep", "60"]) as marked, \
            lab.exec("web", ["env", "-i", "sleep", "60"]) as unmarked:
        time.sleep(0.2)
        lab.down()
        assert marked.wait(5) == -signal.SIGTERM
        assert unmarked.wait(5) == -signal.SIGTERM


@pytest.mark.live
def test_down_state_file_lost_still_finds_the_lab(make_lab):  # noqa: F811
    lab = make_lab("ipv6", keep=True)
    labs.path_of(lab.name).unlink()
    assert lab.name in all_names()
    assert down(lab.name)
    assert lab.name not in all_names()


@pytest.mark.live
@pytest.mark.parametrize("victim", ["maker", "keeper", "both"])
def test_up_killed_at_random_moments_down_clears_everything(tmp_path, monkeypatch, victim):
    if reason := skip_reason("harbour"):
        pytest.skip(reason)
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    dice = random.Random(victim)
    for round_ in range(4):
        name = f"killed-{os.getpid()}-{round_}"
        with subprocess.Popen([sys.executable, "-c", UP, "harbour", name], stderr=-3) as maker:
            time.sleep(dice.uniform(0.05, 0.7))
            if victim != "maker":
                for pid, _ in list(labs.marked(f"{name}-")):
                    with contextlib.suppress(ProcessLookupError):  # it may end by itself meanwhile
                        os.kill(pid, signal.SIGKILL)
            if victim != "keeper":
                maker.kill()
        down(name)
        assert name not in all_names()
        assert not list(labs.marked(f"{name}-"))
        assert not list(tmp_path.glob(f"labs/{name}*"))


@pytest.mark.live
def test_up_after_a_keeper_was_killed_takes_the_name_again(make_lab):  # noqa: F811
    lab = make_lab("ipv6")
    os.kill(lab.state.keeper, signal.SIGKILL)
    lab._keeper.wait()
    again = make_lab("ipv6", name=lab.name)
    assert again.run(["true"]).returncode == 0


@pytest.mark.live
def test_owner_killed_lab_goes_by_itself(tmp_path, monkeypatch):
    if reason := skip_reason("ipv6"):
        pytest.skip(reason)
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path))
    name = f"orphan-{os.getpid()}"
    code = f"from portulan.lab import Lab; Lab.up('ipv6', name={name!r}); print('up', flush=1)"
    code += "; input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as owner:
        assert owner.stdout.readline() == b"up\n"
        assert list(labs.marked(f"{name}-"))
        owner.kill()
    end = time.monotonic() + 5
    while list(labs.marked(f"{name}-")) and time.monotonic() < end:
        time.sleep(0.02)
    assert not list(labs.marked(f"{name}-"))
    down(name)


def test_local_lab_serves_on_loopback(loopback_to_ourselves, make_lab):  # noqa: F811
    lab = make_lab("harbour", local=True)
    assert lab.state.mode == "local"
    rows = [row for row in lab.truth() if row.protocol == "tcp" and row.state == "open"]
    assert rows and all(row.addr.startswith("127.77.0.") for row in rows)
    assert observed(lab, rows) == rows
    with pytest.raises(UsageError, match="no hosts to be inside"):
        lab.run(["true"], host="web")


def test_best_mode_is_found_by_trying():
    assert best_mode() in ("namespaces", "user namespace", "local")

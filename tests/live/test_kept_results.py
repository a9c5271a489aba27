"""What was printed is kept: scans killed, interrupted, torn and starved of disk, then resumed.

`PORTULAN_KILLS` says how many kills there are in all, `PORTULAN_KILLS_SEED` repeats a run of them.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portulan.lab import Lab
from tests.lab.fixtures import skip_reason
from tests.live.kept import (
    PORTULAN,
    SCENARIO,
    Range,
    Story,
    leave,
    tear,
    wait_for_line,
    wait_until_python_is_up,
)

pytestmark = pytest.mark.live

KILLS = int(os.environ.get("PORTULAN_KILLS", "12"))
SEED = int(os.environ.get("PORTULAN_KILLS_SEED", "0")) or secrets.randbits(32)
WAYS = {
    "syn": ["-sS"],
    "syn without discovery": ["-sS", "-Pn"],
    "syn, every port listed": ["-sS", "--all"],
    "connect": ["-sT"],
}
#: Probes of all runs together, by those of one undisturbed run.
PROBES_MAX = 1.3
LEAVE_MAX_S = 2.0


@dataclass
class Undisturbed:
    """What a scan costs that nobody touches."""

    wall_s: float
    probes: int


@pytest.fixture(scope="module")
def ground() -> Iterator[Range]:
    if reason := skip_reason(str(SCENARIO)):
        pytest.skip(reason)
    with Lab.up(str(SCENARIO), name=f"kept-{secrets.token_hex(4)}") as lab:
        yield Range(lab)


@pytest.fixture
def story(ground: Range, tmp_path: Path) -> Iterator[Callable[..., Story]]:
    """Make homes in which one scan each is done."""

    def make(*options: str) -> Story:
        home = tmp_path / f"home-{secrets.token_hex(3)}"
        home.mkdir()
        return Story(ground, home, list(options))

    yield make


def undisturbed(story: Story) -> Undisturbed:
    before, began = story.range.probes(), time.monotonic()
    assert story.run() == 0
    wall = time.monotonic() - began
    story.check()
    return Undisturbed(wall, story.range.probes() - before)


@pytest.mark.timeout(90 + 8 * KILLS)
@pytest.mark.parametrize("way", WAYS)
def test_a_scan_killed_at_random_moments_loses_no_shown_line_and_resumes_to_the_truth(
    story, way,
):
    plain = undisturbed(story(*WAYS[way]))
    chance = random.Random(f"{SEED} {way}")
    kills = -(-KILLS // len(WAYS))
    costs = []
    while kills > 0:
        print(f"PORTULAN_KILLS_SEED={SEED}: {way}, {kills} kills to go")
        each = story(*WAYS[way])
        before = each.range.probes()
        for _ in range(min(kills, chance.choice([1, 1, 2, 3]))):
            each.run(kill_after_s=chance.uniform(0, plain.wall_s))
            if each.complete:
                break
        each.finish()
        each.check()
        kills -= each.kills
        costs.append((each.range.probes() - before) / plain.probes)
        assert costs[-1] <= PROBES_MAX
    print(f"{way}: probes x {max(costs):.2f} at most, {sum(costs) / len(costs):.2f} in the mean")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_scan_told_to_stop_leaves_soon_with_a_valid_chart_and_says_how_to_go_on(
    story, number, tmp_path,
):
    each, said = story("-sS"), tmp_path / "stderr"
    process, out = each.begin(said)
    wait_for_line(out, b'"port"')
    code, took_s = leave(process, number)
    each.read(out)
    assert code == 128 + number
    assert took_s <= LEAVE_MAX_S
    assert f"portulan scan --resume {each.folder.name}" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert each.events[-1]["type"] == "end"
    assert each.events[-1]["reason"] == "interrupted"
    each.finish()
    each.check()


def test_a_scan_told_to_stop_at_any_moment_leaves_without_a_traceback(story, tmp_path):
    chance = random.Random(f"{SEED} stop")
    for _ in range(4):
        print(f"PORTULAN_KILLS_SEED={SEED}")
        each, said = story("-sS"), tmp_path / "stderr"
        process, out = each.begin(said)
        wait_until_python_is_up(process.pid)
        try:
            code = process.wait(chance.uniform(0, 1.5))
        except subprocess.TimeoutExpired:
            code, took_s = leave(process, signal.SIGINT)
            assert took_s <= LEAVE_MAX_S
        each.read(out)
        assert "Traceback" not in said.read_text()
        # CPython 3.11 ends by the signal if it came within an `exec`, of which imports are full,
        # whoever catches it then; a shell calls both 130.
        assert code in (0, 130, -signal.SIGINT), said.read_text()
        each.finish()
        each.check()


def test_two_resumes_at_once_the_second_is_refused_in_one_line(story, tmp_path):
    each, said = story("-sS"), tmp_path / "stderr"
    each.kill_after_the_first_port(random.Random(SEED))
    first, out = each.begin()
    wait_for_line(out, b'"run"')
    first.send_signal(signal.SIGSTOP)  # or it might be done before the second has started
    second = each.range.start(
        each.home, ["--resume", each.folder.name], tmp_path / "out", said)
    assert second.wait(20) == 2
    first.send_signal(signal.SIGCONT)
    assert first.wait(20) == 0
    each.read(out)
    assert said.read_text().count("\n") == 1
    assert f"is being written by process {first.pid}" in said.read_text()
    assert (tmp_path / "out").read_bytes() == b""
    each.check()


def test_a_scan_that_is_over_is_not_resumed(story, tmp_path):
    each, said = story("-sS", "-Pn"), tmp_path / "stderr"
    assert each.run() == 0
    again = each.range.start(each.home, ["--resume", "last"], tmp_path / "out", said)
    assert again.wait(20) == 2
    assert "this scan is complete" in said.read_text()
    each.check()


@pytest.mark.parametrize("what", ["events.jsonl", "evidence.pcapng", "progress-*.bin", "*"])
def test_a_chart_cut_at_a_random_byte_after_a_kill_resumes_to_the_truth(story, what):
    chance = random.Random(f"{SEED} {what}")
    each = story("-sS")
    each.kill_after_the_first_port(chance)
    for path in found_in(each.folder, what):
        print(f"PORTULAN_KILLS_SEED={SEED}: {path.name} has {tear(path, chance)} bytes")
    each.finish()
    each.check(torn=True)


@pytest.mark.parametrize("free_kib", [40, 100, 250])
def test_a_full_disk_ends_the_scan_in_one_line_and_it_resumes_once_there_is_room(
    ground, tmp_path, free_kib,
):
    done = ground.lab.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-eu", "-c", FULL_DISK, "sh",
         str(tmp_path), str(free_kib), *PORTULAN],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    assert not done.returncode, done.stderr
    said = (tmp_path / "stderr").read_text()
    assert (tmp_path / "code").read_text() == "2\n"
    assert said.splitlines()[1:] == [line for line in said.splitlines() if "disk full" in line]
    cut = Story(ground, tmp_path / "cut", ["-sS", "--all"])
    cut.read(tmp_path / "out")
    whole = Story(ground, tmp_path / "whole", ["-sS", "--all"], shown=cut.shown)
    whole.check()


#: Words: a folder for what is found, KiB that are free, and how portulan is called.
FULL_DISK = """
kept=$1 free=$2; shift 2
export PORTULAN_HOME=$kept/home
mkdir "$PORTULAN_HOME"
mount -t tmpfs -o size=1m tmpfs "$PORTULAN_HOME"
head -c $(((1024 - free) * 1024)) /dev/zero > "$PORTULAN_HOME/ballast"
code=0
"$@" scan 10.91.7.0/26 -p 1-40 --max-rate 4000 -sS --all --json \
    > "$kept/out" 2> "$kept/stderr" || code=$?
echo $code > "$kept/code"
mkdir "$kept/cut" "$kept/whole"
cp -r "$PORTULAN_HOME/charts" "$kept/cut"
"$@" charts show last > "$kept/show"
rm "$PORTULAN_HOME/ballast"
mount -o remount,size=16m "$PORTULAN_HOME"
"$@" scan --resume last > "$kept/resumed"
cp -r "$PORTULAN_HOME/charts" "$kept/whole"
"""


def found_in(folder: Path, what: str) -> list[Path]:
    """Return the files of a chart that keep what was found."""
    kept = ("events.jsonl", "evidence.pcapng", "progress-scan.bin", "progress-discover4.bin")
    found = [path for path in sorted(folder.glob(what)) if path.name in kept]
    assert found
    return found

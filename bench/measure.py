"""Contenders run in turns; wall time and CPU of whole processes; medians and ratios."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Counted = Callable[[bytes], str]
"""Makes a few words of what a contender printed or wrote: `65,536 found`."""
Meter = Callable[[], int]
"""Reads a counter of the ground, as frames that arrived."""

RUN_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A command, `{out}` in it standing for a file that it writes."""

    name: str
    argv: Sequence[str]
    counted: Counted = lambda _: ""
    run_max_s: float = RUN_MAX_S
    rounds_max: int = 99
    """Fewer rounds for those that take minutes."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run cost."""

    wall_s: float
    cpu_s: float
    found: str
    metered: int
    note: str = ""


@dataclass(slots=True)
class Result:
    """All runs of one contender."""

    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def per_cpu_s(self) -> float:
        """Metered units by CPU-second."""
        return statistics.median(run.metered / run.cpu_s for run in self.runs)

    @property
    def found(self) -> str:
        """What was found: once if always the same."""
        words = dict.fromkeys(filter(None, (run.found for run in self.runs)))
        notes = dict.fromkeys(filter(None, (run.note for run in self.runs)))
        return "; ".join([*words, *notes])

    @property
    def spread(self) -> str:
        walls = [run.wall_s for run in self.runs]
        return f"{min(walls):.3f}-{max(walls):.3f}"


def installed(name: str) -> bool:
    """Say whether a peer is here; tell the reader if not."""
    if shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        return True
    print(f"  {name} is not installed: left out (apt-get install {name})")
    return False


def in_turns(
    contenders: Sequence[Contender], *, rounds: int, meter: Meter = lambda: 0
) -> dict[str, Result]:
    """Run A B C, A B C, ...: what slows the machine for a while slows all of them."""
    results = {each.name: Result(each.name) for each in contenders}
    for number in range(rounds):
        for each in contenders:
            if number < each.rounds_max:
                results[each.name].runs.append(run_once(each, meter))
    return results


def run_once(contender: Contender, meter: Meter) -> Run:
    """Run a contender to its end, or to its bound."""
    with tempfile.TemporaryDirectory(prefix="portulan-bench-") as folder:
        out, printed = Path(folder, "out"), Path(folder, "printed")
        argv = [word.replace("{out}", str(out)) for word in contender.argv]
        environment = os.environ | {"PORTULAN_HOME": folder}
        before = meter()
        with printed.open("wb") as stdout:
            began = time.monotonic()
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL,
                env=environment, cwd=folder,
            )
            late = threading.Timer(contender.run_max_s, process.send_signal, [signal.SIGKILL])
            late.start()
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - began
            late.cancel()
        process.returncode = code = os.waitstatus_to_exitcode(status)
        note = ""
        if code:
            note = f"stopped after {wall:.0f} s" if code == -signal.SIGKILL else f"exit {code}"
        data = out.read_bytes() if out.exists() else printed.read_bytes()
        return Run(wall, usage.ru_utime + usage.ru_stime, contender.counted(data),
                   meter() - before, note)

"""What every fuzz file shares: inputs by seed until a time or a count, and what they cost.

A file gives `run` one check of a random source; an exception out of it, an input of more than a
second or a process that grows too large ends the run and names the seed that repeats it.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import time
from collections.abc import Callable
from types import FrameType

SLOW_S = 1.0
"""CPU seconds that one input may take; an honest one takes a thousandth."""
HANG_S = 10.0
"""CPU seconds after which an input is taken to have no end."""
RSS_MAX_MIB = 300
"""Peak of the whole process, interpreter and NumPy included (some 60 MiB)."""

Check = Callable[[random.Random], int | None]
"""Makes and tries one input, or so many as it returns."""


class _HangError(Exception):
    """An input did not end."""


def run(check: Check, *, doc: str | None, argv: list[str] | None = None) -> None:
    """Try inputs as the command line says; `SystemExit` names the first that fails."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--seconds", type=float, help="stop after so long [5]")
    parser.add_argument("--count", type=int, help="stop after so many inputs")
    parser.add_argument("--seed", type=int, default=1, help="of the first input [1]")
    options = parser.parse_args(argv)
    seconds = 5.0 if options.seconds is None and options.count is None else options.seconds
    began, seed, count, slowest = time.monotonic(), options.seed, 0, (0.0, options.seed)
    signal.signal(signal.SIGPROF, _hung)
    while (seconds is None or time.monotonic() - began < seconds) and (
        options.count is None or count < options.count
    ):
        begin = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_PROF, HANG_S)
            count += check(random.Random(seed)) or 1
        except Exception as error:
            raise SystemExit(f"seed {seed}: {error!r}") from error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, (time.process_time() - begin, seed))
        seed += 1
    spent, peak = time.monotonic() - began, peak_mib()
    print(f"{count} inputs in {spent:.0f} s, no exception; slowest {slowest[0] * 1000:.0f} ms "
          f"(seed {slowest[1]}), peak {peak} MiB")
    if slowest[0] > SLOW_S:
        raise SystemExit(f"seed {slowest[1]}: took {slowest[0]:.1f} s, more than {SLOW_S:.0f}")
    if peak > RSS_MAX_MIB:
        raise SystemExit(f"seeds from {options.seed}: {peak} MiB, more than {RSS_MAX_MIB}")


def peak_mib() -> int:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise _HangError(f"no end in {HANG_S:.0f} CPU seconds")

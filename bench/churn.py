"""Minutes of churn on loopback: a relay before `listen --echo`; descriptors and memory stay flat.

Run: python bench/churn.py [--seconds 300] [--rate 300] [--keep]
The clients greet and leave, reset at once, hang up in the middle of an answer, wait silently, get
1 MiB echoed and compare it. Exit code 1 if a process grew, died or answered wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

AT_ONCE: Final = 100
"""Clients at one time."""
BULK: Final = os.urandom(1 << 20)
RESET: Final = struct.pack("ii", 1, 0)
"""struct linger: closing discards and resets."""
GROWTH_MB: Final = 8.0
"""Allowed between the end of the warm-up and the end: an allocator's noise, no leak of 10^4."""
PATIENCE_S: Final = 60.0
SPARE_PIPES: Final = 2 * 32
"""Ends of empty pipes that a relay keeps for the next bulk stream (splice.SPARE_PIPES_MAX)."""
#: Of 100 clients, how many do what.
MIX: Final = {"greet": 40, "reset": 25, "hang_up": 20, "silent": 5, "bulk": 10}

Facts = tuple[int, int, float]
"""Descriptors besides pipes, ends of pipes, resident MB."""
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def greet(ends: Ends) -> None:
    """Say something, end, and take the answer whole."""
    ends[1].write(b"hello")
    ends[1].write_eof()
    if await ends[0].read() != b"hello":
        raise ValueError("wrong answer")


async def reset(ends: Ends) -> None:
    """Be gone at once."""
    ends[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    ends[1].transport.abort()


async def hang_up(ends: Ends) -> None:
    """Leave while the answer is still coming: the kernel answers it with RST."""
    ends[1].write(BULK[:65_536])
    await ends[0].read(1000)


async def silent(ends: Ends) -> None:
    """Be there and say nothing."""
    await asyncio.sleep(1)


async def bulk(ends: Ends) -> None:
    """Have 1 MiB echoed, end by half-closing, compare."""
    async def send() -> None:
        ends[1].write(BULK)
        await ends[1].drain()
        ends[1].write_eof()

    _, got = await asyncio.gather(send(), ends[0].read())
    if got != BULK:
        raise ValueError(f"{len(got)} of {len(BULK)} bytes came back")


DEEDS: Final = {"greet": greet, "reset": reset, "hang_up": hang_up, "silent": silent, "bulk": bulk}


class Process:
    """One of ours, listening."""

    def __init__(self, log: Path, *words: str) -> None:
        self.name = words[0]
        self._log = log.open("wb")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "portulan", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=self._log)
        until = time.monotonic() + 20
        while b"listening on " not in log.read_bytes():
            if time.monotonic() > until or self._popen.poll() is not None:
                raise SystemExit(f"{words} does not listen: {log.read_text()}")
            time.sleep(0.05)
        self.place = log.read_text().partition("listening on ")[2].split()[0]

    def facts(self) -> Facts:
        """Return what it holds now."""
        home = Path(f"/proc/{self._popen.pid}")
        status = (home / "status").read_text()
        kb = int(status.partition("VmRSS:")[2].split()[0])
        kinds = []
        for each in (home / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                kinds.append(os.readlink(each).startswith("pipe:"))
        return len(kinds) - sum(kinds), sum(kinds), round(kb / 1024, 1)

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        self._popen.terminate()
        code = self._popen.wait(20)
        self._log.close()
        return code


class Churn:
    """Clients, as many a second as asked."""

    def __init__(self, place: str) -> None:
        host, _, port = place.rpartition(":")
        self._to = host, int(port)
        self.did: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float, rate: float) -> None:
        """Begin clients until the time is over; wait for the last."""
        begun, count = time.monotonic(), 0
        while (now := time.monotonic() - begun) < seconds:
            while count < now * rate:
                await self._room.acquire()
                count += 1
                task = asyncio.create_task(self._one())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(0.01)
        await asyncio.gather(*self._tasks)

    async def _one(self) -> None:
        name = random.choices(list(MIX), list(MIX.values()))[0]
        writer = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                ends = await asyncio.open_connection(*self._to)
                writer = ends[1]
                await DEEDS[name](ends)
            self.did[name] += 1
        except (OSError, ValueError, TimeoutError) as error:
            self.failed[f"{name}: {type(error).__name__}: {error}"] += 1
        finally:
            self._room.release()
            if writer is not None:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


async def watch(processes: list[Process], samples: list[dict[str, Facts]],
                every_s: float) -> None:
    """Note descriptors and memory again and again."""
    while True:
        await asyncio.sleep(every_s)
        samples.append({each.name: each.facts() for each in processes})
        print(json.dumps(samples[-1]), file=sys.stderr, flush=True)


async def churn(processes: list[Process], seconds: float, rate: float) -> dict[str, object]:
    """Return what happened."""
    warm = Churn(processes[-1].place)
    await warm.run(seconds / 10, rate)
    await asyncio.sleep(2)
    before = {each.name: each.facts() for each in processes}
    samples: list[dict[str, Facts]] = []
    watcher = asyncio.create_task(watch(processes, samples, max(seconds / 10, 1)))
    main = Churn(processes[-1].place)
    await main.run(seconds, rate)
    watcher.cancel()
    await asyncio.sleep(2)
    after = {each.name: each.facts() for each in processes}
    grown = [name for name in before if after[name][0] > before[name][0]
             or after[name][1] > before[name][1] + SPARE_PIPES
             or after[name][2] > before[name][2] + GROWTH_MB]
    return {"seconds": seconds, "did": dict(main.did), "failed": dict(main.failed + warm.failed),
            "before [fds, pipe ends, MB]": before, "after [fds, pipe ends, MB]": after,
            "most [fds, pipe ends, MB]": {
                name: [max(each[name][k] for each in samples) for k in range(3)]
                for name in before if samples},
            "grown": grown}


def main() -> int:
    """Run it and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=300, help="clients a second")
    parser.add_argument("--keep", action="store_true", help="the relay keeps its ledger, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PORTULAN_HOME"] = folder
        echo = Process(Path(folder, "listen.log"), "listen", "127.0.0.1:0", "--echo")
        relay = Process(Path(folder, "relay.log"), "relay", "127.0.0.1:0", echo.place, "--quiet",
                        *(["--keep"] if args.keep else []))
        found: dict[str, object] = {}
        try:
            found = asyncio.run(churn([echo, relay], args.seconds, args.rate))
        finally:
            found["exit codes"] = [relay.end(), echo.end()]
    print(json.dumps(found, indent=1))
    return 1 if found.get("grown") or found.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())

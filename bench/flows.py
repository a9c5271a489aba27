"""The flow table beside tshark's TCP conversations: CPU-seconds for the same mixed packets.

    python bench/flows.py [PACKETS]
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from portulan.link.pcapng_writer import PcapngWriter
from portulan.wire import Frames
from tests.traffic.traffic import packets


def cpu_s(*words: str) -> float:
    """Return the CPU-seconds of a program, start included, at its best of three."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(took)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    some = packets(3, count, 3_000)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "mixed.pcapng")
        with PcapngWriter(path, link_type=1) as writer:
            writer.write(Frames.of([each for each, _, _ in some], [time for _, time, _ in some]))
        mine = cpu_s(sys.executable, "-m", "portulan", "flows", path, "--json")
        print(f"portulan flows --json     {mine:6.2f} s CPU  {count / mine:12,.0f} packets/s")
        if not shutil.which("tshark"):
            print("tshark is not here")
            return
        theirs = cpu_s("tshark", "-n", "-r", path, "-q", "-z", "conv,tcp")
        print(f"tshark -q -z conv,tcp     {theirs:6.2f} s CPU  {count / theirs:12,.0f} packets/s")
        print(f"ratio {theirs / mine:.1f}")


if __name__ == "__main__":
    main()

"""Any bytes read as a capture give whole frames inside them, then `damage`, or one UsageError.

Never another exception, never frames beyond the file, never 64 MiB more, never slower than
50 ms and 5 us a byte.

Run: python fuzz/fuzz_captures.py --seconds 15 [--seed N]
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import resource
import struct
import sys
import time

from portulan.errors import UsageError
from portulan.link.captures import open_capture
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng import PcapngWriter
from portulan.wire.frames import Frames

RSS_GROWTH_MAX_KIB = 64 << 10
NUMBERS = [0, 1, 3, 4, 8, 12, 16, 28, 32, 0x7FFF, 0xFFFF, 0x40000]
NUMBERS += [0x7FFFFFFF, 0xFFFFFFFC, 0xFFFFFFFF]
KINDS = [1, 2, 3, 4, 5, 6, 10, 0xBAD, 0x0A0D0D0A, 0x1A2B3C4D, 0x4D3C2B1A]


def block(order: str, kind: int, body: bytes) -> bytes:
    """Return one pcapng block in either byte order."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def big_endian() -> bytes:
    """Return a file of the kinds our own writer never makes."""
    return b"".join([
        block(">", 0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(">", 1, struct.pack(">HHIHHI", 1, 0, 40, 9, 1, 0x8A000000)),
        block(">", 2, struct.pack(">HHIIII", 0, 4, 1, 2, 3, 9) + b"old\0"),
        block(">", 3, struct.pack(">I", 5) + b"plain"),
        block(">", 6, struct.pack(">IIIIIHHI", 0, 1, 2, 0, 9, 2, 4, 1) + bytes(4)),
        block(">", 10, struct.pack(">II", 0x544C534B, 4) + b"keys"),
        block(">", 0xBAD, struct.pack(">I", 32473) + b"ours"),
    ])


def seeds() -> list[bytes]:
    """Return small valid files of every format."""
    frames = Frames.of([bytes(range(size)) for size in (0, 20, 20, 61)], [1, 2, 3, 4])
    out = []
    for nanoseconds in (True, False):
        file = io.BytesIO()
        PcapWriter(file, link_type=1, nanoseconds=nanoseconds).write(frames)
        out.append(file.getvalue())
    file = io.BytesIO()
    writer = PcapngWriter(file, link_type=1, interface="eth0", comment="seed")
    writer.write(frames, comments={1: "note"})
    writer.names({"10.0.0.1": ["a"], "::1": ["b"]})
    writer.statistics(0, 4, 0)
    out += [file.getvalue(), big_endian(), big_endian() + file.getvalue()]
    return out + [gzip.compress(data) for data in out]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with a few bytes, numbers, lengths or pieces changed."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out)) if out else 0
        match rng.randrange(6):
            case 0 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                order = rng.choice("<>")
                out[at & ~3 : (at & ~3) + 4] = struct.pack(order + "I", rng.choice(NUMBERS + KINDS))
            case 2:
                del out[at:]
            case 3:
                del out[at : at + rng.randint(1, 40)]
            case 4:
                out[at:at] = out[at : at + rng.randint(1, 200)] * rng.randint(1, 20)
            case _:
                out[at:at] = rng.randbytes(rng.randint(1, 40))
    return bytes(out)


def check(data: bytes) -> str:
    """Read `data` as a capture; AssertionError if the invariant does not hold."""
    start, total = time.process_time(), 0
    try:
        capture = open_capture(io.BytesIO(data))
    except UsageError as error:
        assert "\n" not in str(error), error
        return "refused"
    for batch in capture:
        end = batch.offset + batch.length
        assert len(batch) and (batch.offset >= 0).all() and (end <= len(batch.buffer)).all()
        assert (batch.length >= 0).all() and (batch.wire_length >= batch.length).all()
        assert len({len(batch.offset), len(batch.length), len(batch.time_ns)}) == 1
        total += len(batch)
    assert total == capture.packets
    assert capture.damage is None or capture.damage.startswith("byte "), capture.damage
    spent = time.process_time() - start
    assert spent < 0.05 + 5e-6 * len(data), f"{spent:.3f} s for {len(data)} bytes"
    return "damaged" if capture.damage else "whole"


def main() -> int:
    """Mutate and read until the time is up; say how to repeat a failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    corpus, counts = seeds(), {"refused": 0, "damaged": 0, "whole": 0}
    for data in corpus:
        assert check(data) == "whole"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    number, until = 0, time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        rng = random.Random(f"{arguments.seed}/{number}")
        data = mutated(rng.choice(corpus), rng)
        try:
            counts[check(data)] += 1
        except Exception:
            print(f"--seed {arguments.seed}, input {number}: {data.hex()}", file=sys.stderr)
            raise
        number += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < RSS_GROWTH_MAX_KIB, f"memory grew by {grown} KiB"
    print(f"captures: {number} inputs, {counts}, memory +{grown} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

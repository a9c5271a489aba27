"""Any bytes read as a capture give whole frames inside them, then `damage`, or one UsageError.

Never another exception, never frames beyond the file, never slower than 50 ms and 5 us a byte;
copied or merged with another file, all its packets are there with their times.

Run: python fuzz/fuzz_captures.py --seconds 15 [--count N] [--seed N]
"""

from __future__ import annotations

import gzip
import io
import random
import struct
import time

import harness

from portulan.drive.capture import Capture
from portulan.drive.capture_merge import Merged
from portulan.errors import UsageError
from portulan.link.captures import open_capture
from portulan.link.pcap import PcapWriter
from portulan.link.pcapng import PcapngWriter
from portulan.wire.frames import Frames

NUMBERS = [0, 1, 3, 4, 8, 12, 16, 28, 32, 0x7FFF, 0xFFFF, 0x40000]
NUMBERS += [0x7FFFFFFF, 0xFFFFFFFC, 0xFFFFFFFF]
COPIED = 0.2
"""Which part of the inputs is copied and merged as well: that takes ten times as long."""
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


def read_all(data: bytes) -> bool:
    """Read `data` as a capture; False if it is refused. AssertionError if the law is broken."""
    start, total = time.process_time(), 0
    try:
        capture = open_capture(io.BytesIO(data))
    except UsageError as error:
        assert "\n" not in str(error), error
        return False
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
    return True


def packets_of(data: bytes) -> list[tuple[int, bytes]]:
    """Return times and octets of a capture's packets, by time as far as its order allows."""
    return [(packet.time_ns, packet.octets) for packet in Capture(io.BytesIO(data))]


def copied(capture: Capture) -> bytes:
    """Return the capture as a pcapng."""
    out = io.BytesIO()
    capture.write(out)
    return out.getvalue()


def check(rng: random.Random) -> int:
    """Damage one file; read it, copy it, and merge it with another."""
    data = mutated(rng.choice(SEEDS), rng)
    if not read_all(data) or rng.random() > COPIED:
        return 1
    there = packets_of(data)
    assert packets_of(copied(Capture(io.BytesIO(data)))) == there
    sound = rng.choice(SEEDS)
    merged = packets_of(copied(Merged([io.BytesIO(data), io.BytesIO(sound)])))
    assert sorted(merged) == sorted(there + packets_of(sound))
    return 1


SEEDS = seeds()

if __name__ == "__main__":
    for whole in SEEDS:
        assert read_all(whole)
    harness.run(check, doc=__doc__)

"""Classic BPF: an assembler with labels, the kernel's checks, an interpreter, and scan filters.

A program is a list of instructions (code, jt, jf, k) on an accumulator A, an index X and 16 words
of memory; jumps only go forward, so every program ends. `ret k` keeps k bytes of the frame; 0
drops it. Facts: McCanne and Jacobson, "The BSD Packet Filter" (1993); linux/filter.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from portulan.errors import LimitError, UsageError
from portulan.wire.ethernet import EtherType
from portulan.wire.frames import LinkType
from portulan.wire.ipv4 import IpProtocol

INSTRUCTIONS_MAX = 4096
"""The kernel's BPF_MAXINSNS: a longer program is refused at attach."""

KEEP_BYTES = 262_144
"""What accepted frames keep: tcpdump's default, more than any link carries."""

_JUMP_MAX = 255
_WORD = 0xFFFF_FFFF
_SIZES = {1: 0x10, 2: 0x08, 4: 0x00}
_WIDTH = {code: size for size, code in _SIZES.items()}
_ALU = {"add": 0x00, "sub": 0x10, "mul": 0x20, "div": 0x30, "or": 0x40, "and": 0x50,
        "lsh": 0x60, "rsh": 0x70, "neg": 0x80, "mod": 0x90, "xor": 0xA0}
_JUMPS = {"eq": 0x10, "gt": 0x20, "ge": 0x30, "set": 0x40}
_LD, _LDX, _ST, _STX, _ALU_CLASS, _JMP, _RET, _MISC = range(8)
_IMM, _ABS, _IND, _MEM, _LEN, _MSH = (mode << 5 for mode in range(6))
_X = 0x08


class Instruction(NamedTuple):
    """One instruction as the kernel takes it."""

    code: int
    jt: int
    jf: int
    k: int


Program: TypeAlias = Sequence[tuple[int, int, int, int]]


@dataclass(frozen=True, slots=True)
class Op:
    """One instruction whose jumps name labels; a `None` falls through to the next."""

    code: int
    k: int = 0
    jt: str | None = None
    jf: str | None = None


def load(at: int, size: int = 4, *, indexed: bool = False) -> Op:
    """Set A to the number of `size` octets at byte `at` of the frame, or at X + `at`."""
    return Op(_LD | _SIZES[size] | (_IND if indexed else _ABS), at)


def load_constant(k: int) -> Op:
    """Set A to k."""
    return Op(_LD | _IMM, k)


def load_length() -> Op:
    """Set A to the frame's length on the wire."""
    return Op(_LD | _LEN)


def load_memory(cell: int) -> Op:
    """Set A to M[cell]."""
    return Op(_LD | _MEM, cell)


def load_header_size(at: int) -> Op:
    """Set X to 4 * (octet `at` & 15): the size of the IPv4 header that starts there."""
    return Op(_LDX | 0x10 | _MSH, at)


def index_constant(k: int) -> Op:
    """Set X to k."""
    return Op(_LDX | _IMM, k)


def index_memory(cell: int) -> Op:
    """Set X to M[cell]."""
    return Op(_LDX | _MEM, cell)


def store(cell: int) -> Op:
    """Set M[cell] to A."""
    return Op(_ST, cell)


def store_index(cell: int) -> Op:
    """Set M[cell] to X."""
    return Op(_STX, cell)


def compute(operation: str, k: int | None = None) -> Op:
    """Set A to A operation k, or operation X if k is None; 32 bits, `neg` takes neither."""
    by_index = _X if k is None and operation != "neg" else 0
    return Op(_ALU_CLASS | _ALU[operation] | by_index, k or 0)


def jump_if(test: str, k: int | None, *, yes: str | None = None, no: str | None = None) -> Op:
    """Go on at `yes` if A eq, gt, ge k (or X if None), or set: A & k is not 0; else at `no`."""
    return Op(_JMP | _JUMPS[test] | (_X if k is None else 0), k or 0, yes, no)


def jump(label: str) -> Op:
    """Go on at a label."""
    return Op(_JMP, 0, label)


def keep(octets: int) -> Op:
    """End the program: keep that many octets of the frame, 0 drops it."""
    return Op(_RET, octets)


def keep_a() -> Op:
    """End the program: keep A octets."""
    return Op(_RET | 0x10)


def to_index() -> Op:
    """Set X to A."""
    return Op(_MISC)


def from_index() -> Op:
    """Set A to X."""
    return Op(_MISC | 0x80)


def assemble(source: Sequence[Op | str]) -> list[tuple[int, int, int, int]]:
    """Return the program of operations and labels (plain strings).

    A conditional jump reaches 255 instructions: farther ones get a `ja` of their own behind them.
    Raises `UsageError` on an unknown or backward label, `LimitError` on a program too long.
    """
    far: set[tuple[int, bool]] = set()
    while True:
        place, labels = _places(source, far)
        longer = {
            (index, side) for index, op in enumerate(source) if isinstance(op, Op)
            for side, label in ((True, op.jt), (False, op.jf))
            if label is not None and _is_conditional(op) and (index, side) not in far
            and _distance(labels, label, place[index]) > _JUMP_MAX
        }
        if not longer:
            break
        far |= longer
    program: list[tuple[int, int, int, int]] = []
    for index, op in enumerate(source):
        if isinstance(op, Op):
            sides = ((index, True) in far, (index, False) in far)
            program += _emit(op, labels, place[index], sides)
    check(program)
    return program


def _is_conditional(op: Op) -> bool:
    return op.code & 7 == _JMP and op.code != _JMP


def _places(
    source: Sequence[Op | str], far: set[tuple[int, bool]]
) -> tuple[list[int], dict[str, int]]:
    place, labels, at = [], dict[str, int](), 0
    for index, item in enumerate(source):
        place.append(at)
        if isinstance(item, str):
            if item in labels:
                raise UsageError("BPF label stands twice", text=item)
            labels[item] = at
        else:
            at += 1 + ((index, True) in far) + ((index, False) in far)
    return place, labels


def _distance(labels: dict[str, int], label: str, at: int) -> int:
    if label not in labels:
        raise UsageError("BPF label is missing", text=label)
    if labels[label] <= at:
        raise UsageError("BPF cannot jump backwards", text=label)
    return labels[label] - at - 1


def _emit(
    op: Op, labels: dict[str, int], at: int, far: tuple[bool, bool]
) -> list[tuple[int, int, int, int]]:
    if op.code == _JMP:
        return [Instruction(op.code, 0, 0, _distance(labels, op.jt or "", at))]
    if not _is_conditional(op):
        return [Instruction(op.code, 0, 0, op.k & _WORD)]
    behind: list[tuple[int, int, int, int]] = []
    sides: list[int] = []
    for label, is_far in zip((op.jt, op.jf), far, strict=True):
        if is_far:
            sides.append(len(behind))
            here = at + 1 + len(behind)
            behind.append(Instruction(_JMP, 0, 0, _distance(labels, label or "", here)))
        else:
            # A fall-through has to step over the long jumps behind the instruction.
            sides.append(sum(far) if label is None else _distance(labels, label, at))
    return [Instruction(op.code, sides[0], sides[1], op.k & _WORD), *behind]


def check(program: Program) -> None:
    """Raise unless the kernel would take the program: ends, jumps inside, no division by zero."""
    if len(program) > INSTRUCTIONS_MAX:
        raise LimitError(f"BPF program of {len(program)} instructions, {INSTRUCTIONS_MAX} fit")
    if not program or program[-1][0] & 7 != _RET:
        raise UsageError("BPF program does not end in ret")
    for at, (code, jt, jf, k) in enumerate(program):
        reach = max(jt, jf) if code != _JMP else k
        if code & 7 == _JMP and at + 1 + reach >= len(program):
            raise UsageError("BPF jump leaves the program", text=str(at))
        if code in (_ALU_CLASS | _ALU["div"], _ALU_CLASS | _ALU["mod"]) and not k:
            raise UsageError("BPF divides by zero", text=str(at))
        if code in (_ALU_CLASS | _ALU["lsh"], _ALU_CLASS | _ALU["rsh"]) and k > 31:
            raise UsageError("BPF shifts by more than 31 bits", text=str(at))
        in_memory = code & 7 in (_ST, _STX) or (code & 7 in (_LD, _LDX) and code & 0xE0 == _MEM)
        if in_memory and k >= 16:
            raise UsageError("BPF memory has 16 cells", text=str(at))


def to_bytes(program: Program) -> bytes:
    """Return the program as an array of `struct sock_filter`, in the machine's byte order."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def run(program: Program, frame: bytes, wire_length: int | None = None) -> int:
    """Return how many octets a checked program keeps of a frame; reading outside keeps none."""
    a = x = at = 0
    memory = [0] * 16
    length = len(frame) if wire_length is None else wire_length
    while True:
        code, jt, jf, k = program[at]
        kind, at = code & 7, at + 1
        if kind == _RET:
            return a if code & 0x18 == 0x10 else k
        if kind == _JMP:
            at += k if code == _JMP else (jt if _holds(code, a, x if code & _X else k) else jf)
        elif kind == _ALU_CLASS:
            operand = x if code & _X else k
            if code & 0xF0 in (_ALU["div"], _ALU["mod"]) and not operand:
                return 0
            a = _compute(code & 0xF0, a, operand) & _WORD
        elif kind == _ST:
            memory[k] = a
        elif kind == _STX:
            memory[k] = x
        elif kind == _MISC:
            a, x = (x, x) if code & 0x80 else (a, a)
        else:
            value = _load(code, k, frame, x)
            if code & 0xE0 == _MEM:
                value = memory[k]
            elif code & 0xE0 == _LEN:
                value = length
            if value is None:
                return 0
            a, x = (value, x) if kind == _LD else (a, value)


def _holds(code: int, a: int, operand: int) -> bool:
    test = code & 0xF0
    if test == _JUMPS["set"]:
        return bool(a & operand)
    return (a == operand, a > operand, a >= operand)[(test >> 4) - 1]


def _compute(operation: int, a: int, b: int) -> int:
    if operation in (_ALU["lsh"], _ALU["rsh"]):
        return 0 if b > 31 else (a << b if operation == _ALU["lsh"] else a >> b)
    if operation in (_ALU["div"], _ALU["mod"]):
        return a // b if operation == _ALU["div"] else a % b
    plain = {"add": a + b, "sub": a - b, "mul": a * b, "or": a | b, "and": a & b, "xor": a ^ b}
    return next((plain[name] for name in plain if _ALU[name] == operation), -a)


def _load(code: int, k: int, frame: bytes, x: int) -> int | None:
    mode = code & 0xE0
    if mode == _MSH:
        return (frame[k] & 15) * 4 if k < len(frame) else None
    if mode not in (_ABS, _IND):
        return k
    start, size = k + (x if mode == _IND else 0), _WIDTH[code & 0x18]
    octets = frame[start : start + size]
    return int.from_bytes(octets, "big") if len(octets) == size else None


Ports: TypeAlias = tuple[int, int]


def replies_filter(
    *, link_type: int, tcp_ports: Ports | None = None, udp_ports: Ports | None = None,
    sctp_ports: Ports | None = None, icmp: bool = False, icmp6: bool = False, arp: bool = False,
    others: bool = False,
) -> list[tuple[int, int, int, int]]:
    """Return the program that keeps frames which can answer a scan, and drops all others.

    TCP, UDP, SCTP: destination port within the inclusive range, IPv4 of any header length, no
    fragments. IPv6 with extension headers: any, since a filter cannot walk along them. ICMP and
    ICMPv6: any. ARP: replies. `others`: any IP protocol that none of these is about. The link is
    ETHERNET (the kernel has taken VLAN tags off) or one that begins with IP.
    """
    ethernet = link_type == LinkType.ETHERNET
    if not ethernet and link_type not in (LinkType.RAW, LinkType.IPV4, LinkType.IPV6):
        raise UsageError("no reply filter for this link type", text=str(link_type))
    ranges = {
        IpProtocol.TCP: tcp_ports, IpProtocol.UDP: udp_ports, IpProtocol.SCTP: sctp_ports,
    }
    other = jump("keep" if others else "drop")
    wanted = {int(kind): ports for kind, ports in ranges.items() if ports is not None}
    at = 14 if ethernet else 0
    source: list[Op | str] = [*_by_link(ethernet=ethernet, arp=arp), "ip4", load(at + 9, 1)]
    if icmp:
        source.append(jump_if("eq", IpProtocol.ICMP, yes="keep"))
    source += [jump_if("eq", kind, yes=f"ip4-{kind}") for kind in wanted] + [other]
    for kind, ports in wanted.items():
        source += [
            f"ip4-{kind}", load(at + 6, 2), jump_if("set", 0x3FFF, yes="drop"),
            load_header_size(at), load(at + 2, 2, indexed=True), *_in_range(ports),
        ]
    source += ["ip6", load(at + 6, 1)]
    if wanted or icmp6:
        source += [jump_if("eq", kind, yes="keep") for kind in _EXTENSIONS]
    if icmp6:
        source.append(jump_if("eq", IpProtocol.ICMPV6, yes="keep"))
    source += [jump_if("eq", kind, yes=f"ip6-{kind}") for kind in wanted] + [other]
    for kind, ports in wanted.items():
        source += [f"ip6-{kind}", load(at + 42, 2), *_in_range(ports)]
    return assemble([*source, "keep", keep(KEEP_BYTES), "drop", keep(0)])


#: What may stand before the header that answers; a fragment header also alone (RFC 6946).
_EXTENSIONS: Final = (
    IpProtocol.HOPOPT, IpProtocol.ROUTING, IpProtocol.FRAGMENT, IpProtocol.DESTINATION,
)


def _in_range(ports: Ports) -> list[Op | str]:
    low, high = ports
    return [jump_if("ge", low, no="drop"), jump_if("gt", high, yes="drop", no="keep")]


def _by_link(*, ethernet: bool, arp: bool) -> list[Op | str]:
    if not ethernet:
        return [
            load(0, 1), compute("rsh", 4), jump_if("eq", 4, yes="ip4"),
            jump_if("eq", 6, yes="ip6", no="drop"),
        ]
    found: list[Op | str] = [
        load(12, 2), jump_if("eq", EtherType.IPV4, yes="ip4"),
        jump_if("eq", EtherType.IPV6, yes="ip6"),
    ]
    if arp:
        reply = [load(20, 2), jump_if("eq", 2, yes="keep", no="drop")]
        return [*found, jump_if("eq", EtherType.ARP, no="drop"), *reply]
    return [*found, jump("drop")]

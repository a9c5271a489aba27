"""An independent judge of TCP: one segment after the other, in plain Python, by tshark's rules."""

from __future__ import annotations

from tests.traffic.reference import endpoints

FIN, SYN, RST, ACK = 1, 2, 4, 16
WRAP = 1 << 32


def signed(number):
    number %= WRAP
    return number - WRAP if number >= 1 << 31 else number


class Side:
    def __init__(self):
        self.next = self.next_ns = self.ack = self.ack_ns = self.window = None
        self.duplicates = 0
        self.data = None
        self.counts = {"retransmissions": 0, "out_of_order": 0, "zero_windows": 0, "payload": 0}
        self.rtts = []


class Connection:
    def __init__(self, first):
        self.first = first
        self.sides = {False: Side(), True: Side()}
        self.ended, self.isn = False, None
        self.syn_ns = self.syn_ack = None
        self.rtt = self.rtt_server = self.rtt_client = None
        self.history = []

    def happened(self, letter, rev):
        letter = letter if rev else letter.upper()
        if letter not in self.history:
            self.history.append(letter)

    def add(self, rev, seq, ack, flags, window, size, now):
        mine, other = self.sides[rev], self.sides[not rev]
        mine.counts["payload"] += size
        again = empty = False
        if not flags & RST:
            self.handshake(rev, flags, now)
            again, empty = self.judge(mine, other, seq, ack, flags, window, size, now)
        self.tell(rev, flags, size, again, empty)

    def tell(self, rev, flags, size, again, empty):
        controls = [bool(flags & bit) for bit in (SYN, FIN, RST)]
        if sum(controls) > 1:
            letters = "q" if flags & SYN else "i"
        elif flags & SYN:
            letters = "h" if flags & ACK else "s"
        else:
            letters = {FIN: "f", RST: "r"}.get(flags & (FIN | RST), "")
            if not letters and flags & ACK and not size:
                letters = "a"
        order = "shadfrtwiq"
        letters += ("d" if size else "") + ("t" if again else "") + ("w" if empty else "")
        for letter in sorted(letters, key=order.index):
            self.happened(letter, rev)

    def handshake(self, rev, flags, now):
        if flags & SYN and not flags & ACK:
            self.syn_ns = now
        elif flags & SYN:
            if self.syn_ns is not None and self.rtt_server is None:
                self.rtt_server = now - self.syn_ns
            if self.rtt is None:
                self.syn_ack = (now, rev)
        elif (flags & ACK and self.syn_ack and self.syn_ack[1] != rev
              and self.rtt_client is None):
            self.rtt_client = now - self.syn_ack[0]
            if self.syn_ns is not None:
                self.rtt = now - self.syn_ns

    def judge(self, mine, other, seq, ack, flags, window, size, now):
        control = bool(flags & (SYN | FIN))
        end = (seq + size + control) % WRAP
        known = mine.next is not None
        below = known and signed(seq - mine.next) < 0
        just_below = known and signed(seq - mine.next) == -1
        alive = just_below and size <= 1 and not control
        ack = ack if flags & ACK else None
        again = late = False
        if (size or control) and not alive:
            old = below and not (just_below and size > 1)
            spurious = size and other.ack is not None and signed(seq + size - other.ack) <= 0
            fast = old and (other.duplicates >= 2 and other.ack == seq
                            and now - other.ack_ns < 20_000_000)
            if spurious or fast:
                again = True
            elif old:
                rtt = self.rtt or 3_000_000
                late = now - mine.next_ns < rtt and mine.next != end
                again = not late
        changed = ack != mine.ack
        if changed:
            mine.duplicates = 0
        elif (ack is not None and not size and not control and window and window == mine.window
              and known and seq == mine.next):
            mine.duplicates += 1
        if ack is not None and changed and other.data is not None and other.data[0] == ack:
            other.rtts.append(now - other.data[1])
        mine.ack, mine.ack_ns, mine.window = ack, now, window
        if size:
            data_end = (seq + size + bool(flags & FIN)) % WRAP
            mine.data = None if again or late else (data_end, now)
        if not known or signed(end - mine.next) > 0:
            mine.next, mine.next_ns = end, now
        empty = window == 0 and not control
        for name, value in (("retransmissions", again), ("out_of_order", late),
                            ("zero_windows", empty)):
            mine.counts[name] += value
        return again, empty

    def told(self):
        found = {"rtt_ns": self.rtt, "rtt_server_ns": self.rtt_server,
                 "rtt_client_ns": self.rtt_client, "history": "".join(self.history) or None}
        for rev, name in ((False, "fwd"), (True, "rev")):
            side = self.sides[rev]
            found |= {f"{what}_{name}": count for what, count in side.counts.items()}
            found[f"ack_rtt_{name}_ns"] = sum(side.rtts) // len(side.rtts) if side.rtts else None
        return found


def reference_connections(packets):
    """Return what is known of each TCP connection of (Ethernet octets, time_ns, wire length)."""
    now_open, found = {}, []
    for octets, now, _ in packets:
        vlan, protocol, src, dst = endpoints(octets)
        if protocol != 6:
            continue
        at = 14
        ip4 = octets[12:14] == b"\x08\x00"
        head = (octets[at] & 15) * 4 if ip4 else 40
        total = int.from_bytes(octets[at + 2 : at + 4]) if ip4 else (
            int.from_bytes(octets[at + 4 : at + 6]) + 40)
        tcp = octets[at + head : at + total]
        seq, ack = int.from_bytes(tcp[4:8]), int.from_bytes(tcp[8:12])
        size = len(tcp) - (tcp[12] >> 4) * 4
        flags, window = tcp[13], int.from_bytes(tcp[14:16])
        key = (vlan, *sorted((src, dst)))
        connection = now_open.get(key)
        opens = flags & (SYN | ACK | RST | FIN) == SYN
        fresh = opens and (connection is None or connection.isn != seq)
        if connection is None or (fresh and connection.ended):
            connection = now_open[key] = Connection(src)
            found.append(connection)
        elif fresh:
            connection.ended = False
        if opens:
            connection.isn = seq
        connection.ended |= bool(flags & (FIN | RST))
        connection.add(src != connection.first, seq, ack, flags, window, size, now)
    return [each.told() for each in found]

"""NTP, versions 1 to 4."""

from __future__ import annotations

from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told, Value
from portulan.wire.layout import u2, u3, u8, u32, u64

UNIX_EPOCH_S = 2_208_988_800
"""Seconds from NTP's epoch, 1900, to Unix's."""
_MODES = {1: "symmetric active", 2: "symmetric passive", 3: "client", 4: "server", 5: "broadcast"}


class NTP(Header, udp=123):
    """NTP (RFC 5905 section 7.3); control messages (modes 6 and 7) have another form.

    leap: 1 a second more, 2 a second less, 3 not synchronised
    version: 4, or less
    mode: 3 client, 4 server, 5 broadcast
    stratum: 1 has a clock of its own, 2 asks such a one, ...; 0 refuses
    poll: time between questions, as a power of 2 [s]
    precision: of the clock, as a signed power of 2 [s]
    root_delay: round trip to the clock [1/65536 s]
    root_dispersion: error of the clock [1/65536 s]
    reference: kind or address of the clock asked
    reference_time: when the clock was last set
    originate_time: when the question was sent, by the asker's clock
    receive_time: when the question came
    transmit_time: when this was sent
    """

    leap: u2 = 0
    version: u3 = 4
    mode: u3 = 3
    stratum: u8 = 0
    poll: u8 = 0
    precision: u8 = 0
    root_delay: u32 = 0
    root_dispersion: u32 = 0
    reference: u32 = 0
    reference_time: u64 = 0
    originate_time: u64 = 0
    receive_time: u64 = 0
    transmit_time: u64 = 0

    transmit_ns = Told("when this was sent, in Unix time", int, "ns")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether it is no control message."""
        return octets[at] & 7 in _MODES

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell the time sent; keys and extensions are payload."""
        told: dict[str, Value] = {}
        if self.transmit_time:
            seconds, fraction = divmod(self.transmit_time, 1 << 32)
            # Era 1 begins in 2036: a small number of seconds is after that (RFC 4330 section 3).
            seconds += 0 if seconds >> 31 else 1 << 32
            told["transmit_ns"] = (seconds - UNIX_EPOCH_S) * 10**9 + (fraction * 10**9 >> 32)
        brief = f"NTPv{self.version} {_MODES.get(self.mode, self.mode)} stratum {self.stratum}"
        return Inside(at + self.size, end, told=told, brief=brief)

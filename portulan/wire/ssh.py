"""SSH: the greeting."""

from __future__ import annotations

from portulan.wire.header import Header
from portulan.wire.inside import Inside, Told, text_of

GREETING_MAX_OCTETS = 255
"""RFC 4253 section 4.2, line end included."""


class SSH(Header, tcp=22, anywhere=True):
    """The greeting of SSH (RFC 4253 section 4.2); it has no fixed octets."""

    version = Told("of the protocol; 2.0")
    software = Told("who greets")
    comment = Told("what the software adds")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a greeting begins here."""
        return octets.startswith(b"SSH-", at, end)

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell version and software."""
        line, ended, _ = octets[at : min(end, at + GREETING_MAX_OCTETS)].partition(b"\n")
        greeting, _, comment = text_of(line.rstrip(b"\r")).partition(" ")
        _, version, software = [*greeting.split("-", 2), "", ""][:3]
        told = {"version": version, "software": software, "comment": comment}
        defect = "" if ended else "the greeting does not end"
        stop = min(at + len(line) + len(ended), end)
        return Inside(stop, end, told=told, brief=f"SSH {greeting}", defect=defect)

"""Whether a name server works for strangers."""

from __future__ import annotations

from typing import Final

from .script import Place, Say, Script, Told, check

_QUERY: Final = bytes.fromhex("1c4b01000001000000000000" "00" "00020001")
"""NS of the root with recursion desired (RFC 1035 section 4.1.1): every resolver knows it, so that
nobody else has to be asked."""


@check("dns-recursion", services=("dns",), transport="udp")
def dns_recursion(place: Place) -> Script:
    """Ask for the root's servers, and see whether recursion is offered to us."""
    answer = yield Say(_QUERY, enough=lambda data: len(data) >= 12)
    if len(answer) < 12 or answer[:2] != _QUERY[:2] or not answer[2] & 0x80:
        return []
    refused = answer[3] & 0x0F == 5
    if answer[3] & 0x80 and not refused:
        return [Told("offers recursion to whoever asks", "warning")]
    return [Told("recursion is not offered")]

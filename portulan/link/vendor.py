"""Who made a network card, by the IEEE's register of address blocks, through netaddr.

netaddr reads its whole index when imported, 0.1 s: so only where used, and only for a MAC that
the register can know at all.
"""

from __future__ import annotations

from functools import cache


def locally_administered(mac: bytes) -> bool:
    """Tell whether the address was made up on the machine (IEEE 802 section 8.2): no vendor then.

    Virtual machines, containers and phones that hide behind random addresses have such.
    """
    return bool(mac[0] & 0x02)


def vendor(mac: bytes) -> str:
    """Return the organisation that registered this MAC's first 24 bits, '' if none did."""
    if len(mac) != 6 or mac[0] & 0x03 or not any(mac):  # local, a group, or the zeros of loopback
        return ""
    return _organisation(mac[:3])


@cache
def _organisation(block: bytes) -> str:
    from netaddr import OUI, NotRegisteredError

    try:
        return str(OUI(int.from_bytes(block, "big")).registration().org)
    except NotRegisteredError:
        return ""

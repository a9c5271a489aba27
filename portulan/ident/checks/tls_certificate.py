"""What a certificate says, and what is wrong with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from portulan.ident.certificates import Certificate, read

from .script import Place, Script, Told, check

SOON_DAYS: Final = 30
NAMES_SHOWN: Final = 6
RSA_LEAST: Final = 2048
DAY_S: Final = 86_400


@check("tls-certificate", secure_only=True, connections=0, octets=0)
def tls_certificate(place: Place) -> Script:
    """Read the certificate that the handshake showed: names, dates, key, who signed it."""
    yield from ()  # a script is a generator, even one that says nothing
    handshake = place.service.handshake
    if handshake is None or not handshake.certificates:
        return []
    found = read(handshake.certificates[0])
    if found is None:
        return [Told("its certificate cannot be read", "warning")]
    told = [Told(_who(found)), Told(f"sha256 {found.sha256}")]
    return [*told, *_dates(found, place.now_s), *_weak(found)]


def _who(found: Certificate) -> str:
    names = found.names or ((found.subject,) if found.subject else ())
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    by = "itself" if found.self_signed else found.issuer or "somebody without a name"
    return (f"certificate for {', '.join(names[:NAMES_SHOWN]) or 'nobody'}{more}; by {by}; "
            f"{found.key}")


def _dates(found: Certificate, now_s: float) -> list[Told]:
    left_days = (found.not_after_s - now_s) / DAY_S
    until = datetime.fromtimestamp(found.not_after_s, UTC).strftime("%Y-%m-%d")
    if left_days < 0:
        return [Told(f"expired on {until}, {-left_days:.0f} days ago", "warning")]
    if now_s < found.not_before_s:
        since = datetime.fromtimestamp(found.not_before_s, UTC).strftime("%Y-%m-%d")
        return [Told(f"not valid before {since}", "warning")]
    soon = left_days < SOON_DAYS
    return [Told(f"expires on {until}, in {left_days:.0f} days", "warning" if soon else "info")]


def _weak(found: Certificate) -> list[Told]:
    told = []
    if found.self_signed:
        told.append(Told("signed by itself: nobody vouches for it", "warning"))
    if found.rsa_bits and found.rsa_bits < RSA_LEAST:
        told.append(Told(f"its RSA key of {found.rsa_bits} bits can be broken", "warning"))
    if "md5" in found.signature or "sha1" in found.signature:
        told.append(Told(f"signed with {found.signature}, which can be forged", "warning"))
    return told

"""What a mail server can, and whether it can be encrypted."""

from __future__ import annotations

import re
from typing import Final

from portulan.ident.text import decode

from .script import Place, Say, Script, Told, check

_LAST: Final = re.compile(rb"^[2-5][0-9]{2}(?: [^\r\n]*)?\r?\n\Z", re.M)
LINES_MAX: Final = 40


def replied(data: bytes) -> bool:
    """Tell whether a reply of SMTP or FTP is complete: its last line has no hyphen."""
    return bool(_LAST.search(data))


@check("smtp-capabilities", services=("smtp",), octets=32 << 10, seconds=15)
def smtp_capabilities(place: Place) -> Script:
    """Say EHLO, and list the extensions (RFC 5321 section 4.1.1.1)."""
    yield Say(enough=replied)
    answer = yield Say(b"EHLO portulan.invalid\r\n", enough=replied)
    if not answer.startswith(b"250"):
        return []
    yield Say(b"QUIT\r\n", enough=replied)
    names = [decode(line[4:]).strip() for line in answer.splitlines()[1:LINES_MAX]]
    told = [Told(f"extensions: {', '.join(name for name in names if name) or 'none'}")]
    words = {name.split(" ")[0].upper() for name in names if name}
    if not place.secure and "STARTTLS" not in words:
        told.append(Told("mail travels in the clear: no STARTTLS", "warning"))
        if any(name.upper().startswith("AUTH") for name in names):
            told.append(Told("passwords too: AUTH is offered without TLS", "warning"))
    return told


@check("ftp-features", services=("ftp",), octets=32 << 10, seconds=15)
def ftp_features(place: Place) -> Script:
    """Ask for FTP's features without logging in (RFC 2389 section 3)."""
    yield Say(enough=replied)
    answer = yield Say(b"FEAT\r\n", enough=replied)
    yield Say(b"QUIT\r\n", enough=replied)
    if not answer.startswith(b"211"):
        return []
    names = [decode(line).strip() for line in answer.splitlines()[1:LINES_MAX]
             if line.startswith(b" ")]
    told = [Told(f"features: {', '.join(names)}")] if names else []
    if not place.secure and not any(name.upper().startswith("AUTH") for name in names):
        told.append(Told("passwords travel in the clear: no AUTH TLS", "warning"))
    return told

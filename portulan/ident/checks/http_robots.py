"""What robots.txt asks search engines not to look at."""

from __future__ import annotations

from typing import Final

from portulan.ident.text import decode

from .script import Place, Say, Script, Told, check
from .web import Answer, get, whole

SHOWN: Final = 8
PATH_MAX: Final = 60


@check("http-robots", services=("http",), octets=128 << 10)
def http_robots(place: Place) -> Script:
    """List what robots.txt names (RFC 9309)."""
    answer = Answer((yield Say(get(place, "/robots.txt"), enough=whole)))
    if answer.status != 200:
        return []
    paths = [
        decode(line.partition(b":")[2].strip())[:PATH_MAX]
        for line in answer.body.splitlines() if line.lower().startswith(b"disallow:")]
    paths = list(dict.fromkeys(path for path in paths if path))
    if not paths:
        return []
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return [Told(f"robots.txt keeps robots from {', '.join(paths[:SHOWN])}{more}")]

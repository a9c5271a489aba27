"""Which methods a web server says that it takes."""

from __future__ import annotations

from typing import Final

from .script import Place, Say, Script, Told, check
from .web import Answer, get, headers_of, whole

CHANGING: Final = ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT")
METHODS_MAX: Final = 40


@check("http-methods", services=("http",), octets=64 << 10)
def http_methods(place: Place) -> Script:
    """Ask by OPTIONS (RFC 9110 section 9.3.7); no other method is tried."""
    answer = Answer((yield Say(get(place, "/", "OPTIONS"), enough=whole)))
    if not 200 <= answer.status < 300:
        return []
    offered = [
        word.strip().upper() for value in headers_of(answer.head, "allow")
        for word in value.split(",")][:METHODS_MAX]
    names = [name for name in dict.fromkeys(offered) if name.isalpha() and len(name) <= 20]
    if not names:
        return []
    risky = [name for name in names if name in CHANGING]
    said = f"methods it names: {', '.join(names)}"
    return [Told(said, "warning" if risky else "info")]

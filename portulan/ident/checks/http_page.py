"""What a web server's front page shows: title, redirect, protective headers, cookies."""

from __future__ import annotations

from typing import Final

from portulan.ident.http import parse
from portulan.ident.text import decode

from .script import Place, Say, Script, Told, check
from .web import Answer, get, headers_of, whole

PROTECTIVE: Final = {
    "strict-transport-security": "Strict-Transport-Security",
    "content-security-policy": "Content-Security-Policy",
    "x-content-type-options": "X-Content-Type-Options",
    "x-frame-options": "X-Frame-Options",
}
"""Headers by which a site asks browsers to be careful."""
TEXT_MAX: Final = 200
COOKIES_MAX: Final = 8


@check("http-page", services=("http",), octets=512 << 10)
def http_page(place: Place) -> Script:
    """Read the front page's title, where it leads, what protects browsers and what does not."""
    answer = Answer((yield Say(get(place, "/"), enough=whole)))
    if answer.status == 0:
        return []
    facts = parse(answer.data)
    title = facts.fields.get("http.title", "") if facts else ""
    told = []
    if title:
        told.append(Told(f"title: {title[:TEXT_MAX]}"))
    if answer.status in (301, 302, 303, 307, 308) and (to := answer.header("location")):
        told.append(Told(f"{answer.status}: leads to {to[:TEXT_MAX]}"))
    elif answer.status != 200:
        told.append(Told(f"front page: status {answer.status}"))
    if answer.status == 200 and answer.header("content-type").startswith("text/html"):
        wanted = [name for key, name in PROTECTIVE.items() if not answer.header(key)
                  and (place.secure or not key.startswith("strict"))]
        if wanted:
            told.append(Told(f"headers it does without: {', '.join(wanted)}"))
    return told + _cookies(answer, secure=place.secure)


def _cookies(answer: Answer, *, secure: bool) -> list[Told]:
    """Return the cookies that scripts may read, or that travel on plain connections too."""
    told = []
    for value in headers_of(answer.head, "set-cookie")[:COOKIES_MAX]:
        parts = [part.strip().lower() for part in value.split(";")]
        lacks = [name for name in ("HttpOnly", *(["Secure"] if secure else []))
                 if name.lower() not in parts]
        name = decode(value.partition("=")[0].encode("latin-1"))[:60]
        if lacks:
            told.append(Told(f"cookie {name} without {' and '.join(lacks)}"))
    return told

"""Request inspection: every request is shown as it came in, and gets the answer you chose."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from portulan.errors import printable
from portulan.sockets.serve_files import Body
from portulan.sockets.serve_http import END_OF_HEAD, Request, Response

SHOWN_MAX_BYTES: Final = 64 * 1024
"""Of one body; the rest is counted and dropped."""

LINE_MAX: Final = 64 * 1024
"""Characters of one line shown to people; escapes make four of one byte."""


class Seen(msgspec.Struct, frozen=True, tag="request", tag_field="type"):
    """One request as a JSON line; `head_b64` and `body_b64` are the very bytes."""

    peer: str
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    head_b64: str
    body_b64: str
    body_bytes: int


class Inspector:
    """The handler that shows and answers; `show` gets a request's text or its JSON line."""

    def __init__(
        self, show: Callable[[str], None], *, json: bool = False, status: int = 200,
        body: bytes = b"", headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._show, self._json = show, json
        self._status, self._body, self._headers = status, body, list(headers)
        if not any(name.lower() == "content-type" for name, _ in headers):
            self._headers.append(("Content-Type", "text/plain; charset=utf-8"))

    def close(self) -> None:
        """Hold nothing."""

    async def answer(self, request: Request, body: Body) -> Response:
        """Read the body, show the request, give the answer."""
        kept = bytearray()
        count = 0
        while data := await body.read():
            count += len(data)
            kept += data[: SHOWN_MAX_BYTES - len(kept)]
        tell = json_line if self._json else text
        self._show(tell(request, bytes(kept), count, peer=body.peer))
        parts = [self._body] if self._body and self._status not in {204, 304} else []
        return Response(self._status, list(self._headers), [*parts])


def json_line(request: Request, body: bytes, count: int, *, peer: str) -> str:
    """Return a request as one JSON object."""
    major, minor = request.version
    seen = Seen(
        peer=peer, method=request.method, target=request.target, version=f"{major}.{minor}",
        headers=list(request.headers), head_b64=base64.b64encode(request.head).decode(),
        body_b64=base64.b64encode(body).decode(), body_bytes=count,
    )
    return msgspec.json.encode(seen).decode()


def text(request: Request, body: bytes, count: int, *, peer: str) -> str:
    """Return a request for people: line by line as received, what is not printable escaped."""
    head = request.head.removesuffix(END_OF_HEAD).split(b"\r\n")
    lines = [f"# from {printable(peer)}", *(_shown(line) for line in head), ""]
    if body:
        lines += [_shown(line) for line in body.removesuffix(b"\n").split(b"\n")]
    if count > len(body):
        lines.append(f"# {count - len(body)} more bytes not shown")
    return "\n".join(lines) + "\n"


def _shown(line: bytes) -> str:
    return printable(line.decode("utf-8", "backslashreplace"), LINE_MAX)

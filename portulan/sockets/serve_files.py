"""Requests to files of a folder: GET, HEAD and, where it was asked for, uploads."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import stat
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from portulan.sockets.serve_http import (
    RefusedError,
    Request,
    Response,
    Slice,
    Source,
    plain,
)
from portulan.sockets.serve_kept import stamp_of
from portulan.sockets.serve_multipart import Data, End, Multipart, Part, boundary
from portulan.sockets.serve_page import PAGE_HEADERS, folder_page
from portulan.sockets.serve_range import UnsatisfiableError, Validators, precondition, ranges
from portulan.sockets.serve_tree import Found, Tree, segments, url_path
from portulan.sockets.serve_upload import Incoming, check_name, disk_refusals, incoming

UPLOAD_MAX_BYTES: Final = 1 << 30
"""One file, unless `--max-upload` says otherwise: a mistake should not fill a disk."""

SNIFF_BYTES: Final = 64 * 1024
"""How much of a text is looked at before its charset is promised."""

INDEX: Final = "index.html"
BYTERANGES: Final = "portulan-byteranges-7d1f0c2a9b64e853"
"""A boundary must not stand in the body; a fixed one keeps answers equal, and who serves a file
with this very line in it confuses only the readers of that file."""

MORE_TYPES: Final = {
    ".avif": "image/avif", ".cjs": "text/javascript", ".flac": "audio/flac",
    ".jsonl": "application/jsonl", ".log": "text/plain", ".m4a": "audio/mp4",
    ".md": "text/markdown", ".mjs": "text/javascript", ".mkv": "video/x-matroska",
    ".ogg": "audio/ogg", ".opus": "audio/ogg", ".pcap": "application/vnd.tcpdump.pcap",
    ".pcapng": "application/vnd.tcpdump.pcap", ".toml": "application/toml",
    ".ts": "text/plain", ".wasm": "application/wasm", ".webp": "image/webp",
    ".woff": "font/woff", ".woff2": "font/woff2", ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
ENCODED_TYPES: Final = {
    "gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz",
    "compress": "application/x-compress", "br": "application/octet-stream",
}


class Body(Protocol):
    """A request's body as it comes in, and from whom."""

    @property
    def peer(self) -> str:
        """The client, as `ADDR:PORT`."""

    def read(self) -> Awaitable[bytes]:
        """Return the next bytes, empty at the end."""


class Handler(Protocol):
    """What makes a response of a request; refuses by raising RefusedError."""

    def answer(self, request: Request, body: Body) -> Awaitable[Response]:
        """Answer one request; whatever of the body is not read is dropped."""

    def close(self) -> None:
        """Let go of what is held open."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Whether files may come in, may replace others, and how large one may be."""

    allowed: bool = False
    overwrite: bool = False
    limit_bytes: int = UPLOAD_MAX_BYTES


def now_ns() -> int:
    """Return the wall clock: HTTP compares it with files' times."""
    return int(datetime.now(UTC).timestamp() * 1e9)


class Files:
    """The handler of a folder."""

    def __init__(self, tree: Tree, uploads: Uploads = Uploads()) -> None:
        self._tree, self._uploads = tree, uploads
        self._types = mimetypes.MimeTypes(filenames=())
        for suffix, name in MORE_TYPES.items():
            self._types.add_type(name, suffix)
        self._methods = "GET, HEAD, OPTIONS" + (", PUT, POST" if uploads.allowed else "")

    def close(self) -> None:
        """Let go of the folder."""
        self._tree.close()

    async def answer(self, request: Request, body: Body) -> Response:
        """Answer one request."""
        match request.method:
            case "GET" | "HEAD":
                return await self._get(request)
            case "PUT" if self._uploads.allowed:
                return await self._put(request, body)
            case "POST" if self._uploads.allowed:
                return await self._post(request, body)
            case "OPTIONS":
                return Response(204, [("Allow", self._methods)])
        raise RefusedError(405, headers=[("Allow", self._methods)])

    # -- out ---------------------------------------------------------------------------------

    async def _get(self, request: Request) -> Response:
        names = segments(request.path)
        found = self._tree.open(names)
        if not (stat.S_ISDIR(found.status.st_mode) or names[-1]):
            os.close(found.fd)
            raise RefusedError(404)
        if stat.S_ISDIR(found.status.st_mode):
            os.close(found.fd)
            if names[-1]:
                return plain(301, headers=[("Location", url_path((*names, "")))])
            index = self._index(names)
            if index is None:
                # A folder of 100,000 files takes a second: in a thread, others are served.
                page = await asyncio.to_thread(self._page, names[:-1])
                return Response(200, list(PAGE_HEADERS), [page])
            found = index
        try:
            return self._file(request, found)
        except BaseException:
            os.close(found.fd)
            raise

    def _page(self, names: Sequence[str]) -> bytes:
        entries = self._tree.entries(names)
        return folder_page(names, entries, upload=self._uploads.allowed)

    def _index(self, names: Sequence[str]) -> Found | None:
        try:
            found = self._tree.open((*names, INDEX))
        except RefusedError as refusal:
            if refusal.status == 404:
                return None
            raise
        if stat.S_ISREG(found.status.st_mode):
            return found
        os.close(found.fd)
        return None

    def _file(self, request: Request, found: Found) -> Response:
        size = found.status.st_size
        validators = _validators(found.status)
        headers = [*validators.headers, ("Accept-Ranges", "bytes"),
                   ("X-Content-Type-Options", "nosniff")]
        stamp = None if validators.weak else Source(found.path, stamp_of(found.status))
        status = precondition(request, validators)
        if status:
            return Response(status, headers, file=found.fd, source=stamp)
        kind = self._type(found)
        try:
            slices = ranges(request, validators, size)
        except UnsatisfiableError:
            raise RefusedError(416, headers=[("Content-Range", f"bytes */{size}")]) from None
        whole = Response(200, headers, [Slice(0, size)] if size else [], found.fd, stamp)
        if slices is None:
            headers.append(("Content-Type", kind))
        elif len(slices) == 1:
            whole.status, whole.parts = 206, [*slices]
            headers += [("Content-Type", kind), ("Content-Range", _content_range(slices[0], size))]
        else:
            whole.status, whole.parts = 206, _multipart(slices, kind, size)
            headers.append(("Content-Type", f"multipart/byteranges; boundary={BYTERANGES}"))
        return whole

    def _type(self, found: Found) -> str:
        # With `./` before it a name like `data:text/html,` is read as a name, not as a URL.
        name = found.path.rpartition("/")[2]
        kind, encoding = self._types.guess_type("./" + name)
        if encoding:
            return ENCODED_TYPES.get(encoding, "application/octet-stream")
        if kind is None or not kind.startswith("text/"):
            return kind or "application/octet-stream"
        return f"{kind}; charset=utf-8" if _is_utf8(found.fd) else kind

    # -- in ----------------------------------------------------------------------------------

    async def _put(self, request: Request, body: Body) -> Response:
        _same_origin(request)
        if request.header("content-range") is not None:
            raise RefusedError(400, "a part of a file cannot be put (RFC 9110 section 14.5)")
        names = segments(request.path)
        name = check_name(names[-1])
        self._check_length(request)
        with self._tree.folder(names[:-1]) as folder:
            overwrite = self._may_replace(request, folder, name)
            with incoming(folder, name, limit_bytes=self._uploads.limit_bytes) as file:
                while data := await body.read():
                    file.write(data)
                new = file.put(overwrite=overwrite)
        return plain(201, "stored", [("Location", url_path(names))]) if new else Response(204)

    def _may_replace(self, request: Request, folder: int, name: str) -> bool:
        """Return whether a file may be replaced; raises RefusedError if a condition fails."""
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            if request.header("if-match") is not None:
                raise RefusedError(412) from None
            return self._uploads.overwrite and request.header("if-none-match") is None
        if precondition(request, _validators(status)):
            raise RefusedError(412)
        if not self._uploads.overwrite or stat.S_ISDIR(status.st_mode):
            raise RefusedError(409, "there is something of that name already")
        return True

    async def _post(self, request: Request, body: Body) -> Response:
        _same_origin(request)
        names = segments(request.path)
        mark = boundary(request.header("content-type"))
        if mark is None:
            raise RefusedError(415, "expects multipart/form-data; PUT takes a file as it is")
        if names[-1]:
            raise RefusedError(404, "a form goes to a folder: its path ends in a slash")
        stored: list[str] = []
        with self._tree.folder(names[:-1]) as folder:
            await self._store_form(Multipart(mark), body, folder=folder, stored=stored)
        if not stored:
            raise RefusedError(400, "the form has no file")
        return plain(303, "stored " + ", ".join(stored), [("Location", url_path(names))])

    async def _store_form(
        self, form: Multipart, body: Body, *, folder: int, stored: list[str]
    ) -> None:
        file: Incoming | None = None
        name = ""
        try:
            while data := await body.read():
                with disk_refusals():
                    for event in form.feed(data):
                        if isinstance(event, Part) and event.filename:
                            name = check_name(event.filename)
                            file = Incoming(folder, name, self._uploads.limit_bytes)
                        elif isinstance(event, Data) and file:
                            file.write(event.data)
                        elif isinstance(event, End) and file:
                            done, file = file, None
                            self._put_and_close(done)
                            stored.append(name)
        finally:
            if file:
                file.close()
        if not form.done:
            raise RefusedError(400, "the form is cut off")

    def _put_and_close(self, file: Incoming) -> None:
        try:
            file.put(overwrite=self._uploads.overwrite)
        finally:
            file.close()

    def _check_length(self, request: Request) -> None:
        if (request.length or 0) > self._uploads.limit_bytes:
            raise RefusedError(413, f"more than {self._uploads.limit_bytes} bytes are not taken")


def _validators(status: os.stat_result) -> Validators:
    return Validators.of(size=status.st_size, mtime_ns=status.st_mtime_ns,
                         ctime_ns=status.st_ctime_ns, now_ns=now_ns())


def _same_origin(request: Request) -> None:
    """Refuse a form that some other site's page sends through our user's browser."""
    origin, host = request.header("origin"), request.header("host")
    if origin is not None and origin.partition("://")[2] != host:
        raise RefusedError(403, "sent by a page of another site")


def _content_range(part: Slice, size: int) -> str:
    return f"bytes {part.offset}-{part.offset + part.length - 1}/{size}"


def _multipart(slices: Sequence[Slice], kind: str, size: int) -> list[bytes | Slice]:
    parts: list[bytes | Slice] = []
    for each in slices:
        head = (f"--{BYTERANGES}\r\nContent-Type: {kind}\r\n"
                f"Content-Range: {_content_range(each, size)}\r\n\r\n")
        parts += [("\r\n" * bool(parts) + head).encode(), each]
    return [*parts, f"\r\n--{BYTERANGES}--\r\n".encode()]


def _is_utf8(fd: int) -> bool:
    """Tell if a text's beginning is UTF-8; a last letter that the limit cuts does not count."""
    data = os.pread(fd, SNIFF_BYTES, 0)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return len(data) == SNIFF_BYTES and error.start >= SNIFF_BYTES - 3
    return True

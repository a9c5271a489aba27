"""`portulan serve`: a folder over HTTP, or every request shown."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.sockets.access import AccessList
    from portulan.sockets.endpoint import Endpoint
    from portulan.sockets.serve import Server
    from portulan.sockets.serve_files import Handler

UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SIZE: Final = re.compile(r"([0-9]{1,15})([KMGT]?)(?:I?B)?", re.IGNORECASE)
HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\xa0-\xff]*)")
FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection", "date"})


class Given(TypedDict):
    """The options as click hands them over."""

    tls: bool
    cert: str
    key: str
    names: tuple[str, ...]
    upload: bool
    overwrite: bool
    max_upload: int
    inspect: bool
    as_json: bool
    status: int
    body: str
    headers: tuple[str, ...]
    log: bool
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    max_conns: int
    rate: float


def read_size(ctx: click.Context, param: click.Parameter, value: str) -> int:
    """Return bytes, with K, M, G or T for powers of 1024."""
    match = SIZE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{printable(value)!r} is no size, as in 500M", ctx, param)
    return int(match[1]) * UNITS[match[2].upper()]


@click.command("serve")
@click.argument("folder", metavar="DIR", default=".")
@click.option("-b", "--bind", default="127.0.0.1:8000", show_default=True, metavar="ADDR:PORT",
              help="Where to listen; a bare PORT is the loopback's, port 0 a free one, `*` "
                   "every address.")
@click.option("--tls", is_flag=True, help="HTTPS; without --cert with a throw-away certificate.")
@click.option("--cert", default="", metavar="FILE", help="Our certificate, PEM; means --tls.")
@click.option("--key", default="", metavar="FILE", help="Its key, PEM, if not in the same file.")
@click.option("--name", "names", multiple=True, metavar="NAME",
              help="A further host name to answer to on the loopback.")
@click.option("--upload", is_flag=True,
              help="Take files: PUT, or the form on each folder's page.")
@click.option("--overwrite", is_flag=True, help="Let uploads replace files.")
@click.option("--max-upload", callback=read_size, default="1G", show_default=True, metavar="SIZE",
              help="The largest file taken.")
@click.option("--inspect", is_flag=True,
              help="Serve no files: show each request as received, and answer what you choose.")
@click.option("--json", "as_json", is_flag=True, help="Show each request as one JSON object.")
@click.option("--status", default=200, show_default=True, type=click.IntRange(200, 599),
              help="With --inspect: the answer's status.")
@click.option("--body", default="", help="With --inspect: the answer's body.")
@click.option("--header", "headers", multiple=True, metavar="K:V",
              help="With --inspect: a header of the answer.")
@click.option("--log", is_flag=True, help="Tell on stderr of each request.")
@click.option("--allow", multiple=True, metavar="NET", help="Only these may connect.")
@click.option("--deny", multiple=True, metavar="NET", help="These may not.")
@click.option("--max-conns", default=2000, show_default=True, type=click.IntRange(1),
              help="Connections at once; the one idle longest gives way.")
@click.option("--rate", default=0.0, type=click.FloatRange(0), metavar="N",
              help="New connections a second by one address; 0: any.")
def serve(folder: str, bind: str, **given: Unpack[Given]) -> None:
    r"""Serve the files of DIR over HTTP, and nothing outside of it, links included.

    Ranges, conditional requests, keep-alive, UTF-8 names, folder pages.

    \b
        portulan serve                        this folder at http://127.0.0.1:8000/
        portulan serve site -b '*:8080'       to the whole network
        portulan serve in --upload            curl -T FILE http://127.0.0.1:8000/
        portulan serve --inspect -b 9000 --status 404 --body nothing
    """
    from portulan.sockets.acceptor import raise_file_limit
    from portulan.sockets.access import AccessList

    raise_file_limit()
    _check(given)
    end = _endpoint(bind, given)
    access = AccessList.of(allow=given["allow"], deny=given["deny"])
    asyncio.run(_run(folder, end, given, access))


def _check(given: Given) -> None:
    """Refuse options that would have no effect."""
    inspecting = {"--json": given["as_json"], "--status": given["status"] != 200,
                  "--body": given["body"] != "", "--header": given["headers"] != ()}
    uploading = {"--upload": given["upload"], "--overwrite": given["overwrite"]}
    if given["inspect"]:
        reason, useless = "--inspect serves no files", uploading
    else:
        reason, useless = "is for --inspect", inspecting
    if given["overwrite"] and not given["upload"] and not given["inspect"]:
        reason, useless = "is for --upload", {"--overwrite": True}
    for option, is_given in useless.items():
        if is_given:
            raise UsageError(reason, where=option)


def _endpoint(bind: str, given: Given) -> Endpoint:
    from portulan.sockets.endpoint import Endpoint

    scheme = "tls" if given["tls"] or given["cert"] or given["key"] else "tcp"
    end = Endpoint.parse(bind, where="--bind", scheme=scheme, listening=True)
    if scheme == "tls":
        end = Endpoint("tls", end.host, end.port, end.path, end.options)
        end = end.using(cert=given["cert"] or end.options.cert,
                        key=given["key"] or end.options.key)
    return end


async def _run(folder: str, end: Endpoint, given: Given, access: AccessList) -> None:
    from portulan.sockets.serve import serve as start

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handler = _handler(folder, given, stop)
    server = await start(
        handler, end, access=access, max_conns=given["max_conns"], rate=given["rate"],
        names=given["names"], log=_log if given["log"] else None, note=_tell,
    )
    async with server:
        _announce(server, end, "requests" if given["inspect"] else folder)
        await stop.wait()


def _handler(folder: str, given: Given, stop: asyncio.Event) -> Handler:
    if given["inspect"]:
        from portulan.sockets.serve_inspect import Inspector

        return Inspector(
            _printer(stop), json=given["as_json"], status=given["status"],
            body=given["body"].encode(), headers=_headers(given["headers"]),
        )
    from portulan.sockets.serve_files import Files, Uploads
    from portulan.sockets.serve_tree import Tree

    uploads = Uploads(given["upload"], given["overwrite"], given["max_upload"])
    return Files(Tree(folder), uploads)


def _headers(texts: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        match = HEADER.fullmatch(text)
        if match is None:
            raise UsageError("expects NAME: VALUE", text=text, where="--header")
        if match[1].lower() in FRAMING:
            raise UsageError("this header is set by the server", text=match[1], where="--header")
        found.append((match[1], match[2].strip()))
    return found


def _announce(server: Server, end: Endpoint, what: str) -> None:
    for address in server.addresses:
        _tell(f"listening on {address}")
    if server.fingerprint:
        _tell(f"certificate sha256 {server.fingerprint}")
    scheme = "https" if end.scheme == "tls" else "http"
    host = "localhost" if end.host == "*" else end.host
    shown = f"[{host}]" if ":" in host else host
    _tell(f"{printable(what)} at {scheme}://{shown}:{server.port}/")


def _printer(stop: asyncio.Event) -> Callable[[str], None]:
    def show(text: str) -> None:
        try:
            click.echo(text)
        except BrokenPipeError:
            stop.set()  # whoever read our output has enough of it

    return show


def _log(peer: str, head: bytes, status: int, length: int) -> None:
    line = head.partition(b"\r\n")[0].decode("utf-8", "backslashreplace")
    _tell(f'{peer} "{printable(line, 400)}" {status} {length}')


def _tell(line: str) -> None:
    click.echo(line, err=True)

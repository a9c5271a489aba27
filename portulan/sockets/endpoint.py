"""Endpoints as text: `tls://host:443?alpn=h2`, `unix:/run/x.sock`, `HOST PORT`, and back.

    tcp://HOST:PORT  tls://HOST:PORT  udp://HOST:PORT     [v6%zone] in brackets
    unix:PATH  unixgram:PATH                              @NAME is an abstract socket
    exec:CMD ARGS  stdio:  file:PATH                      exec takes the rest as it stands
    HOST:PORT  PORT  ("HOST", "PORT")                     plain TCP

Options stand in the query, listed in `portulan.sockets.options`. `%XX` is read in paths and values.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import socket
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, unquote

from portulan.errors import UsageError
from portulan.sockets.options import Options, change_option, read_options

LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = "*"
"""As a host to listen on: every address of this machine, IPv4 and IPv6."""
TEXT_MAX: Final = 8_192
"""Characters of one endpoint: a path has at most 4,096, and a query its share."""
UNIX_PATH_MAX: Final = 107
"""Bytes of a Unix socket's path: sun_path is 108 with its NUL (unix(7))."""

NETWORK: Final = ("tcp", "tls", "udp")
SCHEMES: Final = (*NETWORK, "unix", "unixgram", "exec", "stdio", "file")
DATAGRAM: Final = ("udp", "unixgram")

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):(//)?", re.IGNORECASE)
_BRACKETED: Final = re.compile(r"\[([^\[\]]+)\](?::(.*))?", re.DOTALL)
_HOST: Final = re.compile(r"[\w.*-]{1,253}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a conversation.

    >>> str(Endpoint.parse("TLS://[fe80::1%eth0]:443/?alpn=h2,http/1.1&verify=no"))
    'tls://[fe80::1%eth0]:443?alpn=h2,http/1.1&verify=no'
    >>> Endpoint.parse(("localhost", "80")).address
    ('localhost', 80)
    """

    scheme: str
    host: str = ""
    """A name or an address, its zone included, without brackets; `*` is every address."""
    port: int = 0
    path: str = ""
    """Of a socket or file; of `exec:` the command."""
    options: Options = field(default_factory=Options)

    @classmethod
    def parse(
        cls,
        text: str | tuple[str, str | int] | Endpoint,
        *,
        where: str = "endpoint",
        scheme: str = "tcp",
        listening: bool = False,
    ) -> Endpoint:
        """Read an endpoint; raises `UsageError`.

        `scheme` is that of plain texts. `listening` allows port 0 and a missing host: the loopback.
        """
        if isinstance(text, Endpoint):
            return text
        reader = _Reader(where, listening)
        if isinstance(text, tuple):
            return reader.network(scheme, str(text[0]).strip("[]"), str(text[1]), "")
        return reader.text(text, scheme)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def is_datagram(self) -> bool:
        """Whether it moves datagrams instead of a stream."""
        return self.scheme in DATAGRAM

    @property
    def is_local(self) -> bool:
        """Whether it needs no network: Unix sockets, programs, files."""
        return self.scheme not in NETWORK

    @property
    def place(self) -> str:
        """`host:port`, `[v6]:port`, or the path: what messages call it."""
        return self.path or self.scheme if self.is_local else join_address(self.host, self.port)

    def with_option(self, name: str, text: str, *, where: str) -> Endpoint:
        """Return it with an option read from text, as a flag gives it; raises `UsageError`."""
        options = change_option(self.options, self.scheme, name, text, where=where)
        return replace(self, options=options)

    def using(self, **changes: object) -> Endpoint:
        """Return it with these options changed."""
        return replace(self, options=replace(self.options, **changes))  # type: ignore[arg-type]

    def __str__(self) -> str:
        if self.scheme == "exec":
            return f"exec:{self.path}"
        query = self.options.query()
        tail = f"?{query}" if query else ""
        if self.is_local:
            return f"{self.scheme}:{quote(self.path, safe='/@:+,=~')}{tail}"
        return f"{self.scheme}://{self.place}{tail}"


def join_address(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(text: str, *, where: str) -> tuple[str, str]:
    """Cut `HOST:PORT` or `[V6]:PORT`; a missing part is empty. Raises `UsageError`."""
    if match := _BRACKETED.fullmatch(text):
        return match[1], match[2] or ""
    if text.count(":") > 1:
        raise UsageError("which colon divides address and port?", text=text, where=where,
                         hint="put an IPv6 address in brackets: [::1]:80")
    host, _, port = text.partition(":")
    return host, port


@dataclass(frozen=True, slots=True)
class _Reader:
    where: str
    listening: bool

    def text(self, text: str, scheme: str) -> Endpoint:
        text = text.strip()
        if len(text) > TEXT_MAX:
            raise self._wrong(f"longer than {TEXT_MAX} characters", text, "shorten it")
        match = _SCHEME.match(text)
        if not match or (match[1].lower() not in SCHEMES and not match[2]):
            return self._plain(text, scheme)
        return self._url(match[1].lower(), text[match.end() :], text)

    def _url(self, scheme: str, rest: str, text: str) -> Endpoint:
        if scheme not in SCHEMES:
            near = difflib.get_close_matches(scheme, SCHEMES, 1)
            raise self._wrong("no such kind of endpoint", text,
                              f"did you mean {near[0]}:?" if near else f"one of {_listed(SCHEMES)}")
        if scheme == "exec":
            return self._exec(rest, text)
        body, _, query = rest.partition("?")
        if scheme in NETWORK:
            host, port = split_address(body.removesuffix("/"), where=self.where)
            if not port and host.isdigit():
                host, port = "", host
            return self.network(scheme, unquote(host), port, query)
        return self._local(scheme, unquote(body), query, text)

    def _plain(self, text: str, scheme: str) -> Endpoint:
        body, _, query = text.partition("?")
        if not body:
            raise self._wrong("empty", "", "name one, as in localhost:80")
        if body.isdigit():
            return self.network(scheme, "", body, query)
        host, port = split_address(body, where=self.where)
        return self.network(scheme, host, port, query)

    def network(self, scheme: str, host: str, port: str, query: str) -> Endpoint:
        options = read_options(scheme, query, where=self.where)
        if not host and not self.listening:
            raise self._wrong("no host", port, "name one, as in localhost:80")
        _check_host(host, self.where)
        return Endpoint(scheme, host or LOOPBACK, self._port(port, scheme), "", options)

    def _port(self, text: str, scheme: str) -> int:
        if not text:
            raise self._wrong("no port", "", "give one after the host: HOST:PORT")
        if not (text.isascii() and text.isdigit()):
            return self._service(text, scheme)
        port = int(text) if len(text) <= 5 else 65_536
        if port > 65_535 or (port == 0 and not self.listening):
            raise self._wrong("not a port", text, "from 1 to 65535")
        return port

    def _service(self, name: str, scheme: str) -> int:
        try:
            return socket.getservbyname(name, "udp" if scheme == "udp" else "tcp")
        except (OSError, UnicodeError, ValueError):
            raise self._wrong("neither a port nor a service's name", name,
                              "from 1 to 65535, or as in https") from None

    def _local(self, scheme: str, path: str, query: str, text: str) -> Endpoint:
        options = read_options(scheme, query, where=self.where)
        if scheme == "stdio":
            if path:
                raise self._wrong("stdio: takes no path", text, "write stdio:")
            return Endpoint(scheme, options=options)
        if scheme.startswith("unix") and len(path.encode()) > UNIX_PATH_MAX:
            raise self._wrong(f"a socket's path has at most {UNIX_PATH_MAX} bytes", text,
                              "use a shorter or a relative path")
        if not path or "\0" in path:
            raise self._wrong("no path", text, f"as in {scheme}:/run/name")
        return Endpoint(scheme, path=path, options=options)

    def _exec(self, command: str, text: str) -> Endpoint:
        command = command.strip()
        if not command or "\0" in command:
            raise self._wrong("no command", text, "as in exec:cat")
        return Endpoint("exec", path=command)

    def _wrong(self, reason: str, text: str, hint: str) -> UsageError:
        return UsageError(reason, text=text, where=self.where, hint=hint)


def _check_host(host: str, where: str) -> None:
    """Refuse what can be no host, so that a resolver is never asked about it."""
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise UsageError("not an IPv6 address", text=host, where=where,
                             hint="as in [::1]:80 or [fe80::1%eth0]:80") from None
    elif host and not _HOST.fullmatch(host):
        raise UsageError("not a host", text=host, where=where,
                         hint="a name or an address, as in localhost:80")


def _listed(words: tuple[str, ...]) -> str:
    return " ".join(f"{word}:" for word in words)

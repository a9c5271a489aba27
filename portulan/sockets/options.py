"""What an endpoint's query may say: names, types, for which schemes, one sentence each.

The table `OPTIONS` is what reading, writing, messages and the reference are made of.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from urllib.parse import quote, unquote

from portulan.errors import UsageError

TIMEOUT_DEFAULT_S: Final = 10.0
"""To be connected: a lost SYN is sent again after 1, 3 and 7 s; more helps no one."""
TIMEOUT_MAX_S: Final = 86_400.0
HOPS_MAX: Final = 8
"""Proxies of one chain."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A way station: SOCKS or HTTP CONNECT.

    >>> str(read_proxy("socks5://me:secret@127.0.0.1:1080"))
    'socks5://me:secret@127.0.0.1:1080'
    """

    scheme: str
    """socks4 (addresses only), socks4a, socks5, http; https is http inside of TLS."""
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def shown(self) -> str:
        """Return it as text without the password, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __str__(self) -> str:
        if not self.user:
            return self.shown
        login = quote(self.user, safe="") + (f":{quote(self.password, safe='')}"
                                             if self.password else "")
        return self.shown.replace("://", f"://{login}@", 1)


@dataclass(frozen=True, slots=True)
class Options:
    """An endpoint's options, each with what holds when it isn't given."""

    alpn: tuple[str, ...] = ()
    verify: bool = True
    ca: str = ""
    cert: str = ""
    key: str = ""
    sni: str = ""
    pin: str = ""
    source: tuple[str, int] = ("", 0)
    nodelay: bool = True
    interface: str = ""
    timeout: float = TIMEOUT_DEFAULT_S
    via: tuple[Proxy, ...] = ()
    mode: str = "r"
    join: tuple[str, ...] = ()
    broadcast: bool = False
    ttl: int = 0
    family: int = 0

    def query(self) -> str:
        """Return what differs from the default, as a query."""
        parts = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                text = OPTIONS[item.name].write(value)
                parts += [f"{item.name}={quote(word, safe=':/@,[]*')}" for word in text]
        return "&".join(parts)


@dataclass(frozen=True, slots=True)
class Option:
    """How one option is read and written, where it holds, and what it says."""

    about: str
    schemes: tuple[str, ...]
    read: Callable[[str], Any]
    write: Callable[[Any], list[str]] = lambda value: [str(value)]
    repeats: bool = False
    """Whether values of several occurrences are strung together."""


PROXIES: Final = ("socks4", "socks4a", "socks5", "http", "https")
_PROXY: Final = re.compile(
    r"(?P<scheme>[a-z0-9]+)://(?:(?P<user>[^:@/]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})/?", re.IGNORECASE)
_SOURCE: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*))(?::(\d{1,5}))?|([0-9a-f:.%]+)",
                            re.IGNORECASE)


def read_proxy(text: str) -> Proxy:
    """Read `SCHEME://[USER[:PASSWORD]@]HOST:PORT`; raises ValueError saying what is expected."""
    match = _PROXY.fullmatch(text)
    if not match or match["scheme"].lower() not in PROXIES or not 1 <= int(match["port"]) <= 65_535:
        raise ValueError(f"expects one of {', '.join(PROXIES)}, as in socks5://127.0.0.1:1080")
    return Proxy(
        match["scheme"].lower(), match["v6"] or match["host"], int(match["port"]),
        unquote(match["user"] or ""), unquote(match["password"] or ""),
    )


def read_options(scheme: str, query: str, *, where: str) -> Options:
    """Read a query's options for endpoints of a scheme; raises `UsageError`."""
    given: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        name, has_value, raw = part.partition("=")
        option = _option(name, scheme, where)
        try:
            value = option.read(unquote(raw) if has_value else "yes")
        except ValueError as error:
            raise UsageError(f"option {name} {error}", text=unquote(raw), where=where) from None
        given[name] = given.get(name, ()) + value if option.repeats else value
    if len(given.get("via", ())) > HOPS_MAX:
        raise UsageError(f"more than {HOPS_MAX} proxies", where=where, hint="shorten the chain")
    return Options(**given)


def change_option(options: Options, scheme: str, name: str, raw: str, *, where: str) -> Options:
    """Return options with one set to what a text says; raises `UsageError`, `where` a flag."""
    option = _option(name, scheme, where)
    try:
        value = option.read(raw)
    except ValueError as error:
        raise UsageError(f"it {error}", text=raw, where=where) from None
    if option.repeats:
        value = getattr(options, name) + value
    return replace(options, **{name: value})


def _option(name: str, scheme: str, where: str) -> Option:
    known = [key for key, option in OPTIONS.items() if scheme in option.schemes]
    if name in known:
        return OPTIONS[name]
    if name in OPTIONS:
        hint = f"it is for {', '.join(OPTIONS[name].schemes)}"
        raise UsageError(f"{scheme} endpoints have no such option", text=name, where=where,
                         hint=hint)
    near = difflib.get_close_matches(name, known, 2, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    raise UsageError("unknown option", text=name, where=where, hint=hint)


def _read_bool(text: str) -> bool:
    words = {"yes": True, "true": True, "1": True, "on": True,
             "no": False, "false": False, "0": False, "off": False}
    if text.lower() not in words:
        raise ValueError("expects yes or no")
    return words[text.lower()]


def _read_words(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words or any(len(word.encode()) > 255 for word in words):
        raise ValueError("expects words divided by commas, each of at most 255 bytes")
    return words


def _read_text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expects a value")
    return text


def _read_pin(text: str) -> str:
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("expects a SHA-256 fingerprint: 64 hex digits, colons allowed")
    return digits


def _read_source(text: str) -> tuple[str, int]:
    match = _SOURCE.fullmatch(text)
    host = match and (match[1] or match[2] or match[4] or "")
    port = int(match[3] or 0) if match else 0
    try:
        if host:
            ipaddress.ip_address(host)
    except ValueError:
        host = None
    if host is None or port > 65_535 or not text:
        raise ValueError("expects ADDRESS, ADDRESS:PORT or :PORT of this machine")
    return host, port


def _write_source(value: tuple[str, int]) -> list[str]:
    host, port = value
    host = f"[{host}]" if ":" in host else host
    return [f"{host}:{port}" if port else host]


def read_seconds(text: str) -> float:
    """Read a positive number of seconds; raises ValueError saying what is expected."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = math.nan
    if not 0 < value <= TIMEOUT_MAX_S:
        raise ValueError(f"expects seconds, more than 0 and at most {TIMEOUT_MAX_S:.0f}")
    return value


def _read_via(text: str) -> tuple[Proxy, ...]:
    return tuple(read_proxy(word) for word in text.split(","))


def _read_mode(text: str) -> str:
    if text not in {"r", "w", "a"}:
        raise ValueError("expects r (read), w (write anew) or a (append)")
    return text


def _read_groups(text: str) -> tuple[str, ...]:
    try:
        good = all(ipaddress.ip_address(word).is_multicast for word in _read_words(text))
    except ValueError:
        good = False
    if not good:
        raise ValueError("expects multicast groups, as in 239.1.2.3 or ff02::1234")
    return _read_words(text)


def _read_ttl(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 255):
        raise ValueError("expects a number from 1 to 255")
    return int(text)


def _read_family(text: str) -> int:
    if text not in {"4", "6"}:
        raise ValueError("expects 4 or 6")
    return int(text)


def _join(value: tuple[object, ...]) -> list[str]:
    return [",".join(map(str, value))]


def _yes_no(value: bool) -> list[str]:
    return ["yes" if value else "no"]


_TLS: Final = ("tls",)
_INET: Final = ("tcp", "tls", "udp")
_DIALED: Final = ("tcp", "tls")

OPTIONS: Final[dict[str, Option]] = {
    "alpn": Option("Protocols to offer or to take, the preferred first.", _TLS, _read_words, _join),
    "verify": Option("no: take any certificate.", _TLS, _read_bool, _yes_no),
    "ca": Option("File of the authorities to trust; of a listener: whose clients.", _TLS,
                 _read_text),
    "cert": Option("File of our certificate and what leads to its authority, PEM.", _TLS,
                   _read_text),
    "key": Option("File of our certificate's key, PEM; by default in cert's file.", _TLS,
                  _read_text),
    "sni": Option("Name to ask for and to verify instead of the host.", _TLS, _read_text),
    "pin": Option("SHA-256 of the one certificate to take, whoever signed it.", _TLS, _read_pin),
    "source": Option("Address and port of ours to come from.", _INET, _read_source, _write_source),
    "nodelay": Option("no: let the kernel gather small writes (Nagle).", _DIALED, _read_bool,
                      _yes_no),
    "interface": Option("Interface to use, whatever the routes say.", _INET, _read_text),
    "timeout": Option("Seconds to be connected, TLS included.",
                      (*_INET, "unix", "unixgram"), read_seconds, lambda value: [f"{value:g}"]),
    "via": Option("Proxies on the way, the nearest first.", _DIALED, _read_via, _join,
                  repeats=True),
    "mode": Option("r reads a file, w writes it anew, a appends to it.", ("file",), _read_mode),
    "join": Option("Multicast groups to join.", ("udp",), _read_groups, _join),
    "broadcast": Option("Allow sending to broadcast addresses.", ("udp",), _read_bool, _yes_no),
    "family": Option("4 or 6: use only addresses of this family.", _INET, _read_family),
    "ttl": Option("Hops a datagram may take; of multicast 1 by default.", ("udp",), _read_ttl),
}

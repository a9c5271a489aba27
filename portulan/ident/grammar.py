"""General grammars: name and version of products that no rule knows, where a field names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Told = dict[str, str]
_VERSION: Final = r"v?(?P<version>[0-9][0-9A-Za-z.+~_-]{0,30})"
_TOKEN: Final = re.compile(
    r"(?P<product>[A-Za-z][A-Za-z0-9.+_!-]{0,30}(?: [A-Za-z][A-Za-z0-9.+_!-]{0,20}){0,3})"
    r"(?:(?:[/ ]| [Vv]ersion |-)\(?" + _VERSION + r")?(?=[ ,;()/]|$)")
_RUNTIME: Final = re.compile(r"(?:Python|PyPy|Perl|Ruby)/[0-9][0-9A-Za-z.]{0,20} (?=[A-Za-z])")
"""A language in front of what is written in it."""
_NAMED: Final = re.compile(
    r"(?P<product>[A-Za-z][A-Za-z+]{1,20}(?: [A-Z][A-Za-z+]{1,20}){0,3})(?:[/ -]| version )v?"
    r"(?P<version>[0-9]+(?:\.[0-9A-Za-z]+){1,4})(?=[ ,;()+~-]|$)")
_SSH: Final = re.compile(r"(?P<product>[A-Za-z][A-Za-z]{2,30}?)[_-]?" + _VERSION + r"$")
_MYSQL: Final = re.compile(
    r"[0-9]+(?:\.[0-9]+){1,3}(?:sp[0-9]+|[a-z](?![a-z]))?(?:-[0-9]{1,2}(?=\+|-Maria))?")
_PERCONA: Final = re.compile(
    r"[0-9]+(?:\.[0-9]+){2}(?:-rel[0-9]+\.[0-9]+|(?=-(?:rc)?[1-9][0-9]\.[0-9]|.*percona"
    r"|-[1-9][0-9](?:-[0-9]+)?(?:-log|-debug|[-.][0-9.]*[a-z]+)?$)"
    # A single digit behind a version before 5.7 is Debian's own revision of MySQL.
    r"|(?<=^5\.7\.[0-9]{2}|^8\.[0-9]\.[0-9]{2})(?=-[1-9](?:-log|-debug|-[0-9]+\.[a-z]+)?$))",
    re.IGNORECASE)
_Fork = tuple[re.Pattern[str], str, str]


def _fork(pattern: str, product: str, vendor: str) -> _Fork:
    return re.compile(pattern, re.IGNORECASE), product, vendor


_FORKS: Final[tuple[_Fork, ...]] = (
    _fork(r".*-TiDB-v(?P<version>[0-9][0-9A-Za-z.-]{0,30})", "TiDB", "PingCAP"),
    _fork(r".*-OceanBase(?:_CE)?-v(?P<version>[0-9][0-9.]{0,20})", "OceanBase", "OceanBase"),
    _fork(r".*mysql_aurora\.(?P<version>[0-9][0-9.]{0,20})", "Aurora MySQL", "Amazon"),
    _fork(r".*(?:memsql|singlestore)", "SingleStore", "SingleStore"),
    _fork(r".*drizzle7?[ -](?P<version>[0-9][0-9.]{0,20})", "Drizzle", "Drizzle"),
    _fork(r"(?P<version>[0-9.]{3,20}) \(ProxySQL\)", "ProxySQL", "ProxySQL"),
    _fork(r"(?P<version>[0-9.]{3,20})-maxscale", "MaxScale", "MariaDB"),
    _fork(r"[0-9.]{3,20}-Vitess", "Vitess", "Vitess"),
    _fork(r"(?P<version>[0-9.]{3,20})-ClickHouse", "ClickHouse", "ClickHouse"),
    _fork(r"(?P<version>[0-9.]{3,20})-(?:id64-)?(?:release|beta|dev) \(", "Sphinx", "Sphinx"),
    _fork(r"(?P<version>[0-9.]{3,20}) [0-9a-f]{6,10}@[0-9]{6}", "Manticore Search", "Manticore"),
    _fork(r".*doris-(?P<version>[0-9][0-9A-Za-z.-]{0,20})", "Doris", "Apache"),
)
"""Others that speak MySQL's protocol and say so in its version; some keep their own version."""
_NOT_NAMES: Final = {"server", "web", "http", "httpd", "localhost", "unknown", "none", "undefined"}
_OS: Final = (
    ("debian", "Debian"), ("ubuntu", "Ubuntu"), ("centos", "CentOS"), ("freebsd", "FreeBSD"),
    ("red hat", "Red Hat"), ("fedora", "Fedora"), ("win32", "Windows"), ("win64", "Windows"),
    ("raspbian", "Raspbian"), ("netbsd", "NetBSD"), ("openbsd", "OpenBSD"), ("suse", "SUSE"),
)


def told(field: str, text: str) -> Told:
    """Return what `text` says of its product by the grammar of `field`; empty: nothing."""
    read = _GRAMMARS.get(field)
    return read(text) if read else {}


def os_of(text: str) -> str:
    """Return the system that `text` names, or an empty text."""
    lower = text.lower()
    return next((name for word, name in _OS if word in lower), "")


def _server(text: str) -> Told:
    # UPnP: system, UPnP's version, product (UDA 1.0 section 1.2.2); the last is asked for.
    upnp = re.search(r"\bUPnP/[0-9.]+,? ", text)
    runtime = _RUNTIME.match(text)
    found = _TOKEN.match(text, upnp.end() if upnp else runtime.end() if runtime else 0)
    if not found or found["product"].lower() in _NOT_NAMES:
        return {}
    # A phrase, a hyphenated maker, a name with no version: seldom what a product is called.
    if not found["version"] or not found["product"].replace(".", "").isalnum():
        return {}
    return {name: value for name, value in found.groupdict().items() if value}


def _named(text: str) -> Told:
    """Read a name and its version, as in `unbound 1.17.1` or `mosquitto version 2.0.11`."""
    found = _NAMED.match(text)
    return {name: value for name, value in found.groupdict().items() if value} if found else {}


def _ssh(text: str) -> Told:
    found = _SSH.match(text)
    return {name: value for name, value in found.groupdict().items() if value} if found else {}


def _mysql(text: str) -> Told:
    version = _MYSQL.match(text)
    if not version:
        return {}
    for pattern, product, vendor in _FORKS:
        if found := pattern.match(text):
            return {"product": product, "vendor": vendor} | {
                name: value for name, value in found.groupdict().items() if value}
    percona = _PERCONA.match(text)
    if percona and "maria" not in text.lower():
        return {"product": "Percona Server", "vendor": "Percona", "version": percona[0]}
    product, vendor = ("MariaDB", "MariaDB") if "maria" in text.lower() else ("MySQL", "Oracle")
    cpe = f"cpe:2.3:a:{vendor.lower()}:{product.lower()}:{version[0]}:*:*:*:*:*:*:*"
    return {"product": product, "vendor": vendor, "version": version[0], "cpe": cpe}


_GRAMMARS: Final[dict[str, Callable[[str], Told]]] = {
    "http.server": _server, "sip.server": _server, "sip.user_agent": _server,
    "rtsp.server": _server, "ssdp.server": _server, "stun.software": _server,
    "dns.version": _named, "mqtt.broker": _named, "ssh.software": _ssh, "mysql.version": _mysql,
}

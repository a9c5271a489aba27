"""The page of a folder: one HTML document, no script, nothing fetched, every name escaped. Pure."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote

from portulan.errors import printable
from portulan.sockets.serve_tree import Entry, url_path

NAME_MAX: Final = 400
"""Characters of a name that are shown; a name has 255 bytes, escapes make it longer."""

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2b36;--soft:#647482;--line:#e3e9ee;--sea:#0b6e8f;
--hover:#f3f8fa;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#dbe5ec;--soft:#8b9ba8;--line:#26333d;--sea:#5cc3e4;
--hover:#18242d;--paper:#0f181f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans CJK JP",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 3rem}
h1{font-size:1.25rem;font-weight:600;margin:0 0 1rem;overflow-wrap:anywhere}
h1 span{color:var(--soft);font-weight:400;padding:0 .3em}
a{color:var(--sea);text-decoration:none}a:hover{text-decoration:underline}
table{width:100%;border-collapse:collapse}
th{font-weight:500;font-size:.8rem;color:var(--soft);text-align:left;padding:.4rem .6rem}
td{border-top:1px solid var(--line);padding:.4rem .6rem;vertical-align:top}
td:first-child{overflow-wrap:anywhere}
tr:hover td{background:var(--hover)}
.n{text-align:right;white-space:nowrap;color:var(--soft);font-variant-numeric:tabular-nums}
.d a{font-weight:600}
p,form{color:var(--soft);font-size:.85rem;margin:1.2rem .6rem}
@media(max-width:34rem){.t{display:none}}
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

PAGE_HEADERS: Final = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy",
     f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; "
     "base-uri 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    # Not `no-referrer`: browsers then send the upload form with `Origin: null`, which we refuse.
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),
]

UPLOAD_FORM: Final = (
    '<form method="post" enctype="multipart/form-data">'
    '<label>Add files here <input type="file" name="file" multiple required></label> '
    "<button>Upload</button></form>"
)


def folder_page(names: Sequence[str], entries: Sequence[Entry], *, upload: bool) -> bytes:
    """Return the page of the folder these names lead to, in UTF-8."""
    title = escape(_shown("/" + "/".join(names)))
    rows = [_row(entry) for entry in entries]
    if names:
        rows.insert(0, '<tr class="d"><td><a href="../">..</a><td class="n"><td class="n t">')
    table = (
        '<table><thead><tr><th>Name<th class="n">Size<th class="n t">Changed (UTC)'
        f"<tbody>{''.join(rows)}</table>"
        if rows else "<p>Nothing here yet.</p>"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style>"
        f"<main><h1>{_crumbs(names)}</h1>{table}{_sum(entries)}"
        f"{UPLOAD_FORM if upload else ''}</main></html>\n"
    ).encode()


def size_text(size: int) -> str:
    """Return bytes as people read them, in powers of 1024 with their own names."""
    if size < 1024:
        return f"{size} B"
    value, units = size / 1024, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 999.5:
        value /= 1024
        units.pop(0)
    return f"{value:.3g} {units[0]}"


def _row(entry: Entry) -> str:
    slash = "/" if entry.is_folder else ""
    # `./` keeps a name with a colon from being read as a scheme (`javascript:...`).
    link = "./" + quote(os.fsencode(entry.name)) + slash
    size = "" if entry.is_folder else size_text(entry.size)
    exact = "" if entry.is_folder else f' title="{entry.size:,} bytes"'
    kind = ' class="d"' if entry.is_folder else ""
    return (
        f'<tr{kind}><td><a href="{escape(link)}">{escape(_shown(entry.name))}{slash}</a>'
        f'<td class="n"{exact}>{size}<td class="n t">{_time_text(entry.mtime_ns)}'
    )


def _crumbs(names: Sequence[str]) -> str:
    links = ['<a href="/">files</a>']
    for at, name in enumerate(names):
        here = escape(url_path((*names[: at + 1], "")))
        links.append(f'<a href="{here}">{escape(_shown(name))}</a>')
    return "<span>/</span>".join(links)


def _sum(entries: Sequence[Entry]) -> str:
    files = [entry for entry in entries if not entry.is_folder]
    folders = len(entries) - len(files)
    if not entries:
        return ""
    counts = [f"{count} {noun}{'' if count == 1 else 's'}"
              for count, noun in ((folders, "folder"), (len(files), "file")) if count]
    return f"<p>{', '.join(counts)}, {size_text(sum(file.size for file in files))}</p>"


def _time_text(time_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return ""


def _shown(name: str) -> str:
    """Return a name for people: bytes that are no UTF-8, control and bidi characters escaped."""
    raw = os.fsencode(name).decode("utf-8", "backslashreplace")
    return printable(raw, NAME_MAX)

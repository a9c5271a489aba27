"""How well and how fast `identify` names saved replies; the file of known answers is an argument.

Run: python -m bench.identify FILE.jsonl [--half learn|keep] [--misses]
Each line of FILE: {"id", "kind", "reply_b64", "expect": {"product", "version", ...}}.
`--half` takes the lines whose id's SHA-256 begins with an even (learn) or odd (keep) octet: rules
are written looking at the one half alone, the other tells whether they generalise.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from portulan.ident import judge as judging
from portulan.ident.reply import Reply
from portulan.ident.rules import builtin
from portulan.ident.verdict import Verdict

HOSTILE_BYTES = 10_000_000
HOSTILE_TEXT = 64 << 10
SPEED_S = 3.0
NAMES = {
    "ftp": "ftp", "http_header": "http", "html_title": "http", "ssh": "ssh", "smtp": "smtp",
    "mysql": "mysql", "sip_header": "sip", "telnet": "telnet", "imap4": "imap", "pop3": "pop3",
    "nntp": "nntp", "rtsp_header": "rtsp", "dns": "domain", "snmp": "snmp", "ldap": "ldap",
    "ntp": "ntp", "smb": "smb", "x11": "x11", "rsh": "rsh", "upnp": "ssdp", "ssdp_header": "ssdp",
}
"""The protocol of a kind, by the kind's first part."""


def known(path: Path, half: str) -> list[dict[str, Any]]:
    """Return the lines of a file, or of one half of it."""
    rows = [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]
    if half == "all":
        return rows
    odd = half == "keep"
    return [row for row in rows if hashlib.sha256(row["id"].encode()).digest()[0] & 1 == odd]


def reply_of(row: dict[str, Any]) -> Reply:
    """Return a line's reply."""
    return Reply(row.get("transport", "tcp"), base64.b64decode(row["reply_b64"]), row.get("port"))


def score(rows: list[dict[str, Any]], *, misses: bool) -> Counter[str]:
    """Count what is right, wrong and not told."""
    count: Counter[str] = Counter()
    for row in rows:
        told, expect = judging.judge(reply_of(row)) or Verdict(), row["expect"]
        count["replies"] += 1
        count["protocol right"] += told.name == NAMES.get(row["kind"].split(".")[0], told.name)
        if not expect.get("product"):
            continue
        count["products"] += 1
        right = told.product.lower() == expect["product"].lower()
        count["product right"] += right
        count["product wrong"] += bool(told.product) and not right
        if right and expect.get("version"):
            count["versions"] += 1
            count["version right"] += told.version == expect["version"]
            count["version wrong"] += told.version not in ("", expect["version"])
        if misses and not (right and told.version == expect.get("version", "")):
            print(row["kind"], expect, "|", told.product, told.version, told.rule)
    return count


def speed(replies: list[Reply]) -> float:
    """Return replies judged a CPU second."""
    judging.judge(replies[0])
    done, began = 0, time.process_time()
    while time.process_time() - began < SPEED_S:
        for reply in replies:
            judging.judge(reply)
        done += len(replies)
    return done / (time.process_time() - began)


def hostile_ms() -> dict[str, float]:
    """Return the CPU milliseconds that ten million octets cost, by their start."""
    spent = {}
    for start in (b"", b"HTTP/1.1 200 OK\r\nServer: ", b"HTTP/1.1 200 OK\r\n\r\n<title>", b"220 ",
                  b"SSH-2.0-", b"\xff\xfb", b"* OK ", b":h 002 me :", b"0\x84\0\x98\x96\x80"):
        reply = Reply("tcp", start + b"A/1" * (HOSTILE_BYTES // 3))
        began = time.process_time()
        judging.judge(reply)
        spent[start[-8:].decode("latin-1")] = (time.process_time() - began) * 1000
    return spent


def rules_ms() -> dict[str, float]:
    """Return the CPU milliseconds that 64 KiB of hostile text cost: worst rule, worst field's set.

    The text is an example, half of one, or what patterns skip over, again and again.
    """
    book, worst = builtin(), {"rule": 0.0, "set": 0.0}
    skipped = ["a ", "; a=", "| ", "welcome to ", "1."]
    for field in book.fields():
        next(book.matching(field, "x"), None)
        for unit in skipped:
            began = time.process_time()
            list(book.matching(field, unit * (HOSTILE_TEXT // len(unit))))
            worst["set"] = max(worst["set"], (time.process_time() - began) * 1000)
    for rule in book.rules:
        example = rule.positive[0]
        for unit in (example, example[: len(example) // 2 + 1], *skipped[:2]):
            began = time.process_time()
            rule.read(unit * (HOSTILE_TEXT // len(unit)))
            worst["rule"] = max(worst["rule"], (time.process_time() - began) * 1000)
    return worst


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--half", choices=("all", "learn", "keep"), default="all")
    parser.add_argument("--misses", action="store_true", help="print what is not right")
    options = parser.parse_args()
    if not options.file.exists():
        print(f"{options.file}: absent, nothing to score")
        return
    rows = known(options.file, options.half)
    count = score(rows, misses=options.misses)
    for part, whole in (("protocol right", "replies"), ("product right", "products"),
                        ("product wrong", "products"), ("version right", "versions")):
        print(f"{part}: {count[part]} of {count[whole]}, {count[part] / max(1, count[whole]):.1%}")
    print(f"{speed([reply_of(row) for row in rows]):.0f} replies a CPU second")
    for start, spent in hostile_ms().items():
        print(f"{HOSTILE_BYTES} octets after {start!r}: {spent:.1f} ms of CPU")
    for what, spent in rules_ms().items():
        print(f"{HOSTILE_TEXT} characters, worst {what}: {spent:.1f} ms of CPU")


if __name__ == "__main__":
    main()

"""Rules out of Recog's XML files, from a folder that the user names.

Each `fingerprints` element says by `matches` which text it is for; its patterns are searched for,
their groups numbered. A pattern that RE2 does not take (look-ahead, back-reference) is left out
and counted: matching stays linear in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from portulan.errors import UsageError

from .rules import Rule

FILE_BYTES_MAX: Final = 16 << 20
STRENGTH: Final = 0.8
"""What a rule of others is believed: its examples are not tried here."""
_FIELDS: Final = {
    "ssh.banner": "ssh.banner", "ftp.banner": "ftp.greeting", "smtp.banner": "smtp.greeting",
    "pop3.banner": "pop3.greeting", "pop.banner": "pop3.greeting", "imap4.banner": "imap.greeting",
    "imap.banner": "imap.greeting", "nntp.banner": "nntp.greeting", "telnet.banner": "telnet.text",
    "mysql.banners": "mysql.version", "http_header.server": "http.server",
    "http_header.cookie": "http.cookie", "http_header.wwwauth": "http.www_authenticate",
    "html_title": "http.title", "sip_header.server": "sip.server",
    "sip_header.user_agent": "sip.user_agent", "rtsp_header.server": "rtsp.server",
    "dns.versionbind": "dns.version",
}
_TEXTS: Final = {
    "service.product": "product", "service.vendor": "vendor", "service.version": "version",
    "os.product": "os", "hw.product": "device",
}


def load_folder(folder: Path) -> tuple[list[Rule], int]:
    """Return the rules of all XML files in `folder`, and how many patterns RE2 does not take."""
    if not folder.is_dir():
        raise UsageError("no such folder", text=str(folder), hint="name a folder of Recog's XML")
    rules, left_out = [], 0
    for path in sorted(folder.glob("*.xml")):
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError("file too large for rules", text=str(path), hint="16 MiB at most")
        try:
            for rule in load(path.read_text("utf-8"), path.stem):
                if _compiles(rule):
                    rules.append(rule)
                else:
                    left_out += 1
        except (ElementTree.ParseError, UnicodeDecodeError) as error:
            raise UsageError(
                "no XML of rules", text=f"{path}: {error}", hint="remove or mend that file",
            ) from error
    return rules, left_out


def load(text: str, name: str) -> Iterator[Rule]:
    """Yield the rules of one file; none where its `matches` is a text we do not read."""
    if "<!ENTITY" in text:
        raise ElementTree.ParseError("declares entities, which rules have no need of")
    root = ElementTree.fromstring(text)  # noqa: S314 - no entities, and bounded in size
    field = _FIELDS.get(root.get("matches", ""))
    for number, each in enumerate(root.iter("fingerprint") if field else (), 1):
        texts, groups = {}, {}
        for param in each.iter("param"):
            told, value = _TEXTS.get(param.get("name", "")), param.get("value")
            if told and param.get("pos") == "0" and value:
                texts[told] = value
            elif told and param.get("pos", "0").isdigit():
                groups[int(param.get("pos", "0"))] = told
        # A fixed version is left out: rules tell versions that they read.
        texts.pop("version", "")
        pattern = _pattern(each.get("pattern", ""), groups, each.get("flags", ""))
        # Texts with {names} of other parameters are templates of Recog's own.
        fixed = {key: value for key, value in texts.items() if "{" not in value}
        yield Rule(
            f"recog:{name}:{number}", field or "", pattern, fixed.get("product", ""),
            vendor=fixed.get("vendor", ""), os=fixed.get("os", ""),
            device=fixed.get("device", ""), strength=STRENGTH)


def _pattern(pattern: str, groups: dict[int, str], flags: str) -> str:
    """Return `pattern` anchored, its wanted groups named."""
    count, named, out = 0, set(), []
    for piece in re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P?<?|\(|.", pattern, re.DOTALL):
        count += piece == "("
        name = groups.get(count, "") if piece == "(" else ""
        out.append(f"(?P<{name}>" if name and name not in named else piece)
        named.add(name)
    insensitive = "i" if "ICASE" in flags or "INSENSITIVE" in flags else ""
    # Patterns are searched for, rules match at the start; (?m) is Ruby's reading of ^ and $.
    return f"(?sm{insensitive})^(?:.*?(?:{''.join(out)}))"


def _compiles(rule: Rule) -> bool:
    import re2

    try:
        rule.compiled  # noqa: B018
    except re2.error:
        return False
    return True

"""Make text from outside visible: no control, bidi or illegal character leaves this room.

Banners, names and certificates are written by strangers (CWE-150, CWE-79, CWE-1236). Each format
adds its own quoting to `visible`; nothing else is trusted to have been cleaned before.
"""

from __future__ import annotations

import re

_AMBIGUOUS = re.compile(r"\\(?=[xuU])")
"""A backslash that would read as one of our escapes is itself escaped: the text can be restored."""


def visible(text: str) -> str:
    r"""Return `text` with all that is not printable as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.

    Printable is `str.isprintable`: no control, format (bidi, zero width), surrogate, private or
    unassigned character, no separator but the space. Everything left is legal in XML 1.0, and
    the escaping is injective.
    """
    if "\\" in text:
        text = _AMBIGUOUS.sub(r"\\x5c", text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

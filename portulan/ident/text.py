"""Text out of hostile bytes: decode what peers send, never fail, never keep control bytes."""

from __future__ import annotations

from typing import Final

ENCODINGS: Final = ("utf-8", "shift_jis", "euc_jp", "euc_kr")
"""Tried in this order; Latin-1 takes whatever is left, for it takes everything."""


def decode(data: bytes) -> str:
    """Return `data` as text in the first encoding that fits all of it."""
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def is_text(data: bytes) -> bool:
    """Tell whether `data` holds no control bytes but white space, escape and backspace."""
    return not data.translate(None, delete=_TEXT)


_TEXT: Final = bytes({8, 9, 10, 12, 13, 27} | set(range(32, 127)) | set(range(128, 256)))

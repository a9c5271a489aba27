from __future__ import annotations

import pytest

from portulan.ident.checks.http_favicon import http_favicon, murmur3

from .places import page, place, tell, texts


@pytest.mark.parametrize(("data", "value"), [
    # The published test vectors of MurmurHash3 with seed 0.
    (b"", 0), (b"\0\0\0\0", 0x2362F9DE), (b"test", 0xBA6BD213),
    (b"Hello, world!", 0xC0363E43), (b"The quick brown fox jumps over the lazy dog", 0x2E4FF723),
])
def test_murmur3_has_its_published_values(data, value):
    assert murmur3(data) == value


def test_an_icon_is_hashed_and_a_page_instead_of_one_is_not():
    icon = bytes(range(64))
    [told] = texts(tell(http_favicon, place("http"), page(icon)))
    assert told.startswith("mmh3 ")
    assert told.endswith("fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108")
    assert tell(http_favicon, place("http"), page(icon, headers=["Content-Type: text/html"])) == []
    assert tell(http_favicon, place("http"), page(icon, status=404)) == []

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.serve_page import PAGE_HEADERS, folder_page, size_text
from portulan.sockets.serve_tree import Entry


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: bytes) -> Links:
    links = Links()
    links.feed(page.decode())
    return links


def file(name: str, size: int = 5) -> Entry:
    return Entry(name, False, size, 1_700_000_000 * 10**9)


def test_page_names_sizes_and_times() -> None:
    page = read(folder_page(("日本",), [Entry("sub", True, 0, 0), file("a b.txt", 2048)],
                            upload=False))
    assert page.links == ["/", "/%E6%97%A5%E6%9C%AC/", "../", "./sub/", "./a%20b.txt"]
    assert all(word in page.text for word in ("a b.txt", "2 KiB", "2023-11-14 22:13", "/日本"))
    assert "1 folder, 1 file, 2 KiB" in page.text
    assert "form" not in page.tags


def test_page_of_an_empty_folder_says_so_and_takes_uploads() -> None:
    page = read(folder_page((), [], upload=True))
    assert "Nothing here yet" in page.text
    assert "form" in page.tags
    assert page.links == ["/"]


@pytest.mark.parametrize("name", [
    "<script>alert(1)</script>", '" onmouseover="x', "javascript:alert(1)", "a&amp;b",
    "'><img src=x>",
    "\x1b[2J", "\u202etxt.exe", "bad\udcff", "#?%", "data:text/html,<b>",
])
def test_hostile_name_is_shown_and_runs_nothing(name: str) -> None:
    raw = folder_page((name,), [file(name)], upload=False)
    page = read(raw)
    assert page.tags <= {"html", "meta", "title", "style", "main", "h1", "a", "span", "table",
                         "thead", "tbody", "tr", "th", "td", "p"}
    assert all(link.startswith(("./", "/", "../")) and not link.startswith("//")
               for link in page.links)
    assert not set("\x1b\u202e") & set(raw.decode())


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=50))
def test_any_name_adds_no_tag(name: str) -> None:
    ours = read(folder_page((), [file("x")], upload=False)).tags
    assert read(folder_page((), [file(name)], upload=False)).tags == ours


def test_policy_allows_only_our_own_style() -> None:
    policy = dict(PAGE_HEADERS)["Content-Security-Policy"]
    style = re.search(rb"<style>(.*?)</style>", folder_page((), [], upload=False), re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("size, text", [
    (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1024 * 1023, "0.999 MiB"),
    (268_435_456, "256 MiB"), (2**63, "8 EiB"),
])
def test_size_is_readable(size: int, text: str) -> None:
    assert size_text(size) == text

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from portulan.render.escape import visible
from portulan.render.markdown import render, text

from .golden import check
from .runs import ATTACKS, SMALL, hostile, shown, texts, wide

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
KNOWN = {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}


def tags(source: str) -> set[str]:
    return set(re.findall(r"</?([a-zA-Z!][a-zA-Z0-9]*)", READER.render(source)))


def words(source: str) -> str:
    (inline,) = (token for token in READER.parse(source) if token.type == "inline")
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    return "".join(child.content for child in inline.children or [])


def test_small_run_is_as_kept():
    check("small.md", "".join(render(SMALL)))


def test_many_hosts_share_one_table():
    source = "".join(render(wide(101)))
    assert source.count("| Host |") == 1
    assert "## " not in source
    assert "10.79.0.100 " in source
    assert "## 10.79.0.99\n" in "".join(render(wide(100)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_becomes_markup(attack):
    source = "".join(render(hostile(attack)))
    assert tags(source) <= KNOWN
    assert not shown(source)


@given(texts)
@settings(max_examples=150, deadline=None)
def test_any_text_stays_text_in_the_shape_of_the_report(sent):
    source = "".join(render(hostile(sent)))
    assert tags(source) <= KNOWN
    plain = "".join(render(hostile("x")))
    # A note about nobody is one about the run: it needs no section of its own.
    assert len(source.splitlines()) >= len(plain.splitlines()) - (3 if sent else 9)


@given(texts)
def test_any_text_is_read_back(sent):
    assert words(f"x {text(sent)} x") == f"x {visible(sent)} x"


@pytest.mark.parametrize("link", ["http://a.example", "WWW.a.example", "a@b.example"])
def test_what_a_site_would_link_by_itself_is_broken_up(link):
    assert not re.search(r"(?i)://|www\.|@", text(link))

from __future__ import annotations

import html
import shutil
import socket
import subprocess
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from portulan.render.page import policy, render

from .runs import ATTACKS, KILLED, SMALL, hostile, shown, texts, wide

VOID = {"meta", "input", "rect", "line", "circle"}
KNOWN = VOID | {
    "html", "head", "title", "style", "body", "header", "svg", "p", "h1", "h2", "span", "main",
    "dl", "div", "dt", "dd", "small", "section", "ul", "li", "i", "b", "table", "thead", "tbody",
    "tr", "th", "td", "label", "output", "details", "summary", "footer", "code", "script",
}


class Reader(HTMLParser):
    """Collects tags, attribute names and text; fails on a tag that doesn't close."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attrs: set[str] = set()
        self.stack: list[str] = []
        self.text: list[str] = []
        self.scripts = 0
        self.feed(document)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attrs.update(name for name, _ in attrs)
        self.scripts += tag == "script"
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attrs.update(name for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page(events) -> str:
    return "".join(render(events))


def harmless(document: str) -> Reader:
    reader = Reader(document)
    assert reader.tags <= KNOWN
    assert not {a for a in reader.attrs if a.startswith("on")}
    assert not reader.attrs & {"src", "href", "srcset", "style", "action", "data", "background"}
    assert reader.scripts == 1
    assert not shown(document)
    return reader


def test_page_refers_to_nothing_outside():
    for events in (SMALL, KILLED, wide(500), []):
        document = page(events)
        harmless(document)
        assert "url(" not in document
        assert "@import" not in document


def test_policy_comes_before_anything_it_rules():
    document = page(SMALL)
    assert document.index("Content-Security-Policy") < document.index("<style")
    assert policy().startswith("default-src 'none'; style-src 'sha256-")


def test_page_says_what_was_found_and_how():
    text = " ".join(Reader(page(SMALL)).text)
    for word in ("10.0.0.1", "gw.example.org", "OpenSSH", "http?", "SYN scan", "8,123", "3,4",
                 "995 closed/tcp", "certificate", "Debian Linux"):
        assert word in text


def test_bars_add_up_to_the_whole_width():
    document = page(SMALL)
    bar = document[document.index('aria-label="share') :].split("</svg>")[0]
    widths = [float(part.split("%")[0]) for part in bar.split(' width="')[1:]]
    assert len(widths) == 4
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert min(widths) > 0.5


def test_many_hosts_share_tables_and_few_have_cards():
    assert page(wide(500)).count("<tr data-host") == 500
    assert page(wide(30)).count("<details") == 30
    assert page(wide(61)).count(" open><summary") == 0


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_becomes_markup(attack):
    harmless(page(hostile(attack)))


@given(texts)
@settings(max_examples=100, deadline=None)
def test_any_text_stays_text(text):
    harmless(page(hostile(text)))


PAYLOADS = [
    "<script>document.title='pwned'</script>", "</style><script>document.title='pwned'</script>",
    "<img src=%s/x onerror=document.title='pwned'>", "'\"><svg/onload=document.title='pwned'>",
    "<iframe src=%s/></iframe>", "<link rel=stylesheet href=%s/y>", "<body onload=alert()>",
    "</title><script>document.title='pwned'</script>", "<meta http-equiv=refresh content=0;url=%s>",
    "<details open ontoggle=document.title='pwned'>", "<input autofocus onfocus=document.title=1>",
    "javascript:document.title='pwned'", "<video><source onerror=document.title='pwned'>",
]


def browse(path, profile) -> str:
    """Return the document as the browser has it after its scripts ran."""
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={profile}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=100, check=False)
    return done.stdout


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed here")
def test_browser_runs_our_filter_and_no_strangers_words(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        payloads = [text.replace("%s", address) for text in PAYLOADS]
        bait, ours = tmp_path / "bait.html", tmp_path / "ours.html"
        bait.write_text("<title>x</title>" + payloads[0], encoding="utf-8")
        ours.write_text(page([e for text in payloads for e in hostile(text)]), encoding="utf-8")
        assert "<title>pwned</title>" in browse(bait, tmp_path / "a")
        dom = browse(ours, tmp_path / "b")
        with pytest.raises(TimeoutError):
            server.accept()
    assert html.escape(payloads[0], quote=False) in dom
    assert "<title>Portulan chart of " in dom
    assert '<p class="filter">' in dom

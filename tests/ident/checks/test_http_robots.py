from __future__ import annotations

from portulan.ident.checks.http_robots import http_robots

from .places import page, place, tell, texts


def test_paths_are_listed_once_and_counted_beyond_a_few():
    lines = ["User-agent: *", "Disallow: /a", "disallow: /a", "Disallow:"]
    lines += [f"Disallow: /{n}" for n in range(20)]
    told = texts(tell(http_robots, place("http"), page("\n".join(lines).encode())))
    assert told[0].startswith("robots.txt keeps robots from /a, /0, /1")
    assert told[0].endswith("and 13 more")


def test_no_file_and_an_empty_one_tell_nothing():
    assert tell(http_robots, place("http"), page(b"Disallow: /a", status=404)) == []
    assert tell(http_robots, place("http"), page(b"User-agent: *\nDisallow:\n")) == []

"""General grammars."""

from __future__ import annotations

from portulan.ident.grammar import os_of, told


def test_unknown_server_gives_name_and_version():
    assert told("http.server", "Toy/1.2 (Debian)") == {"product": "Toy", "version": "1.2"}


def test_mysql_version_names_the_fork():
    assert told("mysql.version", "11.4.2-MariaDB")["product"] == "MariaDB"


def test_word_without_meaning_names_nothing():
    assert told("http.server", "Server") == {} and told("x.y", "Toy/1") == {}


def test_comment_names_the_system():
    assert os_of("Debian-2+deb12u1") == "Debian" and not os_of("x")

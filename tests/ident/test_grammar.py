"""General grammars."""

from __future__ import annotations

import pytest

from portulan.ident.grammar import os_of, told


def test_unknown_server_gives_name_and_version():
    assert told("http.server", "Toy/1.2 (Debian)") == {"product": "Toy", "version": "1.2"}


def test_mysql_version_names_the_fork():
    assert told("mysql.version", "11.4.2-MariaDB")["product"] == "MariaDB"


def test_word_without_meaning_names_nothing():
    assert told("http.server", "Server") == {} and told("x.y", "Toy/1") == {}


def test_comment_names_the_system():
    assert os_of("Debian-2+deb12u1") == "Debian" and not os_of("x")


def test_language_in_front_of_a_server_is_not_the_server():
    assert told("http.server", "Python/3.11 toys/10.4") == {"product": "toys", "version": "10.4"}


@pytest.mark.parametrize(("text", "product", "version"), [
    ("5.1.49-3-log", "MySQL", "5.1.49"), ("5.7.44-48-log", "Percona Server", "5.7.44"),
    ("8.0.16-7", "Percona Server", "8.0.16"), ("8.0.19-10-1.focal", "Percona Server", "8.0.19"),
    ("8.0.11-TiDB-v6.1.0", "TiDB", "6.1.0"), ("5.5.30 (ProxySQL)", "ProxySQL", "5.5.30"),
    ("5.7.25-OceanBase-v4.2.1", "OceanBase", "4.2.1"), ("5.5.62-0+deb8u1", "MySQL", "5.5.62-0"),
    ("2.2.11-id64-release (95ae9a6)", "Sphinx", "2.2.11"),
])
def test_version_of_mysql_s_relatives(text, product, version):
    found = told("mysql.version", text)
    assert (found["product"], found["version"]) == (product, version)


def test_relative_that_hides_its_own_version_tells_none():
    assert "version" not in told("mysql.version", "5.7.32 (SingleStoreDB)")


@pytest.mark.parametrize("text", ["toyd 1.17.1", "toyd version 1.17.1", "toyd-1.17.1+x"])
def test_name_server_s_own_words_give_name_and_version(text):
    assert told("dns.version", text) == {"product": "toyd", "version": "1.17.1"}

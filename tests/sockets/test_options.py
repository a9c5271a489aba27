from dataclasses import fields

import pytest

from portulan.errors import UsageError
from portulan.sockets.options import (
    HOPS_MAX,
    OPTIONS,
    Options,
    change_option,
    read_options,
    read_proxy,
)

ALL = {
    "tls": "alpn=h2,http/1.1&verify=no&ca=/a%26b&cert=c&key=k&sni=n&pin=" + "ab" * 32
           + "&source=[::1]:5&nodelay=no&interface=lo&timeout=1.5&via=socks5://u:p@h:1&family=6",
    "udp": "source=127.0.0.1&interface=lo&join=239.1.2.3,ff02::1&broadcast&ttl=9&timeout=2"
           "&family=4",
    "file": "mode=a",
}


def test_table_names_are_the_fields():
    assert sorted(OPTIONS) == sorted(field.name for field in fields(Options))


def test_every_option_written_and_read_is_the_same():
    seen = set()
    for scheme, query in ALL.items():
        options = read_options(scheme, query, where="x")
        assert read_options(scheme, options.query(), where="x") == options
        seen |= {part.partition("=")[0] for part in options.query().split("&")}
    assert seen == set(OPTIONS)


def test_defaults_write_nothing():
    assert Options().query() == ""


@pytest.mark.parametrize("query", [
    "alpn=", "verify=maybe", "ca=", "pin=12", "pin=" + "g" * 64, "source=host",
    "source=1.2.3.4:99999",
    "source=", "nodelay=x", "timeout=0", "timeout=-1", "timeout=nan", "timeout=inf", "timeout=1e9",
    "via=ftp://h:1", "via=socks5://h", "via=socks5://h:0", "via=socks5://h:65536", "family=5",
    "alpn=" + "x" * 256, "nosuch=1",
])
def test_wrong_value_read_is_a_usage_error_with_its_place(query):
    with pytest.raises(UsageError, match=r"^here: "):
        read_options("tls", query, where="here")


@pytest.mark.parametrize("query", ["join=10.0.0.1", "ttl=0", "ttl=256", "ttl=²", "broadcast=2"])
def test_wrong_datagram_value_read_is_a_usage_error(query):
    with pytest.raises(UsageError):
        read_options("udp", query, where="here")


def test_pin_read_takes_colons_and_case():
    pin = ":".join(["AB"] * 32)
    assert read_options("tls", f"pin=sha256:{pin}", where="x").pin == "ab" * 32


def test_via_repeated_is_a_chain_of_bounded_length():
    query = "&".join(["via=http://h:1"] * HOPS_MAX)
    assert len(read_options("tcp", query, where="x").via) == HOPS_MAX
    with pytest.raises(UsageError, match="proxies"):
        read_options("tcp", query + "&via=http://h:1", where="x")


def test_proxy_shown_hides_the_password():
    proxy = read_proxy("socks5://me:se%3Acret@h:1")
    assert proxy.password == "se:cret" and "cret" not in proxy.shown
    assert read_proxy(str(proxy)) == proxy


def test_option_changed_by_flag_adds_to_a_chain():
    options = read_options("tcp", "via=http://a:1", where="x")
    changed = change_option(options, "tcp", "via", "http://b:2", where="--via")
    assert [hop.host for hop in changed.via] == ["a", "b"]

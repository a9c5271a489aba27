import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.sockets.endpoint import Endpoint, join_address, split_address
from portulan.sockets.options import Proxy

GOOD = [
    ("tcp://localhost:80", "tcp", "localhost", 80, ""),
    ("TLS://[fe80::1%eth0]:443/?alpn=h2", "tls", "fe80::1%eth0", 443, ""),
    ("localhost:https", "tcp", "localhost", 443, ""),
    ("[::1]:8", "tcp", "::1", 8, ""),
    ("udp://192.0.2.1:53?ttl=3", "udp", "192.0.2.1", 53, ""),
    ("unix:/run/x.sock", "unix", "", 0, "/run/x.sock"),
    ("unix:///run/x%20y?timeout=3", "unix", "", 0, "/run/x y"),
    ("unixgram:@abstract", "unixgram", "", 0, "@abstract"),
    ("exec:grep -c ? a&b", "exec", "", 0, "grep -c ? a&b"),
    ("stdio:", "stdio", "", 0, ""),
    ("file:a%3Fb?mode=w", "file", "", 0, "a?b"),
]


@pytest.mark.parametrize(("text", "scheme", "host", "port", "path"), GOOD)
def test_text_parsed_gives_its_parts_and_round_trips(text, scheme, host, port, path):
    end = Endpoint.parse(text)
    assert (end.scheme, end.host, end.port, end.path) == (scheme, host, port, path)
    assert Endpoint.parse(str(end)) == end
    assert str(Endpoint.parse(str(end))) == str(end)


@pytest.mark.parametrize(("text", "shown"), [
    ("8080", "tcp://127.0.0.1:8080"), ("0", "tcp://127.0.0.1:0"), ("tcp://:0", "tcp://127.0.0.1:0"),
    ("tls:443", "tls://127.0.0.1:443"), ("*:53", "tcp://*:53"), ("0.0.0.0:1", "tcp://0.0.0.0:1"),
])
def test_listening_bare_port_is_on_the_loopback(text, shown):
    assert str(Endpoint.parse(text, listening=True)) == shown


@pytest.mark.parametrize(("text", "words"), [
    ("", "empty"), ("80", "no host"), ("host", "no port"), ("host:0", "not a port"),
    ("host:65536", "not a port"), ("host:9999999999", "not a port"), ("host:nosuchservice", "name"),
    ("::1:80", "brackets"), ("[::g]:80", "IPv6"), ("tpc://h:1", "did you mean tcp"),
    ("a b:80", "not a host"), ("unix:", "no path"), ("unix:/" + "x" * 107, "107 bytes"),
    ("exec:  ", "no command"), ("stdio:x", "no path"), ("file:a?mode=q", "r (read)"),
    ("tls://h:1?aplm=h2", "did you mean alpn"), ("tcp://h:1?alpn=h2", "it is for tls"),
    ("x" * 9000, "8192"), ("h:1?verify=no", "it is for tls"), ("file:a\0b", "path"),
])
def test_wrong_text_parsed_says_what_and_what_to_do(text, words):
    with pytest.raises(UsageError) as error:
        Endpoint.parse(text, where="connect")
    assert words in str(error.value)
    assert str(error.value).startswith("connect: ") and "\n" not in str(error.value)


def test_pair_parsed_is_plain_tcp_with_zone_and_service():
    assert Endpoint.parse(("fe80::1%lo", "http")).address == ("fe80::1%lo", 80)


def test_endpoint_parsed_again_is_itself():
    end = Endpoint.parse("h:1")
    assert Endpoint.parse(end) is end


def test_flag_read_into_option_is_checked_like_the_query():
    end = Endpoint.parse("tls://h:1").with_option("via", "socks5://u:p%40@[::1]:2", where="--via")
    assert end.options.via == (Proxy("socks5", "::1", 2, "u", "p@"),)
    assert Endpoint.parse(str(end)) == end
    with pytest.raises(UsageError, match="--pin"):
        end.with_option("pin", "abc", where="--pin")


addresses = st.one_of(st.ip_addresses(), st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True))


@given(addresses, st.integers(1, 65535), st.sampled_from(["tcp", "tls", "udp"]))
def test_any_address_written_and_read_is_the_same(host, port, scheme):
    end = Endpoint(scheme, str(host), port)
    assert Endpoint.parse(str(end)) == end
    assert split_address(join_address(str(host), port), where="x") == (str(host), str(port))


@given(st.text(max_size=300))
def test_any_text_parsed_is_an_endpoint_or_a_usage_error(text):
    for listening in (False, True):
        try:
            end = Endpoint.parse(text, listening=listening)
        except UsageError as error:
            assert len(str(error)) < 1000
        else:
            assert Endpoint.parse(str(end), listening=True) == end


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1,
               max_size=20))
def test_any_path_written_and_read_is_the_same(path):
    end = Endpoint("file", path=path)
    assert Endpoint.parse(str(end)) == end


def test_address_of_zone_is_valid_for_the_kernel():
    assert ipaddress.ip_address(Endpoint.parse("[fe80::1%lo]:1").host).scope_id == "lo"

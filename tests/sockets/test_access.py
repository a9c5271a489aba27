import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import UsageError
from portulan.sockets import access
from portulan.sockets.access import AccessList, Rate


@pytest.mark.parametrize(("allow", "deny", "host", "answer"), [
    ([], [], "192.0.2.1", True),
    (["10.0.0.0/8"], [], "10.255.255.255", True),
    (["10.0.0.0/8"], [], "11.0.0.0", False),
    (["10.0.0.0/8"], [], "::1", False),
    (["10.0.0.0/8"], ["10.0.0.0/24"], "10.0.0.255", False),
    ([], ["10.0.0.1-3"], "10.0.0.2", False),
    ([], ["10.0.0.1-3"], "10.0.0.4", True),
    (["10.0.0.0/8,192.0.2.7"], [], "192.0.2.7", True),
    (["10.0.0.0/8"], [], "::ffff:10.1.2.3", True),
    (["::ffff:10.0.0.0/104"], [], "10.1.2.3", True),
    (["2001:db8::/32"], [], "2001:db8:ffff::1", True),
    (["fe80::/10"], [], "fe80::1%eth0", True),
    (["10.0.0.*"], [], "10.0.0.9", True),
    (["::/0"], [], "10.0.0.9", False),
    (["10.0.0.1"], [], "unix", True),
])
def test_address_asked_is_permitted_as_listed(allow, deny, host, answer):
    assert AccessList.of(allow, deny).permits(host) is answer


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1:80", "", "a b"])
def test_wrong_list_is_a_usage_error_that_names_the_flag(text):
    with pytest.raises(UsageError, match="--deny"):
        AccessList.of(deny=[text])


def test_name_in_a_list_means_all_its_addresses(monkeypatch):
    monkeypatch.setattr(access, "resolve", lambda name: ["192.0.2.1", "2001:db8::1"])
    rules = AccessList.of(["server.example"])
    assert rules.permits("192.0.2.1") and rules.permits("2001:db8::1")
    assert not rules.permits("192.0.2.2")


def test_name_without_address_is_a_usage_error(monkeypatch):
    monkeypatch.setattr(access, "resolve", lambda name: [])
    with pytest.raises(UsageError, match="no address"):
        AccessList.of(["server.example"])


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_net_permits_what_python_says_is_inside(base, length, host):
    import ipaddress

    net = ipaddress.ip_network(f"{base}/{length}", strict=False)
    assert AccessList.of([str(net)]).permits(str(host)) is (host in net)


def test_rate_admits_a_second_at_once_and_then_its_pace():
    rate = Rate(5)
    assert [rate.admits("10.0.0.1", 0.0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert rate.admits("10.0.0.2", 0.0)
    assert [rate.admits("10.0.0.1", 0.2) for _ in range(2)] == [True, False]


def test_rate_below_one_admits_the_first():
    rate = Rate(0.1)
    assert [rate.admits("a", at) for at in (0.0, 5.0, 10.1)] == [True, False, True]


def test_rate_counts_a_v6_net_as_one_client_and_mapped_as_v4():
    rate = Rate(1)
    assert rate.admits("2001:db8::1", 0.0) and not rate.admits("2001:db8::2", 0.0)
    assert rate.admits("10.0.0.1", 0.0) and not rate.admits("::ffff:10.0.0.1", 0.0)


def test_rate_of_many_addresses_remembers_a_bounded_number(monkeypatch):
    monkeypatch.setattr(access, "ADDRESSES_MAX", 100)
    rate = Rate(1)
    for number in range(1000):
        rate.admits(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(rate._left) == 100

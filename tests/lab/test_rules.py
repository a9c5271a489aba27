from __future__ import annotations

import subprocess

import pytest

from portulan.errors import PrivilegeError
from portulan.lab.rules import nft, script, verdict
from portulan.lab.scenario import Host, Rule, bundled, load
from tests.lab.fixtures import skip_reason


def test_a_host_without_rules_needs_no_script():
    assert script(Host()) == ""


def test_loss_is_drawn_both_ways_and_spares_loopback():
    text = script(Host(loss=0.05))
    assert text.count("numgen random mod 100000 < 5000 drop") == 2
    assert 'iifname "lo" accept' in text and 'oifname "lo" accept' in text


@pytest.mark.live
@pytest.mark.parametrize("name", bundled())
def test_every_bundled_rule_is_good_nft(name):
    if reason := skip_reason("firewalls"):
        pytest.skip(reason)
    for host in load(name).hosts.values():
        if text := script(host):
            argv = ["unshare", "--user", "--map-root-user", "--net", nft(), "-c", "-f", "-"]
            done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("rule", "tcp", "udp"), [
    (Rule(action="drop"), "filtered", "open|filtered"),
    (Rule(action="reject", answer="tcp-reset"), "closed", None),
    (Rule(action="reject", answer="port-unreachable"), "filtered", "closed"),
    (Rule(action="reject", answer="admin-prohibited"), "filtered", "filtered"),
    (Rule(action="drop", protocol="udp"), None, "open|filtered"),
    (Rule(action="limit", rate="9/second"), None, None),
])
def test_a_rule_makes_the_state_that_scanners_read(rule, tcp, udp):
    assert verdict([rule], 80, "tcp") == tcp
    assert verdict([rule], 80, "udp") == udp


def test_the_first_rule_that_matches_wins_and_except_is_let_through():
    reset = Rule(action="reject", ports="1-99", except_="80", answer="tcp-reset")
    rules = [reset, Rule(action="drop", ports="1-200")]
    assert [verdict(rules, port, "tcp") for port in (22, 80, 150, 300)] == [
        "closed", "filtered", "filtered", None,
    ]


def test_without_nft_the_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_words: None)
    with pytest.raises(PrivilegeError, match="apt-get install nftables"):
        nft()

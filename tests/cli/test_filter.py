from __future__ import annotations

import shutil
import subprocess

import pytest
from click.testing import CliRunner

from portulan.cli import main
from portulan.cli.filter import filter as verb
from portulan.cli.filter import service_port


def shown(*words):
    return CliRunner().invoke(verb, list(words), catch_exceptions=False).stdout.splitlines()


def refused(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        main(["filter", *words])
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    return caught.value.code, said.err


def test_program_is_printed_as_tcpdump_does():
    assert shown("--bpf", "--linktype", "RAW", "--snaplen", "96", "ip6") == [
        "5", "48 0 0 0", "84 0 0 240", "21 0 1 96", "6 0 0 96", "6 0 0 0"]


@pytest.mark.peer
@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
@pytest.mark.parametrize("text", ["ip", "arp or rarp", "ether[0] & 1 = 0 and ip[0] & 0xf != 5", ""])
def test_short_program_is_the_one_of_tcpdump(text):
    peer = subprocess.run(["tcpdump", "-ddd", "-y", "EN10MB", text], check=True, text=True,
                          capture_output=True, timeout=20).stdout.splitlines()
    ours = shown("--bpf", text)
    assert len(ours) == len(peer)
    assert ours[-1] == peer[-1]
    assert sorted(line.split()[0] for line in ours[1:]) == sorted(
        line.split()[0] for line in peer[1:])


def test_words_are_joined_as_tcpdump_joins_them():
    assert shown("--bpf", "tcp", "port", "http") == shown("--bpf", "tcp port 80")


def test_check_says_where_the_filter_can_run():
    assert shown("ip")[0].startswith("EN10MB: good for kernel and captures: 4 BPF")
    assert shown('dns.qname contains "x"')[0].startswith("EN10MB: good for captures only")


@pytest.mark.parametrize(("words", "said"), [
    (("port 80 and",), "column 12"),
    (("--linktype", "RAW", "arp"), "no packet of this link type"),
    (("--linktype", "TOKEN", "ip"), "--linktype: no such link type"),
    (("host a.example",), "names"),
    (("--bpf", 'dns.qname contains "x"'), "not expressible in BPF"),
    (("ip and ip6",), "can match"),
    (("--snaplen", "0", "ip"), "--snaplen"),
])
def test_wrong_filter_is_one_line_and_exit_two(capsys, words, said):
    code, line = refused(capsys, *words)
    assert code == 2
    assert said in line


def test_service_names_are_those_of_the_protocol():
    assert service_port("domain", "udp") == 53
    assert service_port("nosuch-service", "tcp") is None

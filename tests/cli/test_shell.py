from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

import pytest

import portulan
from portulan import wire
from portulan.cli.shell import BANNER, namespace, run
from portulan.link.pcap import PcapWriter

COMMAND = [sys.executable, "-m", "portulan", "shell"]


def shell(*words, typed=""):
    return subprocess.run([*COMMAND, *words], input=typed, capture_output=True, text=True,
                          check=False, timeout=60)


def test_line_runs_with_everything_imported_and_shows_values():
    done = shell("-c", "p = IPv4(dst='10.0.0.1') / TCP(dport=80)\np.tcp.dport; len(p)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "80\n40\n", "")


def test_packet_is_shown_as_a_tree(capsys):
    assert run("IPv4(dst='10.0.0.1') / UDP(dport=9) / b'ahoy'", namespace())
    said = capsys.readouterr().out
    assert "    udp.dport = 9  *\n" in said and said.endswith("payload, 4 bytes: 61686f79\n")


def test_file_is_opened_as_capture(tmp_path):
    with open(tmp_path / "a.pcap", "wb") as file:
        PcapWriter(file, link_type=101).write(wire.Frames.of(
            [(wire.IPv4(src="10.9.0.1") / wire.UDP(dport=53)).pack()], link_type=101))
    done = shell(str(tmp_path / "a.pcap"), "-c", "capture.columns('ip.src', 'tcp.dport')")
    assert done.stdout == "ip.src    tcp.dport\n10.9.0.1\n[1 rows]\n"


@pytest.mark.parametrize(("text", "said"), [
    ("read('/nonexistent/a.pcap')", "UsageError: /nonexistent/a.pcap: cannot be read"),
    ("1/0", "ZeroDivisionError"),
    ("1 +", "SyntaxError"),
    ("'\0'", "null bytes"),
])
def test_code_that_fails_says_why_and_is_false(capsys, text, said):
    assert not run(text, namespace())
    assert said in capsys.readouterr().err


def test_error_of_ours_is_one_line_and_code_2():
    done = shell("-c", "read('/nonexistent')")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_code_that_ends_by_itself_keeps_its_code():
    assert shell("-c", "raise SystemExit(5)").returncode == 5


def test_what_is_piped_in_is_run():
    done = shell(typed="for n in range(2):\n    print(n)\nTCP().dport\n")
    assert (done.returncode, done.stdout) == (0, "0\n1\n0\n")


def test_wrong_file_is_one_line_and_code_2():
    for words in (["/nonexistent/a.pcap"], ["-"]):
        done = shell(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_namespace_has_all_public_names():
    names = namespace()
    assert {*wire.__all__, *portulan.__all__} - {"__version__"} <= names.keys()
    assert names["read"] is portulan.read and names["TCP"] is wire.TCP


def test_banner_is_short_and_its_packet_is_one(capsys):
    lines = BANNER.splitlines()
    assert len(lines) == 4
    assert run(lines[1].strip(), namespace())


def test_typed_line_completes_by_tab():
    child, terminal = pty.fork()
    if not child:
        os.environ["TERM"] = "dumb"
        os.execv(COMMAND[0], [*COMMAND, "--plain"])
    try:
        said = told(terminal, b">>> ")
        os.write(terminal, b"TCP(dpo\t7).dport + 4000\n")
        said += told(terminal, b"4007")
        os.write(terminal, b"exit()\n")
        assert b"TCP(dport=7)" in said
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def told(terminal, wanted):
    """Return what the terminal says until it has said this."""
    said, until = b"", time.monotonic() + 30
    while wanted not in said and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            said += os.read(terminal, 4096)
    assert wanted in said
    return said

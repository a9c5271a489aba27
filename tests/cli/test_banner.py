from __future__ import annotations

import json
import re
import subprocess
import sys

from click.testing import CliRunner

from portulan.cli.banner import banner, line
from portulan.record import Port, Service, Tls
from tests.drive import talkers


def test_line_a_port_and_code_3_where_one_is_mute():
    with talkers.serving(talkers.greet(talkers.SSH)) as [port]:
        done = CliRunner().invoke(banner, [f"127.0.0.1:1,{port}"])
    assert done.exit_code == 3
    assert sorted(done.output.splitlines()) == sorted([
        "127.0.0.1:1/tcp  closed (conn-refused)", f"127.0.0.1:{port}/tcp  ssh OpenSSH 9.2p1"])


def test_json_is_one_event_a_line():
    with talkers.serving(talkers.greet(talkers.SSH)) as [port]:
        done = subprocess.run(
            [sys.executable, "-m", "portulan", "banner", f"127.0.0.1:{port}", "--json"],
            capture_output=True, text=True, check=True)
    [event] = [json.loads(each) for each in done.stdout.splitlines()]
    assert (event["type"], event["product"], event["port"]) == ("service", "OpenSSH", port)


def test_line_shows_what_was_said_where_no_product_is_known_and_nothing_reaches_the_terminal():
    said = line(Service(addr="::1", port=9, protocol="tcp", name="unknown",
                        banner="\x1b]0;evil\x07\x1b[2Jhello\u202e\r\n"))
    assert said.startswith("[::1]:9/tcp  unknown") and "hello" in said
    assert said.isprintable()


def test_line_of_tls_names_the_certificate():
    with talkers.serving(talkers.inside_tls(talkers.answer_http)) as [port]:
        done = CliRunner().invoke(banner, [f"127.0.0.1:{port}"])
    place, rest = done.output.strip().split("  ", 1)
    assert place == f"127.0.0.1:{port}/tcp"
    assert re.fullmatch(
        r"http \(TLS\) nginx 1\.22\.1  TLSv1\.3 .*until \d{4}-\d\d-\d\d self-signed", rest)


def test_line_survives_a_certificate_that_is_none():
    event = Service(addr="10.0.0.1", port=25, protocol="tcp", name="smtp", handshake=Tls(
        version="TLSv1.2", starttls=True, certificates=[b"no DER"]))
    assert line(event) == "10.0.0.1:25/tcp  smtp  STARTTLS TLSv1.2"


def test_places_are_read_from_a_file_and_from_stdin(tmp_path):
    listed = tmp_path / "places"
    with talkers.serving(talkers.greet(talkers.SSH), count=2) as [one, two]:
        listed.write_text(f"# mine\n127.0.0.1:{one}\n")
        done = CliRunner().invoke(
            banner, ["-iL", str(listed), "-iL", "-"], input=f"127.0.0.1:{two}\n")
    assert done.exit_code == 0 and done.output.count("ssh OpenSSH 9.2p1") == 2


def test_nothing_to_ask_is_one_line_and_code_2():
    done = subprocess.run([sys.executable, "-m", "portulan", "banner"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 2 and "no port to ask" in done.stderr


def test_line_of_a_closed_port():
    assert line(Port(addr="10.0.0.1", port=5, protocol="udp", state="closed",
                     reason="port-unreach")) == "10.0.0.1:5/udp  closed (port-unreach)"


def test_wrong_place_is_one_line_and_code_2():
    done = subprocess.run([sys.executable, "-m", "portulan", "banner", "10.0.0.1"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1

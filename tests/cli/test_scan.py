from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portulan.cli import main
from portulan.link.rights import Rights

GOLDEN = Path(__file__).parent / "golden"
PORTULAN = [sys.executable, "-m", "portulan"]
SCAN = [*PORTULAN, "scan"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PORTULAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def called(capsysbinary, *argv, stdin=b""):
    """Run the command line in this process: (exit code, stdout, stderr)."""
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    try:
        main(["scan", *argv])
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    finally:
        sys.stdin = before
    said = capsysbinary.readouterr()
    return code, said.out.decode(), said.err.decode()


def run(*argv, limit_s=60, **words):
    return subprocess.run(
        [*SCAN, *argv], capture_output=True, text=True, timeout=limit_s, check=False,
        **{"stdin": subprocess.DEVNULL, **words})


def golden(name, output):
    path = GOLDEN / name
    if os.environ.get("PORTULAN_GOLDEN") == "write":
        path.write_text(output, encoding="utf-8")
    assert output == path.read_text(encoding="utf-8"), f"{name} changed: PORTULAN_GOLDEN=write?"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# -- bad input --------------------------------------------------------------------------------

BAD = {
    "no target": ([], "no target"),
    "bad net": (["10.0.0.0/99"], "0 to 32"),
    "bad octet": (["10.0.0.300"], "octet 300"),
    "port 70000": (["127.0.0.1", "-p", "70000"], "65535"),
    "range backwards": (["127.0.0.1", "-p", "9-5"], "5-9"),
    "unknown service": (["127.0.0.1", "-p", "no-such-service"], "unknown service"),
    "no ports": (["127.0.0.1", "-p", ""], "-p: an empty value"),
    "udp": (["127.0.0.1", "-p", "U:53"], "only TCP"),
    "port in target": (["127.0.0.1:99999"], "65535"),
    "empty scope name": (["127.0.0.1", "--scope", ""], "--scope: an empty value"),
    "empty interface": (["127.0.0.1", "-e", ""], "-e: an empty value"),
    "interface missing": (["127.0.0.1", "-e", "nosuch0"], "no such interface"),
    "zone missing": (["fe80::1%nosuch0"], "target: no such interface"),
    "zone left out": (["fe80::1"], "fe80::1%"),
    "multicast": (["224.0.0.1"], "multicast"),
    "broadcast": (["255.255.255.255"], "broadcast"),
    "unspecified": (["0.0.0.0"], "unspecified"),
    "public": (["8.0.0.0/8"], "--scope"),
    "all of ipv6": (["::/0"], "IPv6"),
    "a link of ipv6": (["2001:db8::/64"], "/104 and smaller"),
    "zone of a net": (["fe80::%lo/120"], "-e lo"),
    "all excluded": (["10.0.0.1", "--exclude", "10.0.0.0/8"], "excluded"),
    "family": (["::1", "-4"], "IPv4"),
    "both families": (["127.0.0.1", "-4", "-6"], "-4 and -6"),
    "two lists of ports": (["127.0.0.1", "-p", "1", "--top-ports", "5"], "--top-ports"),
    "top 0": (["127.0.0.1", "--top-ports", "0"], "--top-ports"),
    "hosts only and no ping": (["127.0.0.1", "-sn", "-Pn"], "-Pn"),
    "no such scan": (["127.0.0.1", "-sQ"], "-sS"),
    "no such flag": (["127.0.0.1", "--scanflags", "SYNX"], "SYNFIN"),
    "flags of 9 bits": (["127.0.0.1", "--scanflags", "0x100"], "8 bits"),
    "flags of a connect scan": (["127.0.0.1", "-sT", "--scanflags", "FIN"], "--scanflags"),
    "nmap's -oX": (["127.0.0.1", "-oX", "out.xml"], "-o FILE.xml"),
    "nmap's -PS": (["127.0.0.1", "-PS22"], "-Pn"),
    "fast and ports": (["127.0.0.1", "-F", "-p", "1"], "-F"),
    "every port excluded": (["127.0.0.1", "-p", "1-9", "--exclude-ports", "1-20"], "no port"),
    "no port to exclude": (["127.0.0.1", "--exclude-ports", "x y"], "--exclude-ports"),
    "timing": (["127.0.0.1", "-T", "9"], "-T"),
    "negative rate": (["127.0.0.1", "--max-rate", "-1"], "--max-rate"),
    "rate nan": (["127.0.0.1", "--max-rate", "nan"], "--max-rate"),
    "rate inf": (["127.0.0.1", "--max-rate", "inf"], "--max-rate"),
    "retries": (["127.0.0.1", "--retries", "16"], "0 to 15"),
    "seed": (["127.0.0.1", "--seed", "-1"], "--seed"),
    "shard 0": (["127.0.0.1", "--shard", "0/3"], "1 to n"),
    "shard beyond": (["127.0.0.1", "--shard", "4/3"], "1 to n"),
    "shard text": (["127.0.0.1", "--shard", "x"], "--shard"),
    "contact": (["127.0.0.1", "--contact", "x" * 201], "200 bytes"),
    "output suffix": (["127.0.0.1", "-o", "x.foo"], ".xml"),
    "output folder": (["127.0.0.1", "-o", "no/such/folder/x.xml"], "no such folder"),
    "evidence not kept": (["127.0.0.1", "-o", "x.pcapng", "--no-keep"], "--no-keep"),
    "resume unknown": (["--resume", "nosuch"], "no charts"),
    "resume with target": (["127.0.0.1", "--resume", "x"], "--resume"),
    "resume unkept": (["--resume", "x", "--no-keep"], "no-keep"),
    "resume at another rate": (["--resume", "x", "--max-rate", "5"], "max-rate"),
    "unknown option": (["127.0.0.1", "--bogus"], "--bogus"),
    "list missing": (["-iL", "no-such-file"], "No such file"),
    "list is a folder": (["-iL", "."], "Is a directory"),
    "exclude list missing": (["127.0.0.1", "--exclude-file", "no-such-file"], "No such file"),
    "scope missing": (["127.0.0.1", "--scope", "no-such-file"], "No such file"),
    "escape sequence": (["a\x1b[31m"], "control"),
    "name without address": (["no..such"], "no..such"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_exit_2(what, capsysbinary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv, word = BAD[what]
    code, out, err = called(capsysbinary, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("portulan: ")
    assert err.count("\n") == 1
    assert word in err
    assert "\x1b" not in err
    assert not (tmp_path / "home").exists() or not list((tmp_path / "home").rglob("events.jsonl"))


FILES = {
    "empty list": ("-iL", b"", "names no target"),
    "comments only": ("-iL", b"# nothing\n\n", "names no target"),
    "bad line": ("-iL", b"10.0.0.1\n10.0.0.300\n", ":2: octet 300"),
    "not text": ("-iL", b"\xff\xfe10", "not UTF-8 at byte 0"),
    "empty scope": ("--scope", b"", "allows nothing"),
    "blank scope": ("--scope", b" \n\n", "allows nothing"),
    "scope of comments": ("--scope", b"# mine\n", "allows nothing"),
    "bad scope": ("--scope", b"allow 10.0.0.0/8\npermit x\n", ":2: not a scope rule"),
    "outside of the scope": ("--scope", b"allow 10.0.0.0/8\n", "outside of the scope"),
    "empty exclusion": ("--exclude-file", b"", "names no target"),
}


@pytest.mark.parametrize("what", FILES)
def test_bad_file_is_one_line_that_names_it(what, capsysbinary, tmp_path):
    option, content, word = FILES[what]
    path = tmp_path / "given.txt"
    path.write_bytes(content)
    targets = [] if option == "-iL" else ["127.0.0.1"]
    code, out, err = called(capsysbinary, *targets, option, str(path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert word in err
    if what != "outside of the scope":
        assert "given.txt" in err


def test_no_right_for_syn_names_the_right_and_how_to_get_it(capsysbinary, monkeypatch):
    from portulan import api

    none = Rights(**{name: False if kind == "bool" else () for name, kind in (
        (field, str(note)) for field, note in Rights.__annotations__.items())})
    monkeypatch.setattr(api.running, "rights", lambda: none)
    code, out, err = called(capsysbinary, "127.0.0.1", "-sS")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "CAP_NET_RAW" in err


# -- order, shards, plans -----------------------------------------------------------------------


def dry(capsysbinary, *argv):
    code, out, err = called(capsysbinary, "--dry-run", *argv)
    assert (code, err) == (0, "")
    return out.splitlines()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_from_1_are_a_partition_of_the_whole(capsysbinary, count):
    words = ["10.0.0.0/28", "fd00::/125", "-p", "1-7,443", "--seed", "5"]
    whole = dry(capsysbinary, *words)
    parts = [dry(capsysbinary, *words, "--shard", f"{n}/{count}") for n in range(1, count + 1)]
    assert sorted(line for part in parts for line in part) == sorted(whole)
    assert len(set(whole)) == len(whole) == (16 + 8) * 8
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_of_joined_methods_are_a_partition_too(capsysbinary):
    words = ["10.0.0.0/29", "fd00::/126", "-sSUY", "-p", "T:1-7,U:53,161,S:9", "--seed", "5"]
    whole = dry(capsysbinary, *words)
    parts = [dry(capsysbinary, *words, "--shard", f"{n}/4") for n in range(1, 5)]
    assert sorted(line for part in parts for line in part) == sorted(whole)
    assert len(set(whole)) == len(whole) == (8 + 4) * (7 + 2 + 1)
    protocols = [json.loads(line)["protocol"] for line in whole]
    assert protocols == ["tcp"] * 84 + ["udp"] * 24 + ["sctp"] * 12


def test_same_seed_same_order_another_seed_another(capsysbinary):
    words = ["10.0.0.0/24", "-p", "1-10", "--seed"]
    one, same, other = (dry(capsysbinary, *words, seed) for seed in ("7", "7", "8"))
    assert one == same
    assert one != other
    assert sorted(one) == sorted(other)


def test_ports_excluded_are_never_asked_whoever_names_them(capsysbinary):
    lines = dry(capsysbinary, "10.0.0.1", "10.0.0.2:80,443", "-sSU", "-p", "T:79-82,U:80,81",
                "--exclude-ports", "80,T:82")
    assert sorted((e["addr"][-1], e["protocol"], e["port"]) for e in map(json.loads, lines)) == [
        ("1", "tcp", 79), ("1", "tcp", 81), ("1", "udp", 81), ("2", "tcp", 443), ("2", "udp", 443)]


def test_fast_means_the_hundred_most_common_ports(capsysbinary):
    ports = {json.loads(line)["port"] for line in dry(capsysbinary, "10.0.0.1", "-F", "--reason")}
    assert len(ports) == 100
    assert {22, 80, 443} < ports


def test_exclusion_wins_in_what_would_be_sent(capsysbinary):
    lines = dry(capsysbinary, "10.0.0.0/29", "-p", "80", "--exclude", "10.0.0.2-3,10.0.0.7")
    assert sorted(json.loads(line)["addr"] for line in lines) == [
        f"10.0.0.{n}" for n in (0, 1, 4, 5, 6)]


@pytest.mark.parametrize("words", [["--plan"], ["--plan", "--json"], ["--dry-run"]])
def test_plan_and_rehearsal_open_no_socket_and_keep_nothing(words, home):
    if not shutil.which("strace"):
        pytest.skip("strace is not here: apt-get install strace")
    argv = ["strace", "-f", "-e", "trace=sendto,sendmsg,sendmmsg,connect", "-o", "/dev/stderr"]
    done = subprocess.run([*argv, *SCAN, "127.0.0.1", "-p", "1-5", *words],
                          capture_output=True, text=True, check=True)
    calls = [line for line in done.stderr.splitlines() if re.search(r"\b(send|connect)", line)]
    assert not [line for line in calls if "AF_NETLINK" not in line and "nl_pid" not in line
                and "nlmsg" not in line]
    assert not home.exists()


def test_plan_and_rehearsal_look_as_kept(capsysbinary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ["127.0.0.1", "-p", "1-100,443", "-sT", "--seed", "7", "--shard", "1/4"]
    code, out, err = called(capsysbinary, *words, "--plan")
    assert (code, err) == (0, "")
    golden("scan-plan.txt", out)
    golden("scan-dry-run.jsonl", "\n".join(dry(capsysbinary, *words[:3], "--seed", "7")[:9]) + "\n")


def test_result_looks_as_kept(capsysbinary, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    # No name of /etc/services is ours to change: ports 1 to 3 are closed on every machine.
    code, out, err = called(capsysbinary, "127.0.0.1", "-p", "1-3", "-sT", "--no-keep", "--all")
    assert (code, err) == (0, "portulan: connect scan, as asked\n")
    out = re.sub(r"[0-9.]+ (ms|s)\b", "N s", re.sub(r"20\d\d-.* UTC", "DATE", out))
    out = re.sub(r"Portulan .*", "Portulan VERSION", out)
    out = re.sub(r"[\d,]+ packets/s", "N packets/s", out)
    golden("scan-result.txt", re.sub(r" {2,}(RTT|N s)", r"  \1", out))


# -- a whole scan -------------------------------------------------------------------------------


def test_json_prints_the_journal_and_nothing_else(capsysbinary, listener, home):
    code, out, err = called(
        capsysbinary, "127.0.0.1", "-p", f"{listener},1-20", "-sT", "--json", "--all")
    assert (code, err) == (0, "portulan: connect scan, as asked\n")
    [journal] = home.rglob("events.jsonl")
    assert journal.read_text() == out
    events = [json.loads(line) for line in out.splitlines()]
    assert [events[0]["type"], events[-1]["type"]] == ["run", "end"]
    states = {e["port"]: e["state"] for e in events if e["type"] == "port"}
    assert states == {**dict.fromkeys(range(1, 21), "closed"), listener: "open"}


def test_targets_come_from_stdin(capsysbinary, listener):
    code, out, _ = called(
        capsysbinary, "-iL", "-", "-p", str(listener), "-sT", "--json", "--no-keep",
        stdin=b"# mine\n127.0.0.1\n")
    assert code == 0
    assert '"state":"open"' in out


def test_open_shows_open_ports_only(capsysbinary, listener):
    _, out, _ = called(capsysbinary, "127.0.0.1", "-p", f"{listener},1-20", "-sT", "--json",
                       "--all", "--open", "--no-keep")
    ports = [e for e in map(json.loads, out.splitlines()) if e["type"] == "port"]
    assert [(e["port"], e["state"]) for e in ports] == [(listener, "open")]


SUFFIXES = (".jsonl", ".xml", ".csv", ".md", ".html", ".txt", ".parquet")


def test_every_suffix_is_written_and_names_the_open_port(capsysbinary, listener, tmp_path):
    outputs = [word for suffix in SUFFIXES for word in ("-o", str(tmp_path / f"o{suffix}"))]
    code, _, err = called(capsysbinary, "127.0.0.1", "-p", f"{listener},1-9", "-sT", *outputs)
    assert code == 0, err
    for suffix in SUFFIXES[:-1]:
        assert str(listener) in (tmp_path / f"o{suffix}").read_text(), suffix
    assert (tmp_path / "o.parquet").read_bytes()[:4] == b"PAR1"
    assert not list(tmp_path.glob("*.tmp"))


def test_same_result_whatever_the_terminal(listener):
    for words in ({"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii:strict"}, {"NO_COLOR": "1"},
                  {"COLUMNS": "40"}, {"COLUMNS": "200"}):
        done = run("127.0.0.1", "-p", str(listener), "-sT", "--no-keep",
                   env={**os.environ, **words})
        assert done.returncode == 0, done.stderr
        assert str(listener) in done.stdout
        assert "\x1b" not in done.stdout
        if "PYTHONIOENCODING" in words:
            assert done.stdout.isascii()


# -- output that goes away ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["| head -1", ">&-", "2>&-", "<&-", ">/dev/full"])
@pytest.mark.parametrize("words", ["-p 1-300 -sT --json --all", "-p 1-3 -sT", "-p 1-50 --dry-run"])
def test_output_that_goes_away_shows_no_traceback(how, words):
    command = f"{' '.join(SCAN)} 127.0.0.1 --no-keep {words} {how}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60,
        check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if how == ">/dev/full":
        assert done.returncode == 2
        assert "no space left" in done.stderr.splitlines()[-1]
    elif "head" in how and "--" not in words:
        assert done.returncode in (0, 1)  # Rich ends a program with 1 when its reader is gone
    else:
        assert done.returncode == 0, done.stderr


@pytest.mark.live
def test_full_disk_is_one_line_and_the_chart_so_far_is_readable(tmp_path):
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root to mount a small tmpfs in a namespace of its own")
    room = tmp_path / "small"
    room.mkdir()
    script = f"""
        mount -t tmpfs -o size=256k none {room} || exit 77
        PORTULAN_HOME={room} {' '.join(SCAN)} 127.0.0.1 -p- -sT --all >{tmp_path}/out
        echo $? >{tmp_path}/code
        PORTULAN_HOME={room} {' '.join(PORTULAN)} charts show last >{tmp_path}/shown || exit 78
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode == 77:
        pytest.skip("no right to mount")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "code").read_text().strip() == "2"
    lines = done.stderr.splitlines()
    assert [line for line in lines if "space" in line.lower()], lines
    assert "Traceback" not in done.stderr
    assert "127.0.0.1" in (tmp_path / "shown").read_text()


@pytest.mark.parametrize(("number", "code"), [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_soon_with_a_valid_chart_and_a_hint(number, code, home, tmp_path):
    argv = [*SCAN, "127.0.0.1", "-p", "1-60000", "-sT", "--max-rate", "500", "--json",
            "-o", str(tmp_path / "part.xml")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert '"type":"run"' in process.stdout.readline()
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        took = time.monotonic() - began
    assert process.returncode == code
    assert took < 10, "a signal must not be swallowed (2 s is the promise, this machine is shared)"
    assert "Traceback" not in err
    [journal] = home.rglob("events.jsonl")
    assert f"--resume {journal.parent.name}" in err.splitlines()[-1]
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    assert events[-1]["reason"] == "interrupted"
    import xml.etree.ElementTree as Tree

    assert Tree.parse(tmp_path / "part.xml").getroot().tag == "nmaprun"

"""How well real servers are named: each is started, asked, and dpkg's version is the truth.

Run, as root: python -m bench.services [NAME...] [--install] [--nmap] [--seed 1] [--misses]
The servers stand in services.toml. Each runs alone on a shuffled port of a network namespace of
its own, in a PID namespace: whatever it starts ends with it. `--install` fetches from Debian what
is absent; without, servers whose package is not installed are left out and named. `--usual` takes
the port its protocol is known for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import msgspec

TABLE = Path(__file__).with_suffix(".toml")
LISTENS_S = 40.0
"""Seconds a server has to listen; message brokers on Java are the slowest."""
ASKED_S = 200.0
PORTS = range(12_000, 32_000)
"""Below the ports of clients, and below 32,768, which some servers take for the end."""
USUAL = {
    "amqp": 5672, "beanstalk": 11300, "chargen": 19, "clamd": 3310, "daytime": 13, "dict": 2628,
    "distccd": 3632, "domain": 53, "epmd": 4369, "etcd": 2379, "firebird": 3050, "ftp": 21,
    "gearman": 4730, "git": 9418, "gpsd": 2947, "http": 80, "ident": 113, "imap": 143,
    "iperf3": 5201, "ipp": 631, "irc": 6667, "lcdproc": 13666, "ldap": 389, "memcached": 11211,
    "modbus": 502, "mpd": 6600, "mqtt": 1883, "mumble": 64738, "munin": 4949, "mysql": 3306,
    "nats": 4222, "nbd": 10809, "ntp": 123, "nut": 3493, "openvpn": 1194, "pop3": 110,
    "postgresql": 5432, "radius": 1812, "rdp": 3389, "redis": 6379, "rsync": 873, "sip": 5060,
    "smb": 445, "smtp": 25, "snmp": 161, "socks5": 1080, "ssh": 22, "stun": 3478, "svn": 3690,
    "tarantool": 3301, "tftp": 69, "vnc": 5900, "xmpp": 5222, "zabbix-agent": 10050,
    "zookeeper": 2181,
}
"""Ports that services are known for (IANA, or their own documentation)."""
PORTULAN = str(Path(sys.executable).with_name("portulan"))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/dovecot"
INSIDE = "PORTULAN_BENCH_INSIDE"
"""Set in the environment once we are in the namespace."""


class Server(msgspec.Struct, forbid_unknown_fields=True):
    """One server of the table; see the table's head for the meaning of its words."""

    name: str
    package: str
    service: list[str]
    run: str
    transport: Literal["tcp", "udp"] = "tcp"
    product: str = ""
    version: str = ""
    told: str = ""
    setup: str = ""
    usual: int = 0
    files: dict[str, str] = msgspec.field(default_factory=dict)
    unpack: list[str] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contender said of a port, and after how long."""

    service: str = ""
    vendor: str = ""
    product: str = ""
    version: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What an answer is worth: each of service, product, version.

    `o` right, `m` missing, `w` wrong, `-` not disclosed.
    """

    service: str
    product: str
    version: str

    def __str__(self) -> str:
        return self.service + self.product + self.version


def servers(path: Path = TABLE) -> list[Server]:
    """Return the servers of the table."""
    rows = msgspec.toml.decode(path.read_bytes(), type=dict[str, list[Server]])["server"]
    return rows


def installed_version(package: str) -> str:
    """Return dpkg's version of a package, or an empty text."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package],
                          capture_output=True, text=True, check=False)
    return done.stdout[3:].strip() if done.stdout.startswith("ii") else ""


def upstream(version: str) -> str:
    """Return the upstream part of a Debian version, without what Debian added to it.

    >>> upstream("1:9.2p1-2+deb12u10"), upstream("2.5.13+dfsg-5"), upstream("3.11~ds1-1")
    ('9.2p1', '2.5.13', '3.11')
    """
    epochless = version.partition(":")[2] or version
    return re.split(r"[+~]", epochless.rpartition("-")[0] or epochless)[0]


def mark(server: Server, answer: Answer, truth: str) -> Mark:
    """Compare an answer with the truth."""
    said = f"{answer.vendor} {answer.product}".lower()
    service = "o" if answer.service in server.service else "w" if answer.service else "m"
    if server.product:
        product = "o" if server.product in said else "w" if answer.product else "m"
    else:
        # What a server does not tell may be concluded (chargen: xinetd), never told wrongly.
        product = "-" if not answer.product or server.name.split("-")[0] in said else "w"
    told = server.told or truth
    if server.version == "":
        version = "-" if not answer.version else "o" if _same(told, answer.version) else "w"
    else:
        version = ("o" if _same(told, answer.version, server.version) else
                   "w" if answer.version else "m")
    return Mark(service, product, version)


def _same(truth: str, said: str, part: str = "all") -> bool:
    """Tell whether a version is the true one, or as much of it as the server tells."""
    if part != "all" or not said:
        numbers = truth.split(".")[: int(part) if part.isdigit() else None]
        return said == ".".join(numbers)
    return said == truth or truth.startswith(said + ".")


# The servers.

def fetched(server: Server, folder: Path, *, install: bool) -> str:
    """Return the version of a server's package, unpacked where it conflicts; empty: absent."""
    if not server.unpack:
        if install and not installed_version(server.package):
            _apt("install", "-y", "--no-install-recommends", server.package)
        return installed_version(server.package)
    version = ""
    for package in server.unpack:
        place = folder / package
        if not place.exists() and install:
            place.mkdir(parents=True)
            _apt("download", package, cwd=place)
            for archive in place.glob("*.deb"):
                subprocess.run(["dpkg", "-x", archive, folder / "root"], check=True)
        found = list(place.glob("*.deb")) if place.exists() else []
        if not found:
            return ""
        if package == server.package:
            version = found[0].name.split("_")[1].replace("%3a", ":")
    return version or installed_version(server.package)


def _apt(*words: str, cwd: Path | None = None) -> None:
    subprocess.run(["apt-get", "-qq", *words], stdin=subprocess.DEVNULL, check=False, cwd=cwd,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def running(server: Server, port: int, unpacked: Path) -> Iterator[Path]:
    """Run a server till the block ends; raise TimeoutError where it does not listen."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        words = {"$PORT": str(port), "$OTHER": str(port + 1), "$DIR": folder,
                 "$UNPACKED": str(unpacked)}

        def filled(text: str) -> str:
            for name, value in words.items():
                text = text.replace(name, value)
            return text

        for name, text in server.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(filled(text.removeprefix("\n")))
        script = f"mount -t tmpfs none /run && mkdir -p /run/lock\n{filled(server.setup)}\n"
        log = Path(folder, "bench.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc",
                 "sh", "-c", script + "exec " + filled(server.run)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                cwd=folder, env={"PATH": PATH, "HOME": folder, "LANG": "C.UTF-8"})
        try:
            _wait_listening(process, port, server, log)
            yield Path(folder)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the PID namespace by its first process: one that changed its user outlives unshare."""
    with suppress(OSError):
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_listening(process: subprocess.Popen[bytes], port: int, server: Server, log: Path) -> None:
    """Wait till the kernel lists the port: a connection would be an event to the server."""
    ends = time.monotonic() + LISTENS_S
    while not listening(port, server.transport):
        # Some daemons fork away: the namespace's first process is then gone, but so are they.
        if process.poll() is not None or time.monotonic() > ends:
            tail = log.read_text("utf-8", "replace")[-600:]
            raise TimeoutError(f"{server.name} does not listen: {tail}")
        time.sleep(0.05)


def listening(port: int, transport: str) -> bool:
    """Tell whether a socket of this network namespace waits on a port."""
    wanted = f":{port:04X} "
    for table in (transport, f"{transport}6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if (local + " ").endswith(wanted) and state in ("0A", "07"):
                return True
    return False


# The contenders.

def by_portulan(port: int, server: Server) -> Answer:
    """Ask by `portulan banner`."""
    place = f"{'udp://' if server.transport == 'udp' else ''}127.0.0.1:{port}"
    began = time.monotonic()
    done = subprocess.run([PORTULAN, "banner", place, "--json"], capture_output=True, text=True,
                          timeout=ASKED_S, check=False)
    spent = time.monotonic() - began
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if told.get("type") == "service":
            name = told.get("name", "")
            return Answer("" if name in UNNAMED else name, told.get("vendor") or "",
                          told.get("product") or "", told.get("version") or "", spent)
    if done.returncode and done.stderr:
        print(f"  {server.name}: {done.stderr.strip()[:200]}", file=sys.stderr)
    return Answer(seconds=spent)


def by_nmap(port: int, server: Server) -> Answer:
    """Ask by `nmap -sV`."""
    kind, word = ("-sU", "U") if server.transport == "udp" else ("-sT", "T")
    began = time.monotonic()
    done = subprocess.run(["nmap", kind, "-Pn", "-n", "-sV", "-p", f"{word}:{port}", "-oX", "-",
                           "127.0.0.1"], capture_output=True, text=True, timeout=ASKED_S,
                          check=False)
    spent = time.monotonic() - began
    told = ElementTree.fromstring(done.stdout).find(".//port/service")
    if told is None or told.get("method") != "probed" or told.get("name") in UNNAMED:
        return Answer(seconds=spent)
    # Nmap writes the distribution's part behind the version, and guesses as "9.6.0 or later".
    version = told.get("version", "")
    version = "" if version.endswith("or later") or " - " in version else version.split(" ")[0]
    return Answer(told.get("name", ""), "", told.get("product", ""), version, spent)


UNNAMED = ("unknown", "tcpwrapped")
"""What is said where nothing was learned."""
Ask = Callable[[int, Server], Answer]


def score(marks: list[Mark], seconds: list[float]) -> str:
    """Return a contender's figures, a line."""
    count: Counter[tuple[str, str]] = Counter()
    for each in marks:
        for field in ("service", "product", "version"):
            count[field, getattr(each, field)] += 1
    texts = []
    for field in ("service", "product", "version"):
        right, missing, wrong = (count[field, letter] for letter in "omw")
        told = right + missing + wrong
        texts.append(f"{field} {right} of {told} ({right / max(1, told):.1%})")
    wrong = sum(count[field, "w"] for field in ("service", "product", "version"))
    cuts = sorted(seconds)
    late = cuts[min(len(cuts) - 1, round(0.95 * len(cuts)))]
    return (f"{'; '.join(texts)}; wrong fields {wrong}; median {statistics.median(cuts):.2f} s, "
            f"95th percentile {late:.2f} s, all {sum(cuts):.0f} s")


def compare(chosen: list[Server], contenders: dict[str, Ask], *, seed: int, usual: bool,
            install: bool, misses: bool, unpacked: Path) -> None:
    """Start each server, let each contender ask it, print the figures."""
    ports = random.Random(seed).sample(PORTS, len(chosen))
    marks: dict[str, list[Mark]] = {name: [] for name in contenders}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for server, shuffled in zip(chosen, ports, strict=True):
        port = (server.usual or USUAL.get(server.service[0], shuffled)) if usual else shuffled
        version = fetched(server, unpacked, install=install)
        if not version:
            print(f"{server.name}: {server.package} is not installed, left out")
            continue
        try:
            with running(server, port, unpacked / "root"):
                for name, ask in contenders.items():
                    answer = ask(port, server)
                    got = mark(server, answer, upstream(version))
                    marks[name].append(got)
                    seconds[name].append(answer.seconds)
                    if not misses or set(str(got)) & set("mw"):
                        print(f"{server.name:16} {name:8} {got} {answer.seconds:6.2f} s  "
                              f"{answer.service} | {answer.vendor} | {answer.product} | "
                              f"{answer.version}  (package {version})", flush=True)
        except TimeoutError as error:
            print(f"{server.name}: {error}")
    for name in contenders:
        if marks[name]:
            print(f"{name}, {len(marks[name])} servers: {score(marks[name], seconds[name])}")


def main() -> None:
    """Read the command line and go, inside a network namespace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="servers of the table [all]")
    parser.add_argument("--install", action="store_true", help="install what is absent")
    parser.add_argument("--nmap", action="store_true", help="ask by nmap -sV, too")
    parser.add_argument("--usual", action="store_true", help="on the ports they are known for")
    parser.add_argument("--misses", action="store_true", help="print what is not right alone")
    parser.add_argument("--seed", type=int, default=1, help="of the ports' shuffling [1]")
    parser.add_argument("--unpacked", type=Path, default=Path(tempfile.gettempdir(), "bench-debs"))
    options = parser.parse_args()
    chosen = [each for each in servers() if not options.names or each.name in options.names]
    if os.geteuid() or not shutil.which("unshare"):
        print("Not run here: needs root and unshare to make namespaces.")
        return
    if options.install and INSIDE not in os.environ:
        for server in chosen:
            fetched(server, options.unpacked, install=True)
    enter_namespace()
    contenders: dict[str, Ask] = {"portulan": by_portulan}
    if options.nmap and shutil.which("nmap"):
        contenders["nmap"] = by_nmap
    compare(chosen, contenders, seed=options.seed, usual=options.usual, install=False,
            misses=options.misses, unpacked=options.unpacked)


def enter_namespace() -> None:
    """Start over in a network namespace that has loopback alone."""
    if INSIDE in os.environ:
        return
    words = shlex.join([sys.executable, "-m", "bench.services", *sys.argv[1:]])
    # An address beside loopback's: some servers resolve their own only where there is a network.
    links = ("ip link set lo up; ip link add bench0 type veth peer name bench1; "
             "ip addr add 10.79.255.1/30 dev bench0; ip link set bench0 up; ip link set bench1 up")
    os.execvpe("unshare", ["unshare", "--net", "sh", "-c", f"{links}; exec {words}"],
               os.environ | {INSIDE: "1"})


if __name__ == "__main__":
    main()

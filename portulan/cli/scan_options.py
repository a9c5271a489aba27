"""The flags of `portulan scan`: one declaration each, which is also the field that holds it.

A new flag is one `flag(...)` line in `Options`, what it may not be said with in `check`, and its
place in what `request` returns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rich_click as click

from portulan.cli.scan_files import check_output, read_scope, read_words
from portulan.errors import UsageError

if TYPE_CHECKING:
    from portulan.drive.request import Method, Request

Command = TypeVar("Command", bound=Callable[..., Any])

#: nmap's letters behind `-s`.
METHODS: Final[dict[str, Method]] = {
    "S": "syn", "T": "connect", "n": "ping", "A": "ack", "W": "window", "F": "fin", "N": "null",
    "X": "xmas", "U": "udp", "Y": "sctp", "O": "protocols",
    "M": "maimon",
}
#: Letters that are no methods but go with most: naming services, and looking at them.
VERSIONS, CHECKS = "V", "C"
#: Ports of -F.
FAST_PORTS: Final = 100
#: What help puts the flags under.
WHOM, HOW, PACE, SHOW = "Whom to ask", "What to ask", "How fast and how long", "What is shown"


def flag(*names: str, help: str, panel: str, default: Any = "", **words: Any) -> Any:  # noqa: ANN401
    """Declare a field that a flag sets; `words` are click's."""
    return field(default=default, metadata={
        "names": names, "help": help, "panel": panel, "default": default, **words,
    })


def flags(options: type) -> Callable[[Command], Command]:
    """Return a decorator that gives a command every flag declared in `options`."""
    def decorate(command: Command) -> Command:
        for each in reversed(fields(options)):
            words = dict(each.metadata)
            if words:
                names = words.pop("names")
                command = click.option(*names, each.name, **words)(command)
        return command

    return decorate


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line as typed."""

    targets: tuple[str, ...] = ()
    lists: tuple[str, ...] = flag(
        "-iL", multiple=True, metavar="FILE|-", default=(), panel=WHOM,
        help="Read targets from a file.")
    exclude: tuple[str, ...] = flag(
        "--exclude", multiple=True, metavar="TARGET", default=(), panel=WHOM,
        help="Leave these out; always wins.")
    exclude_files: tuple[str, ...] = flag(
        "--exclude-file", multiple=True, metavar="FILE", default=(), panel=WHOM,
        help="Leave out what the file names.")
    scope: str = flag(
        "--scope", metavar="FILE", panel=WHOM,
        help="Lines `allow NET` and `deny NET`: nothing else may be asked.")
    ip4: bool = flag("-4", is_flag=True, default=False, panel=WHOM, help="IPv4 only.")
    ip6: bool = flag("-6", is_flag=True, default=False, panel=WHOM, help="IPv6 only.")
    interface: str = flag("-e", metavar="IFACE", panel=WHOM, help="Use this interface.")
    yes: bool = flag("-y", "--yes", is_flag=True, default=False, panel=WHOM,
                     help="Yes, more than 65,536 public addresses.")

    ports: str = flag("-p", metavar="PORTS", panel=HOW,
                      help="Ports: 22,80,1-1024,http*, T:443,U:53, or - for all.")
    top_ports: int | None = flag(
        "--top-ports", type=click.IntRange(1), metavar="N", default=None, panel=HOW,
        help="The N most common ports. [default: 1000]")
    fast: bool = flag("-F", is_flag=True, default=False, panel=HOW,
                      help=f"The {FAST_PORTS} most common ports.")
    exclude_ports: str = flag("--exclude-ports", metavar="PORTS", panel=HOW,
                              help="Leave these ports out, as -p names them; always wins.")
    kind: tuple[str, ...] = flag(
        "-s", multiple=True, metavar="TYPE", default=(), panel=HOW,
        help="-sS SYN scan, -sT connect scan, -sU UDP, -sY SCTP INIT, -sA ACK, -sW Window, "
             "-sF FIN, -sN NULL, -sX Xmas, -sM Maimon, -sO IP protocols, -sn hosts only; "
             "-sSU joins TCP and UDP; -sV names the services behind open ports, -sC also looks "
             "at them by safe checks. [default: the best allowed]")
    scan_flags: str = flag(
        "--scanflags", metavar="FLAGS", panel=HOW,
        help="TCP flags of your own, as SYNFIN or 0x03; -s says how to read the answers.")
    ping: str | None = flag(
        "-P", metavar="n", default=None, panel=HOW,
        help="-Pn: take every host for up, don't ask first.")
    everything: bool = flag(
        "-A", is_flag=True, default=False, panel=HOW,
        help="All there is to know: -sV -sC -O --traceroute.")
    checks_folder: str = flag(
        "--checks", metavar="FOLDER", panel=HOW,
        help="With -sC: also the checks in this folder's Python files. They are run: trust them.")
    systems: bool = flag(
        "-O", is_flag=True, default=False, panel=HOW,
        help="Ask hosts that are up which system they run, by the habits of their TCP/IP.")
    traceroute: bool = flag(
        "--traceroute", is_flag=True, default=False, panel=HOW,
        help="Also trace the ways to the hosts that are up.")
    no_reverse: bool = flag(
        "-n", is_flag=True, default=False, panel=HOW,
        help="Never ask DNS about hosts (no scan does yet; names you type are looked up).")
    contact: str = flag("--contact", metavar="TEXT", panel=HOW,
                        help="Who to ask about this scan; travels in echo requests and, with -sV, "
                             "to web servers.")

    timing: int = flag("-T", type=click.IntRange(0, 5), metavar="0-5", default=3, panel=PACE,
                       help="Patience: 0 paranoid ... 3 normal ... 5 insane.")
    max_rate: float | None = flag(
        "--max-rate", type=float, metavar="PPS", default=None, panel=PACE,
        help="Packets a second, 0 for no cap. [default: 10000; 1000 if a target is public]")
    min_rate: float | None = flag(
        "--min-rate", type=float, metavar="PPS", default=None, panel=PACE,
        help="Packets a second that losses do not slow down below; raises the default cap.")
    scan_delay: str = flag(
        "--scan-delay", metavar="TIME", panel=PACE,
        help="Pause between two probes to one host, as 1, 500ms.")
    retries: int | None = flag(
        "--retries", "--max-retries", type=int, metavar="N", default=None, panel=PACE,
        help="How often a silent port may be asked again. [default: 10]")
    recall: float | None = flag(
        "--recall", type=float, metavar="SHARE", default=None, panel=PACE,
        help="Ask on until this share of all answers is found, as 0.999, or tries run out.")
    host_timeout: str = flag(
        "--host-timeout", metavar="TIME", panel=PACE,
        help="So long for a host's ports, and with -sV for naming its services, as 15, 90s, 2m; "
             "what was found is kept. [default: none; 15m with -T5]")
    seed: int | None = flag(
        "--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", default=None, panel=PACE,
        help="Order of probing; the same seed gives the same order.")
    shard: str = flag("--shard", metavar="I/N", panel=PACE, help="Do the I-th of N equal parts.")
    resume: str = flag("--resume", metavar="ID", panel=PACE,
                       help="Take up a scan that was cut off.")

    plan_only: bool = flag("--plan", is_flag=True, default=False, panel=SHOW,
                           help="Say what would be done, and stop.")
    dry_run: bool = flag("--dry-run", is_flag=True, default=False, panel=SHOW,
                         help="Print the probes instead of sending them.")
    as_json: bool = flag("--json", is_flag=True, default=False, panel=SHOW,
                         help="Events as JSON Lines on stdout.")
    every_state: bool = flag("--all", is_flag=True, default=False, panel=SHOW,
                             help="List every port, not only open ones.")
    reason: bool = flag("--reason", is_flag=True, default=False, panel=SHOW,
                        help="Say why each port is in its state: that is always done.")
    only_open: bool = flag("--open", is_flag=True, default=False, panel=SHOW,
                           help="Show open ports only.")
    outputs: tuple[str, ...] = flag(
        "-o", multiple=True, metavar="FILE", default=(), panel=SHOW,
        help="Also write a file; the suffix says how: "
             ".jsonl .xml .csv .md .html .txt .parquet .pcapng")
    no_keep: bool = flag("--no-keep", is_flag=True, default=False, panel=SHOW,
                         help="Keep no chart.")

    def check(self) -> None:
        """Raise `UsageError` for what does not go together, before anything is sent."""
        if unknown := {*self._letters} - {*METHODS, VERSIONS, CHECKS}:
            known = ", ".join(f"-s{letter}" for letter in (*METHODS, VERSIONS, CHECKS))
            raise UsageError("no such scan", text=f"-s{''.join(sorted(unknown))}",
                             hint=f"there are {known}")
        if sum(map(bool, (self.ports, self.top_ports, self.fast))) > 1:
            raise UsageError("-p, -F and --top-ports each say which ports", hint="give one of them")
        if self.ping not in (None, "n"):
            raise UsageError("no such way to find hosts", text=f"-P{self.ping}", where="-P",
                             hint="there is -Pn; ARP, ND, ICMP and TCP are asked by themselves")
        if self.ip4 and self.ip6:
            raise UsageError("-4 and -6 leave nothing", hint="give one of them")
        if "n" in self._letters and self.ping:
            raise UsageError("-sn asks who is up, -Pn says not to ask", hint="give one of them")
        if {"n", "O"} & {*self._letters}:
            for wanted, name, does in (
                (self._identify, "-sV", "names services behind ports"),
                (self._systems, "-O", "asks by way of ports"),
            ):
                if wanted:
                    raise UsageError(f"{name} {does}, and no port is asked",
                                     hint="leave out -sn or -sO")
        if self.checks_folder and not self._checks:
            raise UsageError("a folder of checks for a scan without checks", where="--checks",
                             hint="add -sC")
        read_time(self.host_timeout, "--host-timeout")
        read_time(self.scan_delay, "--scan-delay")
        if self.resume:
            self._check_resume()
        for output in self.outputs:
            check_output(output, kept=not self.no_keep)

    @property
    def _letters(self) -> str:
        """What stands behind all `-s`, each letter once."""
        return "".join(dict.fromkeys("".join(self.kind)))

    @property
    def _checks(self) -> bool:
        return self.everything or CHECKS in self._letters

    @property
    def _identify(self) -> bool:
        """Whether services are named: checks need to know whom they ask."""
        return self._checks or VERSIONS in self._letters

    @property
    def _systems(self) -> bool:
        return self.everything or self.systems

    def _check_resume(self) -> None:
        """Refuse what the kept plan says already: it would be ignored."""
        again = Options(resume=self.resume)
        for each in fields(self):
            if each.name in SHOWING or getattr(self, each.name) == getattr(again, each.name):
                continue
            name = each.name.replace("_", "-")
            raise UsageError(f"a resumed scan keeps to its plan, {name} included",
                             where="--resume", hint="leave it out")

    def request(self) -> Request:
        """Return what is asked for, files read."""
        from portulan import api
        from portulan.drive.request import Request
        from portulan.scan.flags import parse_flags

        letters = self._letters.replace(VERSIONS, "").replace(CHECKS, "")
        methods = [METHODS[letter] for letter in letters] or ["auto"]
        methods.sort(key=lambda method: method in ("udp", "sctp"))  # stable: TCP goes first
        targets = [(text, "target") for text in self.targets]
        for name in self.lists:
            targets += read_words(name, "-iL")
        exclude = [(word, "--exclude") for text in self.exclude for word in text.split(",")]
        for name in self.exclude_files:
            exclude += read_words(name, "--exclude-file")
        return Request(
            targets=targets, exclude=exclude, ports=self.ports,
            top_ports=FAST_PORTS if self.fast else self.top_ports or 0,
            exclude_ports=self.exclude_ports,
            method=methods[0], also=methods[1:],
            tcp_flags=parse_flags(self.scan_flags) if self.scan_flags else None,
            discover=self.ping is None,
            family=4 if self.ip4 else 6 if self.ip6 else 0, interface=self.interface,
            max_rate=self.max_rate, min_rate=self.min_rate or 0.0,
            scan_delay_s=read_time(self.scan_delay, "--scan-delay"),
            retries=self.retries, timing=self.timing,
            recall=self.recall or 0.0,
            seed=api.new_seed() if self.seed is None else self.seed, shard=self.shard,
            every_state=self.every_state, scope=read_scope(self.scope),
            scope_where=self.scope, confirmed=self.yes, contact=self.contact,
            identify=self._identify, checks=self._checks, checks_folder=self.checks_folder,
            systems=self._systems, traceroute=self.traceroute or self.everything,
            host_timeout_s=read_time(self.host_timeout, "--host-timeout"),
            argv=["portulan", *sys.argv[1:]],
        )


def read_time(text: str, where: str) -> float:
    """Return the seconds of a time as nmap writes it: 15, 15s, 500ms, 2m, 1h; empty: 0.

    >>> read_time("2m", "--host-timeout")
    120.0
    """
    number, unit = text, 1.0
    for suffix, seconds in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if text.endswith(suffix):
            number, unit = text.removesuffix(suffix), seconds
            break
    if not text:
        return 0.0
    if not number.replace(".", "", 1).isdigit() or float(number) == 0:
        raise UsageError("no such time", text=text, where=where,
                         hint="seconds, or with a unit: 500ms, 15s, 2m, 1h")
    return float(number) * unit


#: Fields that say how to show a scan, not what it does: they go with `--resume`.
SHOWING: Final = frozenset({
    "resume", "as_json", "only_open", "outputs", "no_reverse", "reason",
})

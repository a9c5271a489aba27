"""`portulan scan`: from what was typed to a kept, proven result."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from portulan.api import Scan, Shown
    from portulan.drive.plan import Aim, Plan
    from portulan.drive.request import Method, Request, Word
    from portulan.record import AnyEvent

METHODS: Final[dict[str, Method]] = {
    "S": "syn", "T": "connect", "n": "ping", "A": "ack", "W": "window", "F": "fin", "N": "null",
    "X": "xmas", "U": "udp",
}
#: Options that say how to show a scan, not what it does: they go with `--resume`.
SHOWING: Final = frozenset({"resume", "as_json", "only_open", "outputs", "no_reverse"})
#: Signals that end a scan with what is known.
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("scan", context_settings={
    "help_option_names": ["-h", "--help"], "max_content_width": 100,
})
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option("-p", "ports", metavar="PORTS", default="",
              help="Ports: 22,80,1-1024,http*, or - for all.")
@click.option("--top-ports", type=click.IntRange(1), metavar="N", default=None,
              help="The N most common ports. [default: 1000]")
@click.option("-s", "kind", metavar="S|T|U|A|W|F|N|X|n", default="",
              help="-sS SYN scan, -sT connect scan, -sU UDP, -sA ACK, -sW Window, -sF FIN, "
                   "-sN NULL, -sX Xmas, -sn hosts only. [default: the best allowed]")
@click.option("-P", "ping", type=click.Choice(["n"]), metavar="n", default=None,
              help="-Pn: take every host for up, don't ask first.")
@click.option("-n", "no_reverse", is_flag=True,
              help="Never ask DNS about hosts (no scan does yet; names you type are looked up).")
@click.option("-4", "ip4", is_flag=True, help="IPv4 only.")
@click.option("-6", "ip6", is_flag=True, help="IPv6 only.")
@click.option("-T", "timing", type=click.IntRange(0, 5), metavar="0-5", default=3,
              help="Patience: 0 paranoid ... 3 normal ... 5 insane.")
@click.option("--max-rate", type=float, metavar="PPS", default=None,
              help="Packets a second, 0 for no cap. [default: 10000; 1000 if a target is public]")
@click.option("--retries", type=int, metavar="N", default=None,
              help="How often a silent port may be asked again. [default: 10]")
@click.option("--recall", type=float, metavar="SHARE", default=None,
              help="Ask on until this share of all answers is found, as 0.999, or tries run out.")
@click.option("-iL", "lists", multiple=True, metavar="FILE|-", help="Read targets from a file.")
@click.option("--exclude", multiple=True, metavar="TARGET", help="Leave these out; always wins.")
@click.option("--exclude-file", "exclude_files", multiple=True, metavar="FILE",
              help="Leave out what the file names.")
@click.option("--scope", metavar="FILE", default="",
              help="Lines `allow NET` and `deny NET`: nothing else may be asked.")
@click.option("-e", "interface", metavar="IFACE", default="", help="Use this interface.")
@click.option("--contact", metavar="TEXT", default="",
              help="Who to ask about this scan; travels in echo requests.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), metavar="N", default=None,
              help="Order of probing; the same seed gives the same order.")
@click.option("--shard", metavar="I/N", default="", help="Do the I-th of N equal parts.")
@click.option("--resume", metavar="ID", default="", help="Take up a scan that was cut off.")
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be done, and stop.")
@click.option("--dry-run", is_flag=True, help="Print the probes instead of sending them.")
@click.option("--json", "as_json", is_flag=True, help="Events as JSON Lines on stdout.")
@click.option("--all", "every_state", is_flag=True, help="List every port, not only open ones.")
@click.option("--open", "only_open", is_flag=True, help="Show open ports only.")
@click.option("-o", "outputs", multiple=True, metavar="FILE",
              help="Also write a file; the suffix says how: "
                   ".jsonl .xml .csv .md .html .txt .parquet .pcapng")
@click.option("--no-keep", is_flag=True, help="Keep no chart.")
@click.option("-y", "--yes", is_flag=True, help="Yes, more than 65,536 public addresses.")
def scan(**words: Any) -> None:  # noqa: ANN401 - whatever click made of the words
    """Find hosts that are up and their ports' states, and keep the proof.

    TARGET is an address, a name, a net (10.0.0.0/24), a range (10.0.0-3.1-9), or host:port.
    """
    _refuse_empty(words)
    options = Options(**words)
    options.check()
    if options.resume:
        _run(lambda: _resumed(options.resume), options)
        return
    request = options.request()
    if options.dry_run:
        _print_probes(request)
        return
    from portulan import api

    plan = _confirmed_plan(request, options)
    if options.plan_only:
        _print_plan(plan, as_json=options.as_json)
        return
    _run(lambda: api.Scan.begin(plan, keep=not options.no_keep), options, plan)


def _refuse_empty(words: dict[str, Any]) -> None:
    """Raise `UsageError` for `--scope ""` and its like: an unset variable must not mean "all"."""
    context = get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if words.get(option.name or "") == "" and source is ParameterSource.COMMANDLINE:
            raise UsageError("an empty value", where=option.opts[0],
                             hint="give one, or leave it out")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line as typed."""

    targets: tuple[str, ...] = ()
    ports: str = ""
    top_ports: int | None = None
    kind: str = ""
    ping: str | None = None
    no_reverse: bool = False
    ip4: bool = False
    ip6: bool = False
    timing: int = 3
    max_rate: float | None = None
    retries: int | None = None
    recall: float | None = None
    lists: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_files: tuple[str, ...] = ()
    scope: str = ""
    interface: str = ""
    contact: str = ""
    seed: int | None = None
    shard: str = ""
    resume: str = ""
    plan_only: bool = False
    dry_run: bool = False
    as_json: bool = False
    every_state: bool = False
    only_open: bool = False
    outputs: tuple[str, ...] = ()
    no_keep: bool = False
    yes: bool = False

    def check(self) -> None:
        """Raise `UsageError` for what does not go together, before anything is sent."""
        if self.kind and self.kind not in METHODS:
            known = ", ".join(f"-s{letter}" for letter in METHODS)
            raise UsageError("no such scan", text=f"-s{self.kind}", hint=f"there are {known}")
        if self.ports and self.top_ports:
            raise UsageError("-p and --top-ports say two things", hint="give one of them")
        if self.ip4 and self.ip6:
            raise UsageError("-4 and -6 leave nothing", hint="give one of them")
        if self.kind == "n" and self.ping:
            raise UsageError("-sn asks who is up, -Pn says not to ask", hint="give one of them")
        if self.resume:
            self._check_resume()
        for output in self.outputs:
            _check_output(output, kept=not self.no_keep)

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

        targets = [(text, "target") for text in self.targets]
        for name in self.lists:
            targets += _words_of(name, "-iL")
        exclude = [(word, "--exclude") for text in self.exclude for word in text.split(",")]
        for name in self.exclude_files:
            exclude += _words_of(name, "--exclude-file")
        return Request(
            targets=targets, exclude=exclude, ports=self.ports, top_ports=self.top_ports or 0,
            method=METHODS[self.kind] if self.kind else "auto", discover=self.ping is None,
            family=4 if self.ip4 else 6 if self.ip6 else 0, interface=self.interface,
            max_rate=self.max_rate, retries=self.retries, timing=self.timing,
            recall=self.recall or 0.0,
            seed=api.new_seed() if self.seed is None else self.seed, shard=self.shard,
            every_state=self.every_state, scope=_scope_of(self.scope),
            scope_where=self.scope, confirmed=self.yes, contact=self.contact,
            argv=["portulan", *sys.argv[1:]],
        )


# -- reading ---------------------------------------------------------------------------------


def _text_of(name: str, option: str) -> str:
    if not name:
        return ""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", text=name, where=option,
                         hint="check the path") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 at byte {error.start}", text=name, where=option,
                         hint="convert it, or name another file") from None


def _scope_of(name: str) -> str:
    text = _text_of(name, "--scope")
    if name and not text.strip():
        raise UsageError("an empty scope allows nothing", text=name, where="--scope",
                         hint="write lines as: allow 192.0.2.0/24")
    return text


def _words_of(name: str, option: str) -> list[Word]:
    from portulan.target.targets import read_lines

    words = read_lines(_text_of(name, option), "stdin" if name == "-" else name)
    if not words:
        raise UsageError("the file names no target", text=name, where=option,
                         hint="one a line; # begins a comment")
    return [(word.text, word.where) for word in words]


# -- planning --------------------------------------------------------------------------------


def _confirmed_plan(request: Request, options: Options) -> Plan:
    """Return the plan; a person at a terminal may confirm what needs a scope otherwise."""
    from msgspec.structs import replace

    from portulan import api
    from portulan.drive.plan import ScopeNeeded

    try:
        return api.plan(request)
    except ScopeNeeded as wish:
        if not (sys.stdin.isatty() and sys.stderr.isatty()) or options.plan_only:
            raise
        question = f"portulan: {wish.public:,} public addresses. May you scan them all?"
        if not click.confirm(question, err=True, default=False):
            raise
    return api.plan(replace(request, confirmed=True))


def _aim(request: Request) -> Aim:
    from portulan.drive.plan import take_aim
    from portulan.sockets.resolve import resolve

    return take_aim(request, resolve)


def _print_probes(request: Request) -> None:
    """Print one line per probe in the order of sending; nothing is sent."""
    from portulan.drive.rehearsal import probe_lines

    out = sys.stdout.buffer
    for lines in probe_lines(_aim(request)):
        out.write(lines)
    out.flush()


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    from portulan.drive.plan import describe

    found = describe(plan, plan.aim.space())
    if as_json:
        import msgspec

        print(msgspec.json.encode(found).decode())
        return
    for name, value in found.items():
        rows = value if isinstance(value, list) else [value]
        for at, row in enumerate(rows or ["-"]):
            print(f"{name.replace('_', ' ') if not at else '':<14} {printable(str(row), 200)}")


# -- running ---------------------------------------------------------------------------------


def _resumed(which: str) -> Scan:
    from portulan import api

    return api.Scan.resume(which)


@dataclass
class Stop:
    """Turns the first signal into a wish to stop, and remembers which it was."""

    scan: Scan
    signal: int = 0
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Stop:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
        self.scan.stop()


def _run(begin: Callable[[], Scan], options: Options, plan: Plan | None = None) -> None:
    under_way = begin()
    show = _Show(options, under_way)
    with Stop(under_way) as stop:
        if plan is not None:
            show.announce(plan)
        try:
            show.run()
        finally:
            show.write_outputs()
    show.close()
    if stop.signal:
        if under_way.folder:
            show.say(f"interrupted - go on with: portulan scan --resume {under_way.folder.id}")
        raise SystemExit(128 + stop.signal)


class _Show:
    """What a person or a program sees of a scan."""

    def __init__(self, options: Options, scan: Scan) -> None:
        self._options, self._scan = options, scan
        self._live = _Progress() if sys.stderr.isatty() else None

    def say(self, line: str) -> None:
        """Tell a person one line."""
        print(f"portulan: {printable(line, 400)}", file=sys.stderr)

    def announce(self, plan: Plan) -> None:
        """Say what is about to happen, before anything is sent."""
        self.say(plan.why)
        for note in plan.notes:
            self.say(note)

    def run(self) -> None:
        """Show events as they are kept."""
        with self._live or contextlib.nullcontext():
            for shown in self._scan.shown():
                if self._options.as_json and shown.lines:
                    sys.stdout.buffer.write(self._chosen(shown))
                    sys.stdout.buffer.flush()
                if self._live:
                    self._live.update(shown, self._scan.events)

    def _chosen(self, shown: Shown) -> bytes:
        if not self._options.only_open:
            return shown.lines
        lines = shown.lines.splitlines(keepends=True)
        return b"".join(
            line for event, line in zip(shown.events, lines, strict=True) if _is_shown(event)
        )

    def close(self) -> None:
        """Show the result to a person."""
        if self._options.as_json:
            return
        from rich.console import Console

        from portulan.render.terminal import lines

        console = Console(highlight=False)
        # Rich would leave with code 1 when `| head` has enough; `main` knows better.
        console.on_broken_pipe = _broken_pipe  # type: ignore[method-assign]
        folder = self._scan.folder
        chart = str(folder.path) if folder else ""
        unicode = (console.encoding or "").lower().startswith("utf")
        for line in lines(self._events(), width=console.width, unicode=unicode, chart=chart):
            console.print(line, soft_wrap=True)

    def _events(self) -> list[AnyEvent]:
        if not self._options.only_open:
            return self._scan.events
        return [_bare(event) for event in self._scan.events if _is_shown(event)]

    def write_outputs(self) -> None:
        """Write the files asked for."""
        for output in self._options.outputs:
            write_output(output, self._scan, self._events())


def _broken_pipe() -> NoReturn:
    raise BrokenPipeError


def _is_shown(event: AnyEvent) -> bool:
    from portulan.record import Port

    return not isinstance(event, Port) or event.state == "open"


def _bare(event: AnyEvent) -> AnyEvent:
    """Return a host event without the counts of what is not open."""
    import msgspec

    from portulan.record import Host

    return msgspec.structs.replace(event, rest={}) if isinstance(event, Host) else event


class _Progress:
    """A live line on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, transient=True, refresh_per_second=8)
        self._open = self._seen = 0

    def __enter__(self) -> _Progress:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401 - handed on as it came
        self._live.__exit__(*error)

    def update(self, shown: Shown, events: Sequence[AnyEvent]) -> None:
        """Redraw with the last progress."""
        from portulan.record import Port
        from portulan.render.terminal import progress

        self._open += sum(isinstance(e, Port) and e.state == "open" for e in shown.events)
        if shown.progress:
            self._live.update(progress(
                shown.progress, width=self._console.width, found=f"{self._open:,} open",
            ))


# -- files -----------------------------------------------------------------------------------


def _check_output(name: str, *, kept: bool) -> None:
    from portulan.render import BINARY, renderer

    path = Path(name)
    if path.suffix not in BINARY:
        renderer(path.suffix)
    elif path.suffix == ".pcapng" and not kept:
        raise UsageError("evidence is kept in the chart", text=name, where="-o",
                         hint="leave --no-keep out")
    if not path.absolute().parent.is_dir():
        raise UsageError("no such folder", text=str(path.parent), where="-o",
                         hint="make it first")


def write_output(name: str, scan: Scan, events: Sequence[AnyEvent]) -> None:
    """Write events in the format that the name's suffix says."""
    from portulan.render import renderer
    from portulan.store.disk import write_atomic

    path = Path(name)
    if path.suffix == ".parquet":
        from portulan.store.findings import Findings
        from portulan.store.tables import write_parquet

        write_parquet(Findings.of(events), {"ports": path})
    elif path.suffix == ".pcapng":
        if scan.folder is None or not scan.folder.evidence.exists():
            raise UsageError("there is no evidence to copy", text=name, where="-o",
                             hint="only packet scans that find something keep frames")
        write_atomic(path, _chunks(scan.folder.evidence))
    else:
        write_atomic(path, renderer(path.suffix)(events))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            yield data

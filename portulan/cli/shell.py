"""`portulan shell`: Python with everything of ours imported, for trying things out."""

from __future__ import annotations

import ast
import code
import sys
from importlib import import_module
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from portulan import __version__
from portulan.errors import PortulanError, UsageError, printable

if TYPE_CHECKING:
    from portulan.drive.capture import Capture

EXIT_FAILED: Final = 2
BANNER: Final = f"""portulan {__version__}: tab completes names and fields; help(NAME); exit()
  packet = IPv4(dst="10.9.0.2") / TCP(dport=80); packet
  send_recv(packet).answered
  read("trace.pcapng").filter("tcp port 443").columns("ip.src", "tls.sni")"""
SOURCE: Final = "<shell>"


@click.command("shell")
@click.argument("path", metavar="[FILE]", required=False)
@click.option("-c", "line", metavar="CODE", help="Run this and end; the last values are shown.")
@click.option("--plain", is_flag=True, help="Python's own shell, even if IPython is there.")
def shell(*, path: str | None, line: str | None, plain: bool) -> None:
    """Open a Python shell with everything imported; FILE is opened as `capture`.

    IPython if it is installed, else Python's own, with tab completion of header fields
    (`TCP(<tab>`), packets (`packet.<tab>`) and columns. What is piped in is run like -c. Exit code
    2: the code that was run failed.
    """
    names = namespace()
    if path is not None:
        names["capture"] = _opened(path)
    if line is not None or not sys.stdin.isatty():
        if not run(sys.stdin.read() if line is None else line, names):
            raise SystemExit(EXIT_FAILED)
    elif plain or not _in_ipython(names):
        _in_python(names)


def _opened(path: str) -> Capture:
    from portulan.drive.capture import Capture

    if path == "-":
        raise UsageError("stdin is for what you type", where="shell",
                         hint="save the capture to a file first")
    return Capture(path)


def namespace() -> dict[str, Any]:
    """Return what the shell begins with: all public names, all headers, NumPy."""
    import numpy as np

    import portulan
    from portulan import wire
    from portulan.wire import dissect  # every header is declared once this is imported

    names: dict[str, Any] = {name: getattr(wire, name) for name in wire.__all__}
    names |= {name: getattr(portulan, name) for name in portulan.__all__ if name[0] != "_"}
    return names | {
        "dissect": dissect.dissect, "np": np, "portulan": portulan, "wire": wire,
        "__name__": "__console__", "__doc__": None}


def run(text: str, names: dict[str, Any]) -> bool:
    """Run some lines, show the values of those that have one; False if they fail."""
    shell = Plain(names)
    sys.displayhook = show
    try:
        tree = ast.parse(text, SOURCE)
        compiled = compile(ast.Interactive(tree.body), SOURCE, "single")
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        shell.showsyntaxerror(SOURCE)
    else:
        shell.runcode(compiled)
    finally:
        sys.displayhook = sys.__displayhook__
    return not shell.failed


class Plain(code.InteractiveConsole):
    """Python's own shell; what is the user's fault is one line, as on the command line."""

    failed = False

    def runcode(self, code: CodeType) -> None:
        """Run a piece of code; an error is shown and noted."""
        super().runcode(code)

    def showtraceback(self) -> None:
        """Show what went wrong."""
        self.failed = True
        error = sys.exc_info()[1]
        if isinstance(error, PortulanError):
            self.write(f"{error_line(error)}\n")
        else:
            super().showtraceback()

    def showsyntaxerror(self, filename: str | None = None, **words: Any) -> None:  # noqa: ANN401
        """Show where the text is no Python."""
        self.failed = True
        super().showsyntaxerror(filename, **words)


def error_line(error: BaseException) -> str:
    """Return an error of ours as one line."""
    return f"{type(error).__name__}: {printable(str(error), 400)}"


class _Text:
    """Takes what `_repr_pretty_` writes."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def text(self, part: str) -> None:
        self.parts.append(part)


def show(value: object) -> None:
    """Print a value as IPython would: packets as trees, columns as tables."""
    pretty = getattr(type(value), "_repr_pretty_", None)
    if value is None or pretty is None:
        sys.__displayhook__(value)
        return
    written = _Text()
    pretty(value, written, False)
    sys.stdout.write("".join(written.parts) + "\n")
    sys.modules["builtins"].__dict__["_"] = value


def _in_python(names: dict[str, Any]) -> None:
    from portulan.cli.shell_complete import Completions

    Completions(names).attach()
    before, sys.displayhook = sys.displayhook, show
    try:
        Plain(names).interact(BANNER, "")
    finally:
        sys.displayhook = before


def _in_ipython(names: dict[str, Any]) -> bool:
    """Run IPython; False if it is not installed."""
    try:  # not among our dependencies, so by name: the type checker need not have it
        ipapp = import_module("IPython.terminal.ipapp")
    except ImportError:
        return False
    app = ipapp.TerminalIPythonApp.instance(user_ns=names, display_banner=False)
    app.initialize(argv=[])
    app.shell.set_custom_exc((PortulanError,), _one_line)
    click.echo(BANNER)
    app.start()
    return True


def _one_line(
    self: object, kind: type[BaseException], error: BaseException, trace: TracebackType,
    tb_offset: int | None = None,
) -> None:
    click.echo(error_line(error), err=True)

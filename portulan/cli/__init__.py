"""The command line: one file a verb, loaded when called.

Law: uses `api` and what is below it; prints results on stdout and words for people on stderr.
Bad input ends in one line and exit code 2, Ctrl-C in 130.

    $ portulan scan 10.0.0.0/24 -p 1-1024
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import rich_click as click

from portulan.errors import PortulanError, printable

#: Verb -> one line of help; each lives in the file of its name. A list here keeps `--help` fast:
#: no verb is imported to be named.
VERBS: Final = {
    "scan": "Find hosts that are up and their ports' states, and keep the proof.",
    "discover": "Find out who is there, with Ethernet addresses, makers and names.",
    "trace": "Show the paths to many hosts at once, with loss and time at each hop.",
    "connect": "Speak to an endpoint: TCP, TLS, UDP, Unix sockets, through proxies.",
    "listen": "Wait for clients: talk, echo, chat, pass on, or run a program for each.",
    "capture": "Show and keep the packets that pass an interface.",
    "read": "Read a capture file: lines, fields, JSON, columns, or another capture.",
    "flows": "List who talked to whom in captures, and how much each way.",
    "follow": "Print what both ends of a conversation in a capture said.",
    "stats": "Sum a capture up: protocols, endpoints, rates, DNS, HTTP, TLS.",
    "sql": "Ask captures and charts with SQL; join them.",
    "explain": "Draw the packets that prove a finding, and say why it follows.",
    "charts": "List, show and remove kept results.",
    "relay": "Connect whoever connects here to somewhere else: TCP, UDP, Unix, TLS.",
    "send": "Send packets written as text; wait for the replies and show them.",
    "shell": "Python with everything imported, to try things out.",
    "replay": "Send a capture file's packets again, in its time or at a rate.",
    "filter": "Check a packet filter; print its BPF program.",
    "info": "Show this machine's network and rights; explain an address or a port.",
    "serve": "Serve a folder over HTTP, or show every request that comes.",
    "proxy": "SOCKS5 and HTTP proxies for those whom lists allow.",
    "banner": "Tell what runs behind given ports.",
    "identify": "Tell from saved replies which services sent them.",
    "rules": "List, show and test the rules that name products.",
    "lab": "A safe network of your own to practise and test on.",
}
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


class Verbs(click.RichGroup):
    """Commands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs in the order people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return a stand-in with a verb's line, which is all that help needs."""
        line = VERBS.get(name)
        return click.RichCommand(name=name, help=line, short_help=line) if line else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the verb that is called."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name is None or stand_in is None:
            return name, stand_in, rest
        verb: click.Command = getattr(import_module(f"portulan.cli.{name}"), name)
        return name, verb, rest

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; click itself would make exit code 1 of a reader that has enough."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has enough of it: `| head` is no error.
            _forget_output()
            raise SystemExit(0) from None


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-V", "--version", is_flag=True, help="Print the version and stop.")
def portulan(version: bool) -> None:
    """Chart a network: hosts, open ports, and the packets that prove each finding."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    _fill_closed_streams()
    _escape_what_cannot_be_shown()
    try:
        code = portulan.main(args=list(argv) if argv is not None else None, standalone_mode=False)
        sys.stdout.flush()
        if code:  # click returns what a verb gave to ctx.exit
            raise SystemExit(code)
    except click.ClickException as error:
        fail(usage_line(error))
    except PortulanError as error:
        fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        _forget_output()
        raise SystemExit(0) from None
    except OSError as error:
        _forget_output()
        name = f": {error.filename}" if error.filename else ""
        fail(f"{(error.strerror or str(error)).lower()}{name} - see that output can be written")


def _fill_closed_streams() -> None:
    """Open what was closed (`>&-`), or the next file or socket would become our output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _escape_what_cannot_be_shown() -> None:
    """Let a letter that the terminal's encoding lacks be shown by its number, not end a verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """Let what is still buffered go nowhere, for the interpreter flushes once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def usage_line(error: click.ClickException) -> str:
    """Return click's complaint as one line that says where help is."""
    text = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{text} - see: {context.command_path} --help" if context else text


def fail(line: str) -> None:
    """Say one line on stderr and leave with the code for wrong use."""
    print(f"portulan: {printable(line, limit=400)}", file=sys.stderr)
    raise SystemExit(EXIT_USAGE)

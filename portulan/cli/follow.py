"""`portulan follow`: what both ends of a conversation in a capture said."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from portulan.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portulan.drive.capture import Capture
    from portulan.traffic.streams import Chunk, Note

EXIT_PARTIAL = 3
_COLOURS = ("\x1b[31m", "\x1b[34m")
_PLAIN = "\x1b[0m"
_SIDES = {"a": (0,), "b": (1,), "both": (0, 1)}


@click.command("follow")
@click.argument("file")
@click.option("--flow", "number", type=click.IntRange(min=1), metavar="N",
              help="The flow of this number, as `flows` lists them from 1.")
@click.option("--tcp", "pair", metavar="A:P-B:Q", help="The TCP conversation of two endpoints.")
@click.option("--side", type=click.Choice(["a", "b", "both"]), default="both",
              help="Only what the first (a) or the second endpoint (b) said.")
@click.option("--raw", "form", flag_value="raw", help="The bytes as they are.")
@click.option("--objects", "folder", metavar="DIR", default=None,
              type=click.Path(file_okay=False, path_type=Path),
              help="Write the bodies of HTTP messages to this new folder: of the flow, or of all.")
@click.option("--hex", "form", flag_value="hex", help="Hexadecimal, with each side's offsets.")
def follow(
    *, file: str, number: int | None, pair: str | None, side: str, form: str | None,
    folder: Path | None,
) -> None:
    """Print what a conversation said, in order, whatever became of its packets.

    Of copies of a byte the first one counts, and a line on stderr names the packet that differs.
    What no packet holds is written as [N bytes missing], and makes the exit code 3. Of a flow, a
    is who sent its first packet.
    """
    from portulan.drive.capture import Capture
    from portulan.drive.flowing import Follower

    if folder is not None:
        if pair is not None or form or side != "both":
            raise UsageError("objects are of a flow or of all", where="--objects",
                             hint="leave out --tcp, --side, --raw and --hex")
        _export(file, number, folder)
        return
    if (number is None) == (pair is None):
        raise UsageError("say which conversation", hint="--flow N or --tcp A:P-B:Q")
    capture = Capture(file)
    follower = Follower.tcp(pair) if pair is not None else Follower.flow(number or 1)
    text = _Text()
    show = {"raw": _raw, "hex": _Hex().write}.get(form or "", text.write)
    missing = _show(follower.chunks(capture), _SIDES[side], show)
    text.end()
    for note in follower.notes:
        _say(note)
    if _damaged(file, capture) or missing:
        raise SystemExit(EXIT_PARTIAL)


def _export(file: str, number: int | None, folder: Path) -> None:
    """Write bodies to a folder that is made for them, and a line about each to stdout."""
    from portulan.drive.capture import Capture
    from portulan.drive.exporting import Exporter

    capture = Capture(file)
    try:
        folder.mkdir()
    except FileExistsError:
        raise UsageError("is there already", text=str(folder), where="--objects",
                         hint="name a new folder: nothing is overwritten") from None
    partial = False
    for at, (flow, found) in enumerate(Exporter(capture, number).objects(), 1):
        path = folder / f"{at:05d}-{found.name}"
        path.write_bytes(found.body)
        partial |= bool(found.fault)
        said = (path.name, f"{len(found.body)} bytes", f"flow {flow}", f"packet {found.frame}",
                found.content_type, f"{found.host}{found.target}", found.fault)
        click.echo("  ".join(printable(word, 120) for word in said if word))
    if _damaged(file, capture) or partial:
        raise SystemExit(EXIT_PARTIAL)


def _show(
    chunks: Iterator[Chunk], sides: tuple[int, ...], show: Callable[[Chunk], None]
) -> bool:
    missing = False
    for chunk in chunks:
        if chunk.side in sides:
            missing |= chunk.missing > 0
            show(chunk)
    sys.stdout.flush()
    return missing


def _say(note: Note) -> None:
    click.echo(f"portulan: packet {note.frame}: {note.text}", err=True)


def _damaged(file: str, capture: Capture) -> bool:
    if capture.damage:
        click.echo(f"portulan: {printable(file)}: {printable(capture.damage, 300)}", err=True)
    return bool(capture.damage)


def _hole(chunk: Chunk) -> str:
    return f"[{chunk.missing} bytes missing]"


def _raw(chunk: Chunk) -> None:
    sys.stdout.buffer.write(_hole(chunk).encode() if chunk.missing else chunk.octets)


class _Text:
    """Text that cannot harm a terminal; bytes of one character may come in two chunks."""

    def __init__(self) -> None:
        make = codecs.getincrementaldecoder("utf-8")
        self._decoders = [make("backslashreplace"), make("backslashreplace")]
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def write(self, chunk: Chunk) -> None:
        decoder = self._decoders[chunk.side]
        text = decoder.decode(chunk.octets, final=bool(chunk.missing))
        text = "".join(map(_safe, text.replace("\r\n", "\n")))
        text += _hole(chunk) if chunk.missing else ""
        if self._colour and text:
            text = f"{_COLOURS[chunk.side]}{text}{_PLAIN}"
        sys.stdout.write(text)

    def end(self) -> None:
        """Print the bytes of a character that never came whole."""
        sys.stdout.write("".join(decoder.decode(b"", final=True) for decoder in self._decoders))
        sys.stdout.flush()


def _safe(character: str) -> str:
    return character if character in "\n\t" else printable(character, 12)


class _Hex:
    """Lines of 16 bytes with their offset in their side's stream, `>` from a, `<` from b."""

    def __init__(self) -> None:
        self._at = [0, 0]

    def write(self, chunk: Chunk) -> None:
        mark, at = "><"[chunk.side], self._at[chunk.side]
        if chunk.missing:
            sys.stdout.write(f"{mark} {at:08x}  {_hole(chunk)}\n")
        for start in range(0, len(chunk.octets), 16):
            part = chunk.octets[start : start + 16]
            shown = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in part)
            sys.stdout.write(f"{mark} {at + start:08x}  {part.hex(' '):<47}  |{shown}|\n")
        self._at[chunk.side] = at + (chunk.missing or len(chunk.octets))

"""Where charts are: one folder each, named by an id that sorts by time and can be typed."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from portulan.errors import DamageError, UsageError

from .disk import DiskError, write_atomic
from .lock import Lock, holder

PRIVATE_FOLDER = 0o700
"""A chart names hosts and their holes: its owner's only."""

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Base 32 in ASCII order, without the letters that look or sound like others: i l o u."""

_ID = re.compile(r"\d{8}-\d{4}-[0-9a-hjkmnp-tv-z]{3}")

_MINUTE_NS = 60_000_000_000
_IDS_PER_MINUTE = 32**3


@dataclass(frozen=True, slots=True)
class ChartFolder:
    """The folder of one chart and the names of the files in it."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def journal(self) -> Path:
        """`events.jsonl`: every result, as `--json` prints it."""
        return self.path / "events.jsonl"

    @property
    def evidence(self) -> Path:
        """`evidence.pcapng`: the packets that prove the results."""
        return self.path / "evidence.pcapng"

    @property
    def progress(self) -> Path:
        """`progress.bin`: what `--resume` needs to know; gone once the run is done."""
        return self.path / "progress.bin"

    @property
    def plan(self) -> Path:
        """`plan.json`: the whole request."""
        return self.path / "plan.json"

    @property
    def lock(self) -> Path:
        """`lock`: held by the writer."""
        return self.path / "lock"

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Keep the request: plain values only; raises `DiskError`."""
        write_atomic(self.plan, [msgspec.json.format(msgspec.json.encode(plan)), b"\n"])

    def read_plan(self) -> dict[str, Any]:
        """Return the request; raises `DiskError` if unreadable, `DamageError` if not a plan."""
        try:
            return msgspec.json.decode(self.plan.read_bytes(), type=dict[str, Any])
        except OSError as error:
            raise DiskError(error, self.plan) from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DamageError(f"{self.plan}: the plan cannot be read: {error}") from error

    def size_bytes(self) -> int:
        """Return what the files take."""
        total = 0
        with suppress(OSError), os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(OSError):  # a temporary file may vanish meanwhile
                    total += entry.stat(follow_symlinks=False).st_size
        return total

    def writer(self) -> int | None:
        """Return the pid of the scan that writes this chart, None if none does."""
        return holder(self.lock)


class Charts:
    """All charts in one folder. What is no chart there is left alone and not listed."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or charts_folder()

    def create(self, now_ns: int) -> ChartFolder:
        """Make a new chart's folder, for its owner only; raises `DiskError`."""
        try:
            self.folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
            taken = {each.name for each in self.folder.iterdir()}
            while True:
                path = self.folder / new_id(now_ns, taken)
                try:
                    path.mkdir(PRIVATE_FOLDER)
                except FileExistsError:  # another scan began in the same millisecond
                    taken.add(path.name)
                else:
                    return ChartFolder(path)
        except OSError as error:
            hint = "set PORTULAN_HOME, or scan with --no-keep"
            raise DiskError(error, self.folder, hint) from error

    def list(self) -> list[ChartFolder]:
        """Return all charts, newest first; an absent or unreadable folder holds none."""
        try:
            with os.scandir(self.folder) as entries:
                names = [each.name for each in entries if _is_chart(each)]
        except OSError:
            return []
        return [ChartFolder(self.folder / name) for name in sorted(names, reverse=True)]

    def find(self, text: str) -> ChartFolder:
        """Return the chart whose id is `text`, or begins with it, or the newest for `last`.

        The suffix alone does too. Raises `UsageError` with near matches if not exactly one fits.
        """
        charts = {chart.id: chart for chart in self.list()}
        if not charts:
            raise UsageError("there are no charts", where=str(self.folder), hint="scan something")
        if text == "last":
            return next(iter(charts.values()))
        if text in charts:
            return charts[text]
        fits = [name for name in charts if text and (name.startswith(text) or name[14:] == text)]
        if len(fits) == 1:
            return charts[fits[0]]
        near = fits or difflib.get_close_matches(text, charts, n=3) or list(charts)
        reason = f"{len(fits)} charts begin so" if fits else "no such chart"
        raise UsageError(reason, text=text, where=str(self.folder), hint=f"try {_few(near)}")

    def remove(self, chart: ChartFolder) -> None:
        """Delete a chart's folder and nothing else; links in it are deleted, not followed.

        Raises `Busy` while a scan writes it, `UsageError` if it is no chart of this folder.
        """
        path = self.folder / chart.id
        if chart.path != path or not _ID.fullmatch(chart.id) or path.is_symlink():
            raise UsageError("this is no chart", text=str(chart.path), where=str(self.folder))
        # Renamed first: a half-deleted chart must not be listed, nor be resumed by a scan that
        # found it just before. The name begins with a dot; the next removal sweeps leftovers.
        grave = self.folder / f".removed-{chart.id}"
        try:
            with Lock.take(chart.lock):
                path.rename(grave)
                shutil.rmtree(grave)
            self._sweep()
        except OSError as error:
            raise DiskError(error, path) from error

    def _sweep(self) -> None:
        for grave in self.folder.glob(".removed-*"):
            shutil.rmtree(grave, ignore_errors=True)


def charts_folder() -> Path:
    """Return `$PORTULAN_HOME/charts`, by default under the XDG data folder."""
    home = os.environ.get("PORTULAN_HOME")
    if home:
        return Path(home).expanduser() / "charts"
    # The XDG specification: a relative path in the variable is to be ignored.
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path("~/.local/share").expanduser()
    return base / "portulan" / "charts"


def new_id(now_ns: int, taken: set[str]) -> str:
    """Return an id for a chart begun at `now_ns` (Unix time): `20261121-0941-k3f`, in UTC.

    The last three digits split the minute into 32,768 parts: ids sort by time to 2 ms.
    """
    minute, rest = divmod(now_ns, _MINUTE_NS)
    part = rest * _IDS_PER_MINUTE // _MINUTE_NS
    begun = datetime.fromtimestamp(minute * 60, UTC)
    for number in range(part, part + _IDS_PER_MINUTE):
        name = f"{begun:%Y%m%d-%H%M}-{_base32(number % _IDS_PER_MINUTE)}"
        if name not in taken:
            return name
    raise UsageError("32,768 charts begun in one minute", hint="wait a minute")


def _base32(number: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in (10, 5, 0))


def _is_chart(entry: os.DirEntry[str]) -> bool:
    return bool(_ID.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

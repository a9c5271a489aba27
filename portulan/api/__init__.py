"""What a Python user calls: one function a wish.

>>> import portulan
>>> chart = portulan.scan("127.0.0.1", ports="1-20", method="connect", keep=False)
>>> chart.run.probes, chart.end.reason
(20, 'done')
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Unpack

if TYPE_CHECKING:
    from portulan.api.captures import Capture, LiveCapture, Merged
    from portulan.api.keeper import Keeper
    from portulan.api.running import Scan, ScanOptions, Shown, make_request, new_seed, plan
    from portulan.record import AnyEvent
    from portulan.store.chart import Chart

__all__ = [
    "Chart", "Keeper", "Scan", "ScanOptions", "Shown", "capture", "make_request", "merge",
    "new_seed", "open_chart", "plan", "read", "scan", "scan_events",
]
_HOMES = {"Chart": "portulan.store.chart", "Keeper": "portulan.api.keeper"} | dict.fromkeys(
    ("Scan", "ScanOptions", "Shown", "make_request", "new_seed", "plan"), "portulan.api.running")


def __getattr__(name: str) -> object:
    """Load what others made on first use (PEP 562): reading a capture needs no scanner."""
    if name in _HOMES:
        found: object = getattr(import_module(_HOMES[name]), name)
        return found
    raise AttributeError(f"module 'portulan.api' has no attribute {name!r}")


def scan(
    targets: str | Iterable[str], *, keep: bool = True, **options: Unpack[ScanOptions]
) -> Chart:
    """Scan and return the chart; options are those of `portulan scan`, see `Request`.

    Without `keep` the chart lives in a temporary folder and goes with the object.
    """
    import shutil
    import tempfile
    import weakref

    from portulan.api.running import Scan, make_request, plan
    from portulan.store.chart import Chart
    from portulan.store.charts import Charts

    with contextlib.ExitStack() as stack:
        charts = Charts()
        if not keep:
            folder = Path(tempfile.mkdtemp(prefix="portulan-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            charts = Charts(folder)
        under_way = Scan.begin(plan(make_request(targets, **options)), charts=charts)
        for _ in under_way.shown():
            pass
        chart = Chart.open(charts.find("last").path if under_way.folder is None
                           else under_way.folder.path)
        if not keep:
            weakref.finalize(chart, stack.pop_all().close)
        return chart


async def scan_events(
    targets: str | Iterable[str], *, keep: bool = False, **options: Unpack[ScanOptions]
) -> AsyncIterator[AnyEvent]:
    """Scan and yield events as they are found; leaving the loop ends the scan."""
    import asyncio

    from portulan.api.running import Scan, make_request, plan

    loop = asyncio.get_running_loop()
    events: asyncio.Queue[AnyEvent | BaseException | None] = asyncio.Queue()
    under_way = Scan.begin(
        await asyncio.to_thread(plan, make_request(targets, **options)), keep=keep)

    def work() -> None:
        last: BaseException | None = None
        try:
            for shown in under_way.shown():
                for event in shown.events:
                    loop.call_soon_threadsafe(events.put_nowait, event)
        except BaseException as error:
            last = error
        with contextlib.suppress(RuntimeError):  # the loop may be closed by then
            loop.call_soon_threadsafe(events.put_nowait, last)

    thread = threading.Thread(target=work, name="portulan-scan", daemon=True)
    thread.start()
    try:
        while (event := await events.get()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        under_way.stop()
        await asyncio.to_thread(thread.join)


def read(origin: str | Path | BinaryIO) -> Capture:
    """Open a capture file (pcap or pcapng, plain, gzip or xz) by path or file; `-` is stdin.

    Raises `UsageError` if it cannot be read or is no capture. Damage further on is data: see
    `Capture.damage`.
    """
    from portulan.api.captures import Capture

    return Capture(origin)


def merge(origins: Iterable[str | Path | BinaryIO]) -> Merged:
    """Open several captures as one, by time, their interfaces kept apart."""
    from portulan.api.captures import Merged

    return Merged(origins)


def capture(
    interface: str | Sequence[str], *, filter: str = "", count: int | None = None,
    duration: float | None = None, to: str | Path | BinaryIO | None = None,
) -> LiveCapture:
    """Capture from interfaces until `count` packets or `duration` seconds have passed.

    `any` is all interfaces, with Linux cooked headers.

    Packets count from this call on; read them as those of a file: `columns`, `batches`, one by
    one. `to` is a file to write them to as they are read. Raises `UsageError` for an interface
    that is missing or down or a wrong filter, `PrivilegeError` without CAP_NET_RAW.
    """
    from portulan.api.captures import LiveCapture

    live = LiveCapture(interface, filter=filter, count=count, duration_s=duration)
    if to is not None:
        live.keep(to)
    return live


def open_chart(which: str | Path = "last") -> Chart:
    """Open a kept chart by its id, a unique part of it, a path, or "last"."""
    from portulan.store.chart import Chart

    return Chart.open(which)

"""What a scan would do: its plan, confirmed and shown, and its probes on paper."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import rich_click as click

from portulan.errors import printable

if TYPE_CHECKING:
    from portulan.drive.plan import Aim, Plan
    from portulan.drive.request import Request


def confirmed_plan(request: Request, *, ask: bool) -> Plan:
    """Return the plan; a person at a terminal may confirm what needs a scope otherwise."""
    from msgspec.structs import replace

    from portulan import api
    from portulan.drive.plan import ScopeNeeded

    try:
        return api.plan(request)
    except ScopeNeeded as wish:
        if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        question = f"portulan: {wish.public:,} public addresses. May you scan them all?"
        if not click.confirm(question, err=True, default=False):
            raise
    return api.plan(replace(request, confirmed=True))


def _aim(request: Request) -> Aim:
    from portulan.drive.plan import take_aim
    from portulan.sockets.resolve import resolve

    return take_aim(request, resolve)


def print_probes(request: Request) -> None:
    """Print one line per probe in the order of sending; nothing is sent."""
    from portulan.drive.rehearsal import probe_lines

    out = sys.stdout.buffer
    for lines in probe_lines(_aim(request)):
        out.write(lines)
    out.flush()


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Print what would be done."""
    from portulan.drive.outline import describe

    found = describe(plan, plan.aim.space())
    if as_json:
        import msgspec

        print(msgspec.json.encode(found).decode())
        return
    for name, value in found.items():
        rows = value if isinstance(value, list) else [value]
        for at, row in enumerate(rows or ["-"]):
            print(f"{name.replace('_', ' ') if not at else '':<14} {printable(str(row), 200)}")

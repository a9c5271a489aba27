"""A plan as plain values: what would be sent to whom, for `--plan` and its JSON."""

from __future__ import annotations

from portulan.drive.plan import (
    CONTROL_PORTS,
    PROVED_CONTROLS,
    PROVED_PORTS,
    Aim,
    Plan,
    controlled,
    systems_asked,
)
from portulan.scan.filtering import OPEN_ASKED, SILENT_ASKED
from portulan.scan.stack import Test
from portulan.target.space import Space


def describe(plan: Plan, space: Space) -> dict[str, object]:
    """Return the plan as plain values, for `--plan --json` and for people."""
    aim = plan.aim
    probes = aim.probes
    return {
        "method": plan.method, "why": plan.why,
        "targets": [str(item) for item in aim.targets.ranges[:20]],
        "hosts": space.host_count, "ports": str(aim.ports), "probes": probes,
        "shard": str(aim.shard), "seed": aim.request.seed,
        "discover": aim.request.discover,
        "max_rate_pps": aim.rate_pps, "retries": aim.retries, **_wishes(aim),
        "at_least_s": _least_s(aim, space),
        "public": aim.public,
        "ways": [str(way) for way in plan.ways.reached[:20]],
        "controls": _controls(plan),
        "naming": _naming(plan),
        "checks": _checks(plan),
        "systems": _systems(plan),
        "tracing": _tracing(plan),
        "notes": list(plan.notes),
    }


def _wishes(aim: Aim) -> dict[str, object]:
    """Return what bounds a scan's pace beside its cap, where that was asked for."""
    wishes = {
        "recall": aim.request.recall, "min_rate_pps": aim.request.min_rate,
        "scan_delay_s": aim.request.scan_delay_s, "host_timeout_s": aim.host_timeout_s,
    }
    return {name: value for name, value in wishes.items() if value}


def _least_s(aim: Aim, space: Space) -> float:
    """Return how long one probe to each port takes at least, by the cap and by pauses."""
    capped = aim.probes / aim.rate_pps if aim.rate_pps else 0.0
    spaced = aim.probes / max(space.host_count, 1) * aim.request.scan_delay_s
    return round(max(capped, spaced), 3)


def _controls(plan: Plan) -> str:
    if not any(controlled(plan, leg) for leg in plan.legs):
        return "none"
    told = (f"where many ports are open: {CONTROL_PORTS} random high ports, and at most "
            f"{PROVED_CONTROLS + PROVED_PORTS} connections with an empty line")
    if any(leg.raw for leg in plan.legs):
        told += f"; where ports are silent: {SILENT_ASKED + OPEN_ASKED} ACKs at most"
    return told


def _tracing(plan: Plan) -> str:
    if not plan.aim.request.traceroute:
        return "none"
    return ("hosts that are up get packets whose time to live ends on the way: SYNs to a port that "
            "answered, else UDP")


def _naming(plan: Plan) -> str:
    if not plan.aim.request.identify:
        return "none"
    return "open ports are connected to and asked, in their own protocols, what runs there"


def _checks(plan: Plan) -> str:
    if not plan.aim.request.checks:
        return "none"
    return ("services that were named are asked a little more, within a budget for each check: no "
            "login, no writing (`portulan rules checks` lists them)")


def _systems(plan: Plan) -> str:
    if not systems_asked(plan):
        return "none"
    return (f"{len(Test)} packets to each host that is up, at most: TCP to an open and a closed "
            "port, two ICMP echoes, one UDP")

"""Plans for loopback, and jobs run to their end."""

from __future__ import annotations

import socket
from contextlib import contextmanager

from portulan.drive.job import Job
from portulan.drive.plan import make_plan, take_aim
from portulan.drive.request import Request
from portulan.drive.ways import find_ways
from portulan.link.rights import rights
from portulan.link.routes import Routes


def plan(*targets, **words):
    words.setdefault("seed", 7)
    words.setdefault("method", "connect")
    request = Request(targets=[(text, "target") for text in targets], **words)
    aim = take_aim(request, lambda name: [])
    return make_plan(aim, find_ways(aim.targets, Routes.load(), request.interface), rights())


def job(*targets, evidence=None, memory=None, **words):
    return Job(plan(*targets, **words), run_id="t", version="0", evidence=evidence, memory=memory)


def events_of(some):
    return [event for step in some.steps() for event in step.events]


@contextmanager
def listening(count=3):
    servers = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(count)]
    try:
        yield sorted(server.getsockname()[1] for server in servers)
    finally:
        for server in servers:
            server.close()

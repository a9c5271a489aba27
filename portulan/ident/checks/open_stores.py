"""Stores that have answered without a password: what was heard already says it."""

from __future__ import annotations

from typing import Final

from .script import Place, Script, Told, check

#: Service -> what only those are told who may use it.
PROOFS: Final = {
    "redis": (b"redis_version:", b"+PONG", b"valkey_version:"),
    "memcached": (b"VERSION ", b"STAT "),
    "zookeeper": (b"Zookeeper version",),
    "elasticsearch": (b'"cluster_name"',),
    "docker": (b'"ApiVersion"',),
    "etcd": (b'"etcdserver"',),
    "mongodb": (b"ismaster", b"isWritablePrimary"),
}


@check("open-store", services=PROOFS, connections=0, octets=0)
def open_store(place: Place) -> Script:
    """Note stores that answered a question which a password should have kept."""
    yield from ()  # a script is a generator, even one that says nothing
    for heard in place.service.heard:
        if any(proof in heard.data for proof in PROOFS[place.service.name]):
            if place.service.name == "mongodb":
                return [Told("greets without a password; whether it also tells data was not asked")]
            return [Told("answers without a password", "warning")]
    return []

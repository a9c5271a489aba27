"""Frames in, frames out: rings, raw sockets, memory, capture files, and links around links.

A link moves `portulan.wire.Frames` batches and knows nothing of what they say (`contract.Link`).
This room alone opens raw sockets, maps kernel memory and asks netlink. Every link passes the
conformance suite in `tests/link/conformance.py`. Importing the room loads none of its files:
name the one you need.

>>> from portulan.link.memory import memory_pair
>>> from portulan.wire.frames import Frames
>>> near, far = memory_pair(now=lambda: 0)
>>> near.send(Frames.of([bytes(60)]))
1
>>> len(far.receive())
1
"""

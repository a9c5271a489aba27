"""Streams and datagrams through the kernel: what needs no right at all.

Touches ordinary sockets only; raw ones are `link`'s. `connects` asks many ports at once with
non-blocking `connect()`.
"""

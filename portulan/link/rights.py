"""What this process may do to the network here, which methods that allows, and what grants more.

Not the user id decides but the capabilities in effect *over this network namespace*: a container's
root may lack CAP_NET_RAW, an ordinary user's interpreter may have it, and a user namespace shows a
full set that counts for nothing on a network it does not own. So: the mask, the owner, a try.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from portulan.errors import PrivilegeError

CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW = 10, 12, 13

NS_GET_USERNS = 0xB701
"""ioctl of a namespace file: the user namespace that owns it (linux/nsfs.h, since Linux 4.9)."""

FILES_RESERVED = 64
"""Descriptors kept for the interpreter, the chart's files and the terminal."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of this thread in this network namespace."""

    net_raw: bool
    """CAP_NET_RAW: raw and packet sockets."""
    net_admin: bool
    """CAP_NET_ADMIN: change interfaces, routes, filters."""
    net_bind_service: bool
    """CAP_NET_BIND_SERVICE: listen on ports below `unprivileged_port_start`."""
    packet_sockets: bool
    """Tried: the kernel (or a sandbox) lets us open AF_PACKET."""
    ping_sockets: bool
    """Tried: ICMP echo through a datagram socket, which needs no capability."""
    ping_groups: tuple[int, int]
    """Group ids that may (net.ipv4.ping_group_range); first > last: nobody."""
    files_soft: int
    """Open files and sockets at once, now."""
    files_hard: int
    """What `files_soft` can be raised to without any right."""
    unprivileged_port_start: int
    ephemeral_ports: tuple[int, int]
    """Source ports the kernel gives to connections, first and last."""
    foreign_network: bool
    """We hold capabilities, but this network belongs to a user namespace that is not ours."""
    net_raw_bounded: bool
    """CAP_NET_RAW is outside the bounding set: nothing we start can ever get it."""
    no_new_privileges: bool
    """Neither sudo nor setcap can grant anything to what we start."""
    interpreter: str
    """The real file of the running interpreter; file capabilities follow no symbolic link."""
    interpreter_nosuid: bool
    """It is on a file system where file capabilities are ignored."""

    @property
    def connections(self) -> int:
        """Sockets a connect scan may hold at once, after raising the soft limit."""
        return max(self.files_hard - FILES_RESERVED, 1)


@dataclass(frozen=True, slots=True)
class Method:
    """A way to scan, and whether it is open to us."""

    name: str
    """connect, syn, ping, arp, capture."""
    allowed: bool
    reason: str
    """By which means it works, or what is missing."""
    grant: str = ""
    """What to do to get it; empty if there is nothing to get."""


def rights() -> Rights:
    """Return what this thread may do, in about 0.2 ms and without sending anything."""
    status = _status()
    effective = _mask(status, "CapEff") if _owns_network() else 0
    held = _mask(status, "CapEff")
    packet = _opens_packet_socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    interpreter = os.path.realpath(sys.executable) if sys.executable else ""
    return Rights(
        net_raw=_has(effective, CAP_NET_RAW) and _opens(socket.SOCK_RAW, socket.IPPROTO_RAW),
        net_admin=_has(effective, CAP_NET_ADMIN),
        net_bind_service=_has(effective, CAP_NET_BIND_SERVICE),
        packet_sockets=packet,
        ping_sockets=_opens(socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        ping_groups=_pair("ping_group_range", (1, 0)),
        files_soft=_limit(soft),
        files_hard=_limit(hard),
        unprivileged_port_start=_pair("ip_unprivileged_port_start", (1024, 1024))[0],
        ephemeral_ports=_pair("ip_local_port_range", (32768, 60999)),
        foreign_network=_has(held, CAP_NET_RAW) and not _has(effective, CAP_NET_RAW),
        net_raw_bounded=not _has(_mask(status, "CapBnd"), CAP_NET_RAW),
        no_new_privileges=status.get("NoNewPrivs", "0") == "1",
        interpreter=interpreter,
        interpreter_nosuid=_nosuid(interpreter),
    )


def grant(rights: Rights) -> str:
    """Return the one thing to do for CAP_NET_RAW: a command wherever a command can do it.

    `+ep` and not `+eip`: the file's inheritable set matters only to callers that have one.
    """
    if rights.foreign_network:
        return "run it outside this user namespace: it does not own this network"
    if rights.net_raw_bounded:
        return "start the container or service with it: --cap-add=NET_RAW"
    if rights.no_new_privileges:
        return "run it outside this sandbox: no_new_privs is set, so sudo and setcap can't help"
    if rights.interpreter_nosuid or not rights.interpreter:
        return f"sudo {shlex.join(_ourselves(rights))}"
    return f"sudo setcap cap_net_raw+ep {shlex.quote(rights.interpreter)}"


def methods(rights: Rights) -> list[Method]:
    """Return every method with a yes or no, the reason, and what grants a no."""
    raw, packet = rights.net_raw, rights.net_raw and rights.packet_sockets
    missing = "" if raw else grant(rights)
    lacking = "needs CAP_NET_RAW" if not raw else "the kernel offers no packet sockets here"
    connect = f"the kernel connects, at most {rights.connections:,} sockets at once"
    return [
        Method("connect", allowed=True, reason=connect),
        Method("syn", raw, "half-open, by raw frames" if raw else lacking, missing),
        _ping(rights, missing),
        Method("arp", packet, "asks the link's neighbours" if packet else lacking, missing),
        Method("capture", packet, "sees every frame" if packet else lacking, missing),
    ]


def require(rights: Rights, name: str) -> None:
    """Raise `PrivilegeError` with the grant if the method of this name is not allowed."""
    for method in methods(rights):
        if method.name == name and not method.allowed:
            raise PrivilegeError(name, right="CAP_NET_RAW", grant=method.grant or method.reason)


def _ping(rights: Rights, missing: str) -> Method:
    if rights.net_raw:
        return Method("ping", allowed=True, reason="ICMP through raw sockets")
    if rights.ping_sockets:
        return Method("ping", allowed=True, reason="ICMP echo through datagram sockets")
    first, last = rights.ping_groups
    who = "nobody" if first > last else f"groups {first} to {last}"
    reason = f"needs CAP_NET_RAW; ping_group_range allows {who}"
    return Method("ping", allowed=False, reason=reason, grant=missing)


def _status() -> dict[str, str]:
    """Return this thread's lines of proc(5) status; capabilities belong to threads."""
    try:
        lines = Path("/proc/thread-self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no /proc: claim nothing
        return {}
    pairs = (line.partition(":") for line in lines.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _mask(status: dict[str, str], name: str) -> int:
    try:
        return int(status.get(name, "0"), 16)
    except ValueError:
        return 0


def _has(mask: int, capability: int) -> bool:
    return bool(mask >> capability & 1)


def _owns_network() -> bool:
    """Tell whether our user namespace (or one below it) owns the network namespace we are in."""
    try:
        network = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True  # no /proc to ask; the socket tried later decides
    try:
        os.close(fcntl.ioctl(network, NS_GET_USERNS))
    except OSError as error:
        return error.errno != errno.EPERM  # EPERM: the owner is outside; else: an old kernel
    finally:
        os.close(network)
    return True


def _opens(kind: socket.SocketKind, protocol: int) -> bool:
    try:
        socket.socket(socket.AF_INET, kind, protocol).close()
    except OSError:
        return False
    return True


def _opens_packet_socket() -> bool:
    """Ask for a packet socket of a type that does not exist.

    The kernel checks the right before the type, so its answer tells. Closing a real one would
    wait for the end of an RCU grace period: 9 ms.
    """
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_STREAM, 0).close()
    except OSError as error:
        return error.errno == errno.ESOCKTNOSUPPORT
    return True


def _pair(name: str, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Return the first and last number of a net.ipv4 setting."""
    try:
        words = Path(f"/proc/sys/net/ipv4/{name}").read_text(encoding="ascii").split()
        return int(words[0]), int(words[-1])
    except (OSError, ValueError, IndexError):
        return otherwise


def _limit(value: int) -> int:
    """Return a limit as a number: no limit is what the kernel would refuse to exceed anyway."""
    return 1 << 20 if value == resource.RLIM_INFINITY else value


def _nosuid(interpreter: str) -> bool:
    try:
        return bool(os.statvfs(interpreter).f_flag & os.ST_NOSUID)
    except OSError:
        return False


def _ourselves(rights: Rights) -> list[str]:
    if sys.argv and Path(sys.argv[0]).name == "portulan":
        return [sys.argv[0]]
    return [sys.executable or rights.interpreter or "python3", "-m", "portulan"]

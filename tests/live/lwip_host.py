"""A host that runs lwIP on a tap device, with TCP port 8080 open, until its stdin is closed."""

from __future__ import annotations

import ctypes
import sys
import threading

ADDRESS, MASK, GATEWAY = "10.99.0.2", "255.255.255.0", "10.99.0.1"
OPEN_PORT = 8080
#: More than `struct netif` takes in any build.
NETIF_BYTES = 4096


def number(address: str) -> ctypes.c_uint32:
    return ctypes.c_uint32(int.from_bytes(bytes(map(int, address.split("."))), "little"))


def main() -> None:
    lwip = ctypes.CDLL("liblwip.so.0")
    lwip.tcp_new.restype = lwip.tcp_listen_with_backlog.restype = ctypes.c_void_p
    netif = ctypes.create_string_buffer(NETIF_BYTES)
    words = [number(each) for each in (ADDRESS, MASK, GATEWAY)]
    up = threading.Event()

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def start(_: int) -> None:
        lwip.netif_add(
            netif, *map(ctypes.byref, words), None, lwip.tapif_init, lwip.tcpip_input)
        lwip.netif_set_default(netif)
        lwip.netif_set_up(netif)
        lwip.netif_set_link_up(netif)
        block = lwip.tcp_new()
        assert lwip.tcp_bind(ctypes.c_void_p(block), None, ctypes.c_uint16(OPEN_PORT)) == 0
        assert lwip.tcp_listen_with_backlog(ctypes.c_void_p(block), ctypes.c_uint8(5))
        up.set()

    lwip.tcpip_init(start, None)
    assert up.wait(10)
    print("up", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

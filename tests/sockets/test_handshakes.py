from __future__ import annotations

import socket
import threading
import time

from portulan.sockets.handshakes import shake_hands


def shake(port, wait_s=0.4):
    [hand] = shake_hands([("127.0.0.1", port)], time.monotonic_ns, wait_ns=int(wait_s * 1e9))
    return hand


def test_listener_acknowledges_data():
    with socket.create_server(("127.0.0.1", 0)) as server:
        hand = shake(server.getsockname()[1])
    assert hand.established and hand.acknowledged and not hand.reset
    assert hand.window > 536 and hand.segments >= 1


def test_closed_port_is_reset_without_a_handshake():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hand = shake(port)
    assert hand.reset and not hand.established and not hand.acknowledged


def test_reset_after_the_handshake_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def hang_up():
            peer, _ = server.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
        thread = threading.Thread(target=hang_up)
        thread.start()
        hand = shake(server.getsockname()[1])
        thread.join()
    assert hand.reset


def test_no_address_takes_no_time():
    assert shake_hands([], time.monotonic_ns) == []

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from portulan.errors import UsageError
from portulan.lab.services import dns_answer
from portulan.sockets.names import check_server, reverse_names


@contextmanager
def server(names):
    answer = dns_answer(names)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.1)
        over = threading.Event()

        def work():
            while not over.is_set():
                try:
                    data, peer = sock.recvfrom(2048)
                except TimeoutError:
                    continue
                sock.sendto(answer(data), peer)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield f"127.0.0.1#{sock.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def test_addresses_of_both_families_get_their_names_in_order():
    with server({"web": ["192.0.2.1", "2001:db8::1"], "post": ["192.0.2.2"]}) as where:
        found = list(reverse_names(["192.0.2.2", "192.0.2.9", "2001:db8::1"], where))
    assert found == [("192.0.2.2", "post.lab"), ("2001:db8::1", "web.lab")]


@pytest.mark.parametrize("text", ["nowhere", "192.0.2.1#", "192.0.2.1#0", "::1#70000"])
def test_what_is_no_server_is_refused(text):
    with pytest.raises(UsageError):
        check_server(text)


def test_server_has_port_53_unless_told():
    assert check_server("192.0.2.1") == ("192.0.2.1", 53)
    assert check_server("::1#5353") == ("::1", 5353)

from __future__ import annotations

import pytest

from portulan.ident.dialogue_whole import LOOKED_AT_MAX, is_whole
from portulan.ident.reply import Reply

HEAD = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n"


@pytest.mark.parametrize(("data", "whole"), [
    (HEAD, False),
    (HEAD + b"Content-Length: 5\r\n\r\nabcd", False),
    (HEAD + b"Content-Length: 5\r\n\r\nabcde", True),
    (HEAD + b"\r\n", False),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", False),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", True),
    (b"SSH-2.0-OpenSSH_9.2p1\r\n", True),
    (b"SSH-2.0-OpenSSH_9.", False),
    (b"220 ready\r\n", False),
    (b"\xfe\xff\n", False),
    (HEAD + b"\r\n" + b"x" * LOOKED_AT_MAX, False),
])
def test_answer_is_whole_by_its_framing_or_by_telling_all(data, whole):
    assert is_whole(Reply("tcp", data)) is whole

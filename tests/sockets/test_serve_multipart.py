from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.sockets.serve_http import RefusedError
from portulan.sockets.serve_multipart import (
    PART_HEAD_MAX_BYTES,
    PARTS_MAX,
    Data,
    End,
    Multipart,
    Part,
    boundary,
)


def form(*parts: tuple[str, bytes], mark: bytes = b"B") -> bytes:
    made = b""
    for disposition, data in parts:
        made += b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (
            mark, disposition.encode(), data)
    return made + b"--%b--\r\n" % mark


def read(wire: bytes, step: int = 1 << 20) -> list[tuple[str | None, bytes]]:
    reader, found = Multipart(b"B"), []
    for at in range(0, len(wire), step):
        for event in reader.feed(wire[at : at + step]):
            match event:
                case Part(name):
                    found.append((name, b""))
                case Data(data):
                    found[-1] = (found[-1][0], found[-1][1] + data)
                case End():
                    pass
    assert reader.done
    return found


@pytest.mark.parametrize("text, mark", [
    ("multipart/form-data; boundary=abc", b"abc"),
    ('Multipart/Form-Data; charset=x; boundary="a b"; y=z', b"a b"),
    ("text/plain; boundary=abc", None), ("multipart/form-data", None), (None, None),
    ("multipart/form-data; boundary=" + "x" * 71, None),
])
def test_boundary_is_found(text: str | None, mark: bytes | None) -> None:
    assert boundary(text) == mark


@given(st.lists(st.binary(max_size=60), max_size=4), st.integers(1, 9))
def test_form_fed_in_pieces_gives_its_files(datas: list[bytes], step: int) -> None:
    datas = [data for data in datas if b"\r\n--B" not in b"\r\n" + data]
    wire = b"preamble\r\n" + form(*(('name="f"; filename="x"', data) for data in datas))
    assert read(wire, step) == [("x", data) for data in datas]


def test_data_that_nearly_holds_the_boundary_stays_whole() -> None:
    data = b"\r\n--A\r\n-\r\n--\r\n"
    assert read(form(('filename="x"', data)), 1) == [("x", data)]


@pytest.mark.parametrize("disposition, name", [
    ('name="f"; filename="a.txt"', "a.txt"), ('name="f"', None),
    ('filename="日本.txt"', "日本.txt"),
    ('filename="../../etc/passwd"', "passwd"), (r'filename="C:\\dir\\a.txt"', "a.txt"),
    (r'filename="say \"hi\".txt"', 'say "hi".txt'), ('filename=""', ""), ('filename="../"', ""),
    ("filename=bare", None), ('filename*=UTF-8\'\'evil; filename="a"', "a"),
])
def test_filename_is_its_last_name(disposition: str, name: str | None) -> None:
    assert read(form((disposition, b"x"))) == [(name, b"x")]


@pytest.mark.parametrize("wire", [
    b"--Bxx\r\n\r\n", b"--B\r\n" + b"A" * PART_HEAD_MAX_BYTES,
    form(*[('name="f"', b"")] * (PARTS_MAX + 1)),
])
def test_form_that_is_wrong_is_refused(wire: bytes) -> None:
    with pytest.raises(RefusedError):
        list(Multipart(b"B").feed(wire + b"\r\n\r\n"))


@given(st.lists(st.sampled_from([b"--B", b"\r\n", b"--", b"x", b"\r\n\r\n", b"A: b"]), max_size=30))
def test_any_bytes_are_a_form_or_refused(pieces: list[bytes]) -> None:
    reader = Multipart(b"B")
    try:
        for piece in pieces:
            list(reader.feed(piece))
    except RefusedError:
        pass

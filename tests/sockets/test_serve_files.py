from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from portulan.sockets.serve_files import Uploads
from tests.sockets.serving import Running, get, serving

BIG = os.urandom(300_000)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("files")
    root = top / "www"
    (root / "日本 & <b>").mkdir(parents=True)
    (root / "site").mkdir()
    (root / "site" / "index.html").write_text("<h1>hi</h1>")
    (root / "small.txt").write_text("hello world")
    (root / "big.bin").write_bytes(BIG)
    (root / "empty").touch()
    (root / "sjis.txt").write_bytes("日本".encode("shift_jis"))
    (root / "日本 & <b>" / "ファイル?#%.txt").write_text("テキスト")
    (root / "data:text,x").write_text("?")
    (root / "a.tar.gz").write_bytes(b"x")
    (root / "out").symlink_to("..")
    (top / "secret").write_text("secret")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Running]:
    with serving(root) as running:
        yield running


def test_file_comes_with_type_length_and_validators(server: Running) -> None:
    answer = get(server, "/small.txt")
    assert (answer.status, answer.body) == (200, b"hello world")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["last-modified"].endswith("GMT")
    assert answer.headers["etag"].strip("W/").startswith('"b-')


@pytest.mark.parametrize("name, kind", [
    ("sjis.txt", "text/plain"), ("empty", "application/octet-stream"),
    ("a.tar.gz", "application/gzip"), ("data:text,x", "application/octet-stream"),
    ("site/index.html", "text/html; charset=utf-8"), ("big.bin", "application/octet-stream"),
])
def test_type_is_told_by_name_and_charset_only_if_true(
    server: Running, name: str, kind: str
) -> None:
    answer = get(server, "/" + name)
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/small.txt", "/big.bin", "/empty", "/", "/site/", "/none"])
def test_head_is_that_of_get_without_its_body(server: Running, path: str) -> None:
    full, head = get(server, path), get(server, path, method="HEAD")
    assert head.status == full.status
    assert head.body == b""
    assert int(head.headers["content-length"]) == len(full.body)
    assert {**head.headers, "date": ""} == {**full.headers, "date": ""}


@pytest.mark.parametrize("path", ["/small.txt", "/big.bin"])
@pytest.mark.parametrize("text, part", [("0-4", slice(0, 5)), ("-3", slice(-3, None)),
                                        ("4-", slice(4, None)), ("2-2", slice(2, 3))])
def test_range_gives_just_that_part(server: Running, path: str, text: str, part: slice) -> None:
    whole = get(server, path).body
    answer = get(server, path, f"Range: bytes={text}")
    assert (answer.status, answer.body) == (206, whole[part])
    start, stop, _ = part.indices(len(whole))
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(whole)}"


@pytest.mark.parametrize("path", ["/small.txt", "/big.bin"])
def test_several_ranges_come_as_parts(server: Running, path: str) -> None:
    whole = get(server, path).body
    answer = get(server, path, "Range: bytes=0-1,4-6,-2")
    kind, _, mark = answer.headers["content-type"].partition("; boundary=")
    assert (answer.status, kind) == (206, "multipart/byteranges")
    parts = answer.body.split(b"--" + mark.encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    datas = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert datas == [whole[0:2], whole[4:7], whole[-2:]]
    assert f"Content-Range: bytes 4-6/{len(whole)}".encode() in parts[2]


def test_range_beyond_the_end_is_416_and_says_the_size(server: Running) -> None:
    answer = get(server, "/small.txt", "Range: bytes=11-")
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */11"


def test_what_the_client_has_is_not_sent_again(root: Path) -> None:
    (root / "cond.txt").write_text("x")
    with serving(root) as server:
        answer = get(server, "/cond.txt")
        tag, when = answer.headers["etag"], answer.headers["last-modified"]
        for line in (f"If-None-Match: {tag}", f"If-Modified-Since: {when}"):
            again = get(server, "/cond.txt", line)
            assert (again.status, again.body) == (304, b"")
            assert again.headers["etag"] == tag
        assert get(server, "/cond.txt", 'If-Match: "other"').status == 412
        assert get(server, "/cond.txt", "Range: bytes=0-0", 'If-Range: "other"').status == 200


@pytest.mark.parametrize("path, status", [
    ("/none", 404), ("/small.txt/", 404), ("/small.txt/x", 404), ("/out/secret", 404),
    ("/../secret", 404), ("/..%2fsecret", 404), ("/%2e%2e/secret", 404), ("//etc/passwd", 404),
    ("/%252e%252e/secret", 404), ("/%00", 404), ("/%zz", 400), ("/..\\secret", 404),
])
def test_path_that_is_no_file_is_told_so(server: Running, path: str, status: int) -> None:
    answer = get(server, path)
    assert answer.status == status
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "TRACE", "MOVE"])
def test_other_method_is_not_allowed(server: Running, method: str) -> None:
    answer = get(server, "/small.txt", method=method, body=b"x")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_options_names_what_is_allowed(server: Running) -> None:
    for path in ("*", "/"):
        answer = get(server, path, method="OPTIONS")
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("path", [
    "/%E6%97%A5%E6%9C%AC%20%26%20%3Cb%3E/%E3%83%95%E3%82%A1%E3%82%A4%E3%83%AB%3F%23%25.txt",
    "/日本%20&%20<b>/ファイル%3F%23%25.txt",
])
def test_utf8_name_is_found_escaped_or_not(server: Running, path: str) -> None:
    assert get(server, path).body.decode() == "テキスト"


def test_folder_without_slash_leads_to_the_one_with_it(server: Running) -> None:
    answer = get(server, "/%E6%97%A5%E6%9C%AC%20&%20<b>?x=//evil.example")
    assert answer.status == 301
    assert answer.headers["location"] == "/%E6%97%A5%E6%9C%AC%20%26%20%3Cb%3E/"


def test_folder_with_an_index_shows_it_and_without_one_a_page(server: Running) -> None:
    assert get(server, "/site/").body == b"<h1>hi</h1>"
    page = get(server, "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "日本 &amp; &lt;b&gt;" in page.body.decode()
    assert b"secret" not in page.body
    assert b'"./out/"' not in page.body


# -- uploads ---------------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path: Path) -> Iterator[tuple[Running, Path]]:
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    (root / "out").symlink_to("..")
    (root / "old").write_text("old")
    with serving(root, uploads=Uploads(allowed=True, limit_bytes=1000)) as running:
        yield running, root


def form(name: str, data: bytes = b"data") -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n'
    return head % name.encode() + data + b"\r\n--B--\r\n"


FORM = "Content-Type: multipart/form-data; boundary=B"


def test_put_stores_a_file_and_says_where(box: tuple[Running, Path]) -> None:
    server, root = box
    answer = get(server, "/sub/%E6%97%A5", method="PUT", body=b"abc")
    assert (answer.status, answer.headers["location"]) == (201, "/sub/%E6%97%A5")
    assert (root / "sub" / "日").read_bytes() == b"abc"
    assert get(server, "/sub/%E6%97%A5").body == b"abc"


@pytest.mark.parametrize("path, body, lines, status", [
    ("/old", b"x", (), 409), ("/sub", b"x", (), 409), ("/out/x", b"x", (), 404),
    ("/../x", b"x", (), 404), ("/..%2fx", b"x", (), 404), ("/sub/", b"x", (), 400),
    ("/none/x", b"x", (), 404), ("/big", b"x" * 1001, (), 413),
    ("/x", b"x", ("Origin: http://evil.example",), 403),
    ("/x", b"x", ("Content-Range: bytes 0-1/2",), 400), ("/x", b"x", ('If-Match: "a"',), 412),
    ("/old", b"x", ("If-None-Match: *",), 412), ("/.portulan-upload-x", b"x", (), 400),
])
def test_put_that_may_not_be_is_refused(
    box: tuple[Running, Path], path: str, body: bytes, lines: tuple[str, ...], status: int
) -> None:
    server, root = box
    before = sorted(str(each) for each in root.parent.rglob("*"))
    assert get(server, path, *lines, method="PUT", body=body).status == status
    assert sorted(str(each) for each in root.parent.rglob("*")) == before
    assert (root / "old").read_text() == "old"


def test_put_replaces_where_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    with serving(tmp_path, uploads=Uploads(allowed=True, overwrite=True)) as server:
        tag = get(server, "/old").headers["etag"].removeprefix("W/")
        assert get(server, "/old", 'If-Match: "no"', method="PUT", body=b"x").status == 412
        assert get(server, "/old", "If-None-Match: *", method="PUT", body=b"x").status == 412
        assert get(server, "/old", method="PUT", body=b"newer").status == 204
        assert get(server, "/old").headers["etag"].removeprefix("W/") != tag
    assert (tmp_path / "old").read_text() == "newer"


def test_form_stores_its_files_and_leads_back(box: tuple[Running, Path]) -> None:
    server, root = box
    answer = get(server, "/sub/", FORM, "Origin: http://localhost", method="POST",
                 body=form("../../日本.txt"))
    assert (answer.status, answer.headers["location"]) == (303, "/sub/")
    assert (root / "sub" / "日本.txt").read_bytes() == b"data"
    assert '<form method="post"' in get(server, "/sub/").body.decode()


@pytest.mark.parametrize("path, line, body, status", [
    ("/", FORM, form("old"), 409), ("/", FORM, form(".."), 400),
    ("/", FORM, form("a", b"x" * 1001), 413),
    ("/", FORM, form(""), 400), ("/", FORM, form("a")[:-9], 400), ("/", FORM, b"rubbish", 400),
    ("/", "Content-Type: text/plain", b"x", 415), ("/sub", FORM, form("a"), 404),
    ("/out/", FORM, form("a"), 404), ("/none/", FORM, form("a"), 404),
])
def test_form_that_may_not_be_is_refused(
    box: tuple[Running, Path], path: str, line: str, body: bytes, status: int
) -> None:
    server, root = box
    before = sorted(str(each) for each in root.parent.rglob("*"))
    assert get(server, path, line, method="POST", body=body).status == status
    assert sorted(str(each) for each in root.parent.rglob("*")) == before

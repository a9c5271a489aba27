import pytest
from hypothesis import given
from hypothesis import strategies as st

from portulan.errors import PeerError, UsageError
from portulan.sockets.coding import Crlf, Dump, SafeText, chain, decoder, encoder, neutral, unescape

TEXT = "日本語 안녕하세요 naïve €"
SETS = {"shift_jis": "日本語のテキスト表示", "euc-jp": "日本語",
        "iso-2022-jp": "日本語 and ASCII 語",
        "euc-kr": "안녕하세요", "cp949": "똠방각하", "gb18030": TEXT, "utf-16-le": TEXT,
        "utf-8": TEXT,
        "latin-1": "naïve"}


def run(coder, pieces):
    return b"".join(coder(piece) for piece in pieces) + coder(b"", final=True)


def bytewise(data):
    return [data[at:at + 1] for at in range(len(data))]


@pytest.mark.parametrize(("name", "text"), SETS.items())
def test_characters_split_over_reads_survive_both_ways(name, text):
    wire = text.encode(name)
    assert run(encoder(name), bytewise(text.encode())) == wire
    assert run(decoder(name), bytewise(wire)).decode() == text
    assert run(decoder(name), [wire]).decode() == text


@given(st.binary(max_size=200), st.integers(1, 7), st.sampled_from(["hex", "base64"]))
def test_transfers_coded_in_any_pieces_come_back(data, size, name):
    pieces = [data[at:at + size] for at in range(0, len(data), size)]
    wire = run(encoder(name), pieces)
    assert wire == run(encoder(name), [data])
    cut = [wire[at:at + size] for at in range(0, len(wire), size)]
    assert run(decoder(name), cut) == data
    assert run(encoder(f"un{name}"), cut) == data
    assert run(decoder(f"un{name}"), pieces) == wire


def test_hex_typed_with_spaces_and_lines_is_bytes():
    assert run(encoder("unhex"), [b"de ad\nb", b"e ef\n"]) == b"\xde\xad\xbe\xef"


@pytest.mark.parametrize(("name", "data"), [("unhex", b"xy"), ("unhex", b"abc"),
                                            ("unbase64", b"a!bc"),
                                            ("latin-1", "語".encode()), ("euc-kr", b"\xff\xfe")])
def test_input_that_cannot_be_coded_is_one_line(name, data):
    with pytest.raises(PeerError) as error:
        run(encoder(name), [data])
    assert "\n" not in str(error.value)


def test_broken_bytes_of_the_peer_decoded_are_replaced():
    assert run(decoder("utf-8"), [b"a\xff", b"b"]).decode() == "a\ufffdb"


@pytest.mark.parametrize("name", ["nosuch", "", "rot13", "zip", "../x", "utf-8\0"])
def test_unknown_encoding_is_a_usage_error(name):
    with pytest.raises(UsageError, match="no such encoding"):
        decoder(name)


@given(st.text("a\r\n", max_size=12), st.integers(1, 3))
def test_line_ends_mended_are_the_same_in_any_pieces(text, size):
    data = text.encode()
    pieces = [data[at:at + size] for at in range(0, len(data), size)]
    mended = run(Crlf(), pieces)
    assert mended == run(Crlf(), [data])
    assert mended.count(b"\n") == mended.count(b"\r\n") == data.count(b"\n")


def test_hostile_text_shown_moves_no_cursor():
    hostile = b"\x1b[2J\x1b]0;x\x07\x9b1m\xc2\x9b\r\x08\x7f\xe2\x80\xae\n\tok\r\n"
    for pieces in ([hostile], bytewise(hostile)):
        shown = run(SafeText(), pieces).decode()
        assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
        assert not set(shown) & set("\x7f\x9b\u202e\r\x1b")
        assert shown.endswith("\n\tok\n")


@given(st.text(max_size=50))
def test_any_text_neutralised_is_printable(text):
    assert all(c.isprintable() or c in "\n\t" for c in neutral(text))


@pytest.mark.parametrize(("text", "data"), [
    (r"a\r\n", b"a\r\n"), (r"\x00\xfF\0\t", b"\x00\xff\x00\t"), (r"\\n", b"\\n"),
    ("語", "語".encode()), (r"\\\n", b"\\\n"), ("", b""),
])
def test_escapes_read(text, data):
    assert unescape(text) == data


@pytest.mark.parametrize("text", [r"\q", r"\x1", "\\", r"\\\q", r"\xzz"])
def test_unknown_escape_is_a_usage_error(text):
    with pytest.raises(UsageError, match="unknown escape"):
        unescape(text)


def test_dump_of_pieces_counts_on():
    dump = Dump(">")
    assert dump(b"Hello, world!\n\x00\xff+").splitlines() == [
        "> 00000000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 0a 00 ff  |Hello, world!...|",
        "> 00000010  2b                                                |+|"]
    assert dump(b"x").startswith("> 00000011  78 ")


def test_chain_of_none_changes_nothing():
    assert run(chain([]), [b"ab", b"c"]) == b"abc"

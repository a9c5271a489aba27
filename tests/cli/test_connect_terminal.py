import io

from portulan.cli.connect_terminal import CLEAR_LINE, BesideEditor, terminal
from tests.sockets.talking import run


class Kept:
    def __init__(self):
        self.data = b""

    async def write(self, data):
        self.data += data


class Editor:
    def __init__(self, typed):
        self.typed = lambda: typed


def test_output_beside_an_unfinished_line_shows_it_again():
    sink = Kept()
    run(BesideEditor(sink, Editor("가".encode())).write(b"news\n"))
    assert sink.data == CLEAR_LINE + b"news\n" + "가".encode()


def test_output_without_an_unfinished_line_is_as_it_is():
    sink = Kept()
    run(BesideEditor(sink, Editor(b"")).write(b"news\n"))
    assert sink.data == b"news\n"


def test_without_a_terminal_there_is_no_editor(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with terminal(wanted=True) as editor:
        assert editor is None
    with terminal(wanted=False) as editor:
        assert editor is None

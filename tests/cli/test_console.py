from __future__ import annotations

import subprocess
import sys

from portulan.cli.console import console, has_unicode, width_of


def test_without_a_terminal_lines_have_80_cells_and_words_stay_as_they_are(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    made = console()
    assert width_of(made) == 80
    assert isinstance(has_unicode(made), bool)
    made.print("[bold]:smile:[/bold] 10.0.0.1")
    assert capsys.readouterr().out == "[bold]:smile:[/bold] 10.0.0.1\n"


def test_reader_that_has_enough_is_no_failure():
    command = f"{sys.executable} -m portulan explain no-response | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr
    assert done.stdout.splitlines()[-1] in ("0", "141")

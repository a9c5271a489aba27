"""Tab completion for the plain shell: names, fields of headers, columns of captures.

>>> from portulan.wire import TCP
>>> Completions({"TCP": TCP}).of("TCP(dp", "dp")
['dport=']
"""

from __future__ import annotations

import inspect
import re
import rlcompleter
from collections.abc import Callable, Iterator
from typing import Any, Final

CHOICES_MAX: Final = 2_000
"""Completions of one word: more than there are fields."""
DELIMITERS: Final = " \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",<>/?"
"""What ends a word: all of readline's own, so that `ip.src` is one."""
CALL: Final = re.compile(r"([A-Za-z_][\w.]*)$")
PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_OPEN, _CLOSE = "([{", ")]}"


class Completions:
    """Completes words of lines typed against a namespace."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._python = rlcompleter.Completer(names)
        self._line: Callable[[], str] = str
        self._found: list[str] = []

    def attach(self) -> None:
        """Make readline ask us; without readline there is no completion."""
        try:
            import readline
        except ImportError:
            return
        self._line = lambda: readline.get_line_buffer()[: readline.get_endidx()]
        readline.set_completer_delims(DELIMITERS)
        readline.set_completer(self.complete)
        readline.parse_and_bind("tab: complete")

    def complete(self, word: str, number: int) -> str | None:
        """Return one completion after the other, as readline asks for them."""
        if not number:
            try:
                self._found = self.of(self._line(), word)
            except Exception:  # a property that raises is no reason to end the shell
                self._found = []
        return self._found[number] if number < len(self._found) else None

    def of(self, line: str, word: str) -> list[str]:
        """Return what `word`, the end of `line`, may become."""
        before = line[: len(line) - len(word)]
        if (quoted := _open_quote(before)) is not None:
            found = self._in_quotes(quoted, word)
        elif not word.strip() and not before.strip():
            return ["\t"]
        else:
            found = [*self._keywords(before, word), *self._of_python(word)]
        return list(dict.fromkeys(found))[:CHOICES_MAX]

    def _of_python(self, word: str) -> Iterator[str]:
        for number in range(CHOICES_MAX):
            found = self._python.complete(word, number) if word else None
            if found is None:
                return
            yield found

    def _keywords(self, before: str, word: str) -> list[str]:
        """Return keywords of the call whose arguments are being typed."""
        called = self._object(_open_call(before))
        if "." in word or not callable(called):
            return []
        try:
            known = inspect.signature(called).parameters.values()
        except (TypeError, ValueError):
            return []
        taken = set(re.findall(r"(\w+)\s*=", before.rpartition("(")[2]))
        return [f"{each.name}=" for each in known if each.name.startswith(word)
                and each.name not in taken
                and each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)]

    def _in_quotes(self, before: str, word: str) -> list[str]:
        """Return keys (`packet["ip.`) or column names (`capture.columns("tcp.`) in a string."""
        holder = re.search(r"([A-Za-z_][\w.]*)\s*(\[|\.columns\([^()]*)$", before)
        found = self._object(holder[1].removesuffix(".columns")) if holder else None
        if found is None or holder is None:
            return []
        keys: list[str] = []
        if holder[2] != "[":
            from portulan.wire import fields

            keys = [*fields()] if hasattr(found, "columns") else []
        elif hasattr(found, "_ipython_key_completions_"):
            keys = found._ipython_key_completions_()
        elif isinstance(found, dict):
            keys = [key for key in found if isinstance(key, str)]
        return [key for key in keys if key.startswith(word)]

    def _object(self, path: str) -> Any:  # noqa: ANN401 - whatever the user has there
        """Return what a dotted name stands for, None if nothing; nothing is called."""
        if not PATH.fullmatch(path):
            return None
        first, *rest = path.split(".")
        found = self._names.get(first)
        for name in rest:
            found = getattr(found, name, None)
        return found


def _open_call(before: str) -> str:
    """Return the name before the innermost open parenthesis, nothing if it is no call."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        if before[at] in _CLOSE:
            depth += 1
        elif before[at] in _OPEN:
            if not depth:
                found = CALL.search(before[:at]) if before[at] == "(" else None
                return found[1] if found else ""
            depth -= 1
    return ""


def _open_quote(before: str) -> str | None:
    """Return what stands before a string that is not closed yet; None outside of strings."""
    start, quote = 0, ""
    for at, sign in enumerate(before):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            start, quote = at, sign
    return before[:start] if quote else None

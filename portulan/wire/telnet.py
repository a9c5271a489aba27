"""Telnet: commands and options between the text."""

from __future__ import annotations

from portulan.wire.header import Header
from portulan.wire.inside import ITEMS_MAX, Inside, Told, Value, text_of

_IAC, _SB, _SE = 255, 250, 240
_WORDS = {251: "will", 252: "won't", 253: "do", 254: "don't", 250: "sub"}
_OPTIONS = {
    0: "binary", 1: "echo", 3: "suppress-go-ahead", 5: "status", 6: "timing-mark",
    24: "terminal-type", 31: "window-size", 32: "terminal-speed", 33: "remote-flow-control",
    34: "linemode", 35: "x-display", 36: "environment", 37: "authentication", 38: "encryption",
    39: "new-environment",
}


class Telnet(Header, tcp=23):
    """Telnet (RFC 854, RFC 855); it has no fixed octets."""

    commands = Told("by number: 251 will, 252 won't, 253 do, 254 don't, 250 sub, 240 its end", list)
    options = Told("the options that those commands are about, by number", list)
    text = Told("first line between the commands")

    @classmethod
    def claims(cls, octets: bytes, at: int, end: int) -> bool:
        """Say whether a command or text begins here."""
        if octets[at] == _IAC:
            return at + 1 < end and octets[at + 1] >= _SE
        return 32 <= octets[at] < 127 or octets[at] in b"\r\n\t\x1b\x07\0"

    def inside(self, octets: bytes, at: int, end: int) -> Inside:
        """Tell commands, and the first line of text."""
        commands, options, text, defect = list[int](), list[int](), bytearray(), ""
        for _ in range(ITEMS_MAX):
            if at >= end:
                break
            found = octets.find(_IAC, at, end)
            stop = end if found < 0 else found
            text += octets[at:stop]
            if stop == end:
                at = end
                break
            at = stop + 2
            command = octets[stop + 1] if stop + 1 < end else -1
            if command == _IAC:
                text.append(_IAC)
            elif command in _WORDS:
                if at >= end:
                    defect = "command without option"
                    break
                options.append(octets[at])
                commands.append(command)
                at = _end_of_sub(octets, at + 1, end) if command == _SB else at + 1
            elif command >= 0:
                commands.append(command)
            else:
                defect = "command cut short"
        told: dict[str, Value] = {}
        if commands:
            told["commands"] = commands
        if options:
            told["options"] = options
        line = bytes(text).strip(b"\r\n\0").partition(b"\r")[0]
        if line:
            told["text"] = text_of(line)
        return Inside(min(at, end), end, told=told, brief=_brief(commands, options, line),
                      defect=defect)


def _end_of_sub(octets: bytes, at: int, end: int) -> int:
    """Return where the end of a subnegotiation stands; one that goes on elsewhere ends here."""
    found = octets.find(bytes((_IAC, _SE)), at, end)
    return end if found < 0 else found


def _brief(commands: list[int], options: list[int], line: bytes) -> str:
    asked = [command for command in commands if command in _WORDS]
    words = [f"{_WORDS[command]} {_OPTIONS.get(option, option)}"
             for command, option in zip(asked, options, strict=True)]
    return f"Telnet {', '.join(words[:6]) or text_of(line)[:80]}".rstrip()

"""Draw docs/picture/scan.svg: a real scan of the harbour lab as the terminal shows it.

Run as root, or where user namespaces are allowed. The picture loads nothing from outside.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from portulan.lab import Lab
from portulan.record import AnyEvent, Port, Run
from portulan.render.terminal import lines
from portulan.store import Chart

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "picture" / "scan.svg"
WIDTH = 84
PORTS = "1-1024,8080"
#: rich names web fonts by URL; a picture in a README must not fetch anything.
ELSEWHERE = re.compile(r"@font-face\s*\{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
FONTS = "Fira Code, DejaVu Sans Mono, Menlo, Consolas, monospace"


def scanned(targets: list[str]) -> list[AnyEvent]:
    """Return the events of a scan inside a lab that lives as long."""
    with tempfile.TemporaryDirectory() as home, Lab.up("harbour", name="picture") as lab:
        command = ["portulan", "scan", *targets, "-p", PORTS, "--seed", "1", "--json"]
        lab.run(
            ["env", f"PORTULAN_HOME={home}", str(Path(sys.executable).parent / command[0]),
             *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        (folder,) = (Path(home) / "charts").iterdir()
        return Chart.open(folder).events()


def draw(events: list[AnyEvent], targets: list[str]) -> str:
    """Return the terminal's picture."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(Text(f"$ portulan scan {' '.join(targets)} -p {PORTS}\n", "bold"))
    run = next(event for event in events if isinstance(event, Run))
    for line in lines(events, width=WIDTH, chart=f"charts/{run.id}"):
        console.print(line, soft_wrap=True)
    svg = console.export_svg(title="portulan", unique_id="portulan")
    return ELSEWHERE.sub("", svg).replace("Fira Code, monospace", FONTS)


def main() -> None:
    """Scan, draw, say what was drawn."""
    targets = ["10.77.0.8/29", "10.77.0.16/30"]
    events = scanned(targets)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(events, targets))
    print(f"{PICTURE.name}: {sum(isinstance(event, Port) for event in events)} ports")


if __name__ == "__main__":
    main()

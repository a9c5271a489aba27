"""Compare an output with the one that a person has looked at and kept."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check(name: str, output: str) -> None:
    """Compare with `golden/NAME`; with PORTULAN_GOLDEN=write, keep `output` there instead."""
    path = FOLDER / name
    if os.environ.get("PORTULAN_GOLDEN") == "write":
        path.write_text(output, encoding="utf-8")
    assert output == path.read_text(encoding="utf-8"), f"{name} changed: PORTULAN_GOLDEN=write?"

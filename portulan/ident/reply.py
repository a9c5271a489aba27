"""The bytes a service sent, and how they were got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold one answer: `data` after `probe` (empty: it spoke first), inside TLS if `tls`."""

    transport: Literal["tcp", "udp"]
    data: bytes
    port: int | None = None
    probe: str = ""
    tls: bool = False

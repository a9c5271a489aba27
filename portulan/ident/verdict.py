"""What a reply was judged to be, by which rule, on which bytes."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"
"""The name of a service that nothing in its reply gives away."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Tell which service answered, and the evidence for it.

    `confidence` is 0..1; `disclosed` says that the reply itself names a product; `span` is the
    half-open range of reply bytes that was looked at. An empty text means "not told".
    """

    name: str = UNKNOWN
    vendor: str = ""
    product: str = ""
    version: str = ""
    info: str = ""
    os: str = ""
    device: str = ""
    cpe: str = ""
    confidence: float = 0.0
    rule: str = ""
    disclosed: bool = False
    probe: str = ""
    evidence: bytes = b""
    span: tuple[int, int] = (0, 0)

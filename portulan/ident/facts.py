"""What a protocol's parser found: the protocol's name and its named fields."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Facts:
    """Name a protocol and give the texts that rules look at, as `ssh.software`.

    `sure` is how much the framing alone proves, 0..1.
    """

    name: str
    fields: dict[str, str] = field(default_factory=dict)
    sure: float = 0.9

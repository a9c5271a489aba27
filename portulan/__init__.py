"""Chart a network: hosts, open ports, services, and the packets that prove each finding.

Importing `portulan` costs nothing: each public name is loaded when first used.

>>> import portulan
>>> portulan.__version__.count(".")
2
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import capture, merge, open_chart, read, scan, scan_events
    from .api.explaining import explain
    from .api.identifying import identify
    from .api.sending import replay, send, send_recv
    from .api.streams import dial, listen, relay
    from .api.tracing import trace
    from .store.chart import Chart

__all__ = [
    "Chart", "__version__", "capture", "dial", "explain", "identify", "listen", "merge",
    "open_chart", "read", "relay", "replay", "scan", "scan_events", "send", "send_recv", "trace",
]
_STREAMS = ("dial", "listen", "relay")
_SENDING = ("replay", "send", "send_recv")


class _Package(ModuleType):
    """The package itself, whose public names win over rooms that are called the same.

    Python binds a submodule to its package when it is first imported: without this,
    `portulan.scan` would be the function until something loads the room `portulan/scan`.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Load a public name from `portulan.api` on first use (PEP 562)."""
    if name in __all__:
        from . import api

        if name in _SENDING:
            from .api import sending

            sender: object = getattr(sending, name)
            return sender
        if name == "explain":
            from .api import explaining

            return explaining.explain
        if name == "trace":
            from .api import tracing

            return tracing.trace
        if name == "identify":
            from .api import identifying

            return identifying.identify
        if name in _STREAMS:
            from .api import streams

            found: object = getattr(streams, name)
            return found
        found = getattr(api, name)
        return found
    raise AttributeError(f"module 'portulan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

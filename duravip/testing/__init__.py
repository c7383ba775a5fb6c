"""For plugin authors and for this project's own tests. Nothing in the rest of duravip imports it.

Here by name is what authors need, the conformance kits; each is loaded when it is asked for, so that importing this
package costs nothing and needs no test framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duravip.testing.backend_kit import Place, check_backend
    from duravip.testing.notifier_kit import Receiver, check_notifier
    from duravip.testing.parser_kit import Sample, check_parser
    from duravip.testing.transport_kit import check_transport

__all__ = ["Place", "Receiver", "Sample", "check_backend", "check_notifier", "check_parser", "check_transport"]

_KITS = {
    "Place": "backend_kit",
    "Receiver": "notifier_kit",
    "Sample": "parser_kit",
    "check_backend": "backend_kit",
    "check_notifier": "notifier_kit",
    "check_parser": "parser_kit",
    "check_transport": "transport_kit",
}


def __getattr__(name: str) -> Any:
    if name not in _KITS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_KITS[name]}"), name)

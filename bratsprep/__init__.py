"""bratsprep: raw brain tumour scans in, one slice file out.

`bratsprep.build(...)`, `bratsprep.open(...)` and the other verbs are loaded at first use, so that
`import bratsprep` brings in neither Numba nor nibabel.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bratsprep.builder import build as build
    from bratsprep.inspector import inspect as inspect
    from bratsprep.pager import inspect_page as inspect_page
    from bratsprep.phantom import phantoms as phantoms
    from bratsprep.previewer import plot_balance as plot_balance
    from bratsprep.previewer import preview as preview
    from bratsprep.reader import SliceFile as SliceFile
    from bratsprep.reader import open_file as open  # noqa: A004, F401  the verb
    from bratsprep.twinner import twins as twins
    from bratsprep.verifier import verify as verify

__version__: Final = "0.1.0"
_VERBS: Final = {
    "build": ("bratsprep.builder", "build"),
    "inspect": ("bratsprep.inspector", "inspect"),
    "inspect_page": ("bratsprep.pager", "inspect_page"),
    "phantoms": ("bratsprep.phantom", "phantoms"),
    "plot_balance": ("bratsprep.previewer", "plot_balance"),
    "preview": ("bratsprep.previewer", "preview"),
    "SliceFile": ("bratsprep.reader", "SliceFile"),
    "open": ("bratsprep.reader", "open_file"),
    "twins": ("bratsprep.twinner", "twins"),
    "verify": ("bratsprep.verifier", "verify"),
}


def __getattr__(name: str) -> Any:
    """Load a verb at its first use (PEP 562)."""
    if name not in _VERBS:
        raise AttributeError(f"module 'bratsprep' has no attribute {name!r}")
    module, attribute = _VERBS[name]
    return getattr(import_module(module), attribute)

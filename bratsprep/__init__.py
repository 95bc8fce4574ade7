"""bratsprep: raw brain tumour scans in, one slice file out.

`bratsprep.build(...)`, `bratsprep.open(...)` and the other verbs are loaded at first use, so that
`import bratsprep` brings in neither Numba nor nibabel.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bratsprep.building.builder import build as build
    from bratsprep.building.dry_run import dry_run as dry_run
    from bratsprep.inspection.inspector import inspect as inspect
    from bratsprep.inspection.previewer import plot_balance as plot_balance
    from bratsprep.inspection.previewer import preview as preview
    from bratsprep.inspection.write_page import inspect_page as inspect_page
    from bratsprep.phantom.phantoms import phantoms as phantoms
    from bratsprep.repeats.twinner import twins as twins
    from bratsprep.slicefile.reader import SliceFile as SliceFile
    from bratsprep.slicefile.reader import open_file as open  # noqa: A004, F401  the verb
    from bratsprep.verification.verifier import verify as verify

__version__: Final = "0.1.0"
_VERBS: Final = {
    "build": ("bratsprep.building.builder", "build"),
    "dry_run": ("bratsprep.building.dry_run", "dry_run"),
    "inspect": ("bratsprep.inspection.inspector", "inspect"),
    "inspect_page": ("bratsprep.inspection.write_page", "inspect_page"),
    "phantoms": ("bratsprep.phantom.phantoms", "phantoms"),
    "plot_balance": ("bratsprep.inspection.previewer", "plot_balance"),
    "preview": ("bratsprep.inspection.previewer", "preview"),
    "SliceFile": ("bratsprep.slicefile.reader", "SliceFile"),
    "open": ("bratsprep.slicefile.reader", "open_file"),
    "twins": ("bratsprep.repeats.twinner", "twins"),
    "verify": ("bratsprep.verification.verifier", "verify"),
}


def __getattr__(name: str) -> Any:
    """Load a verb at its first use (PEP 562)."""
    if name not in _VERBS:
        raise AttributeError(f"module 'bratsprep' has no attribute {name!r}")
    module, attribute = _VERBS[name]
    return getattr(import_module(module), attribute)

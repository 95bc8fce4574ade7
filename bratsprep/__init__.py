"""bratsprep: raw brain tumour scans in, one slice file out.

`bratsprep.build(...)`, `bratsprep.open(...)` and the other verbs are loaded at first use, so that
`import bratsprep` loads neither Numba nor nibabel.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bratsprep.system import kernel_cache as _kernel_cache

if TYPE_CHECKING:
    from bratsprep.building.builder import build
    from bratsprep.building.dask_executor import dask_executor
    from bratsprep.building.dry_run import dry_run
    from bratsprep.building.merger import merge
    from bratsprep.config import PhantomConfig, PrepConfig
    from bratsprep.diagnosis.examine import doctor
    from bratsprep.discovery.write_case_table import write_case_table
    from bratsprep.errors import BratsError
    from bratsprep.inspection.inspector import inspect
    from bratsprep.inspection.previewer import plot_balance, preview
    from bratsprep.inspection.write_page import inspect_page
    from bratsprep.phantom.phantoms import phantoms
    from bratsprep.repeats.twinner import twins
    from bratsprep.slicefile.reader import SliceFile
    from bratsprep.slicefile.reader import open_file as open  # noqa: A004  the verb
    from bratsprep.verification.verifier import verify

    __version__: str

__all__ = [
    "BratsError",
    "PhantomConfig",
    "PrepConfig",
    "SliceFile",
    "__version__",
    "build",
    "dask_executor",
    "doctor",
    "dry_run",
    "inspect",
    "inspect_page",
    "merge",
    "open",
    "phantoms",
    "plot_balance",
    "preview",
    "twins",
    "verify",
    "write_case_table",
]
_SOURCES = MappingProxyType(
    {
        "BratsError": "bratsprep.errors",
        "PhantomConfig": "bratsprep.config",
        "PrepConfig": "bratsprep.config",
        "SliceFile": "bratsprep.slicefile.reader",
        "build": "bratsprep.building.builder",
        "dask_executor": "bratsprep.building.dask_executor",
        "doctor": "bratsprep.diagnosis.examine",
        "dry_run": "bratsprep.building.dry_run",
        "inspect": "bratsprep.inspection.inspector",
        "inspect_page": "bratsprep.inspection.write_page",
        "open": "bratsprep.slicefile.reader",
        "merge": "bratsprep.building.merger",
        "phantoms": "bratsprep.phantom.phantoms",
        "plot_balance": "bratsprep.inspection.previewer",
        "preview": "bratsprep.inspection.previewer",
        "twins": "bratsprep.repeats.twinner",
        "verify": "bratsprep.verification.verifier",
        "write_case_table": "bratsprep.discovery.write_case_table",
    }
)
"""Module that each public name is loaded from."""
_kernel_cache.settle()


if not TYPE_CHECKING:  # a checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        """Load a public name at its first use (PEP 562)."""
        if name == "__version__":
            return import_module("importlib.metadata").version("bratsprep")
        if name not in _SOURCES:
            raise AttributeError(f"module 'bratsprep' has no attribute {name!r}")
        return getattr(import_module(_SOURCES[name]), "open_file" if name == "open" else name)


def __dir__() -> list[str]:
    """List the public names alone."""
    return __all__

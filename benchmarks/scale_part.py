"""One process of `benchmarks.scale`: a build, an epoch, or the notebook's way, within a limit.

    python -m benchmarks.scale_part {build,epoch,hold} INPUT OUTPUT --limit BYTES

The limit is RLIMIT_DATA: all private memory that can be written to, reserved or used, is counted
by the system, and an allocation beyond it fails. RLIMIT_AS would count the hundreds of megabytes
of address space that LLVM and torch map and never touch, and RLIMIT_RSS does nothing on Linux.
"""

import argparse
import json
import resource
import time
from importlib import import_module
from pathlib import Path

BATCH = 32


def build(raw: Path, out: Path, workers: int) -> dict[str, float]:
    """Build a slice file with the defaults."""
    builder = import_module("bratsprep.building.builder")
    summary = builder.build(raw, out, workers=workers, force=True)
    return {"cases": summary.cases, "slices": summary.slices, "bytes": out.stat().st_size}


def epoch(file: Path, _: Path, workers: int) -> dict[str, float]:
    """Take every slice once, shuffled, as float32 tensors."""
    reader, sampler, loader = (
        import_module(name)
        for name in (
            "bratsprep.slicefile.reader",
            "bratstrain.data.sampler",
            "bratstrain.data.loader",
        )
    )
    numpy = import_module("numpy")
    with reader.open_file(file) as opened:
        rows = numpy.arange(len(opened))
        plan = sampler.make_plan(rows, opened.slices["voxels"], BATCH, "uniform", 1)
        last, slices = plan.steps_per_epoch, 0
        with loader.Loader(opened, plan, first=0, last=last, threads=workers) as batches:
            for batch in batches:
                slices += len(batch.image)
        return {"cases": len(opened.cases), "slices": slices, "bytes": file.stat().st_size}


def hold(raw: Path, _: Path, workers: int) -> dict[str, float]:
    """The notebook's way: `get_fdata` of every image into a list, until there is no memory."""
    load, held = import_module("nibabel").load, []
    short = MemoryError, OSError, import_module("indexed_gzip").ZranError
    try:
        for path in sorted((raw / "imagesTr").iterdir()):
            held.append(load(path).get_fdata())  # noqa: PERF401  a list up to the failure
    except short:
        return {"cases": len(held), "slices": 0, "bytes": 0, "out_of_memory": 1}
    return {"cases": len(held), "slices": 0, "bytes": 0, "out_of_memory": 0}


PARTS = {"build": build, "epoch": epoch, "hold": hold}
IMPORTS = {
    "build": ("bratsprep.building.builder",),
    "epoch": ("bratsprep.slicefile.reader", "bratstrain.data.sampler", "bratstrain.data.loader"),
    "hold": ("nibabel",),
}


def warm() -> None:
    """Load compiled kernels, and OpenBLAS, which Numba loads where SciPy is installed."""
    int16 = import_module("numpy").int16
    import_module("bratsprep.volumes.warm").warm_build(4, int16)


WARM = {"build": warm, "epoch": warm, "hold": lambda: None}


def memory(field: str) -> int:
    """Bytes of a field of /proc/self/status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(field)), 0)


def limit_to(size: int) -> None:
    """Let no allocation go beyond so many bytes of private memory; 0 for no limit."""
    if size:
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def main() -> None:
    """Run one part and print what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="bytes from the very start")
    parser.add_argument(
        "--headroom", type=int, default=0, help="bytes above what imports and warming up take"
    )
    args = parser.parse_args()
    limit_to(args.limit)
    for name in IMPORTS[args.part]:
        import_module(name)
    WARM[args.part]()
    imports_bytes, data_bytes = memory("VmHWM:"), memory("VmData:")
    if args.headroom:
        limit_to(data_bytes + args.headroom)
    started = time.perf_counter()
    found = PARTS[args.part](args.input, args.output, args.workers)
    line = {
        "seconds": time.perf_counter() - started,
        "imports_bytes": imports_bytes,
        "peak_bytes": memory("VmHWM:"),
    }
    print(json.dumps(found | line), flush=True)


if __name__ == "__main__":
    main()

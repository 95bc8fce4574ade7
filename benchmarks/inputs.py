"""What a build benchmark reads: phantoms or a folder of the user's, made once and kept."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.nnunet_raw import split
from bratsprep.phantom.phantoms import phantoms

DATASET = "Dataset001_Brain"
"""Name under `nnUNet_raw`."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One set of cases in the Decathlon's layout, cut to any number of them."""

    whole: Path
    """Folder with all cases."""
    work: Path
    """Folder for what is derived from it."""

    def folder(self, cases: int) -> Path:
        """The first cases as links to the files, with a dataset.json of their own."""
        target = self.work / f"{cases}-cases"
        if (target / "dataset.json").exists():
            return target
        index = json.loads((self.whole / "dataset.json").read_text(encoding="utf-8"))
        kept = index["training"][:cases]
        if len(kept) < cases:
            raise SystemExit(f"{len(kept)} labelled cases are there, {cases} are asked for")
        for name in (name for case in kept for name in (case["image"], case["label"])):
            link = target / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to((self.whole / name).resolve())
        index |= {"training": kept, "numTraining": cases, "test": [], "numTest": 0}
        (target / "dataset.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
        return target

    def tar(self, cases: int) -> Path:
        """The same cases as the one plain archive that the Decathlon is downloaded as."""
        target = self.work / f"{cases}-cases.tar"
        if not target.exists():
            folder, half = self.folder(cases), target.with_suffix(".partial")
            with tarfile.open(half, "w", dereference=True) as archive:
                archive.add(folder, "Task01_BrainTumour")
            half.rename(target)
        return target

    def nnunet(self, cases: int) -> Path:
        """The same cases as nnU-Net wants them; the folder to name in `nnUNet_raw`."""
        target = self.work / f"{cases}-nnunet"
        if not (target / DATASET / "dataset.json").exists():
            split(self.folder(cases), target / DATASET)
        return target

    def source_bytes(self, cases: int) -> int:
        """Size of the first cases as they lie on disk."""
        listed = self.folder(cases).glob("*sTr/*")
        return sum(path.stat().st_size for path in listed)


def made(work: Path, dtype: str, cases: int) -> Inputs:
    """Phantoms of the real size, from the cache folder where as many are there already."""
    kept = (int(index.parent.name.split("-")[-1])
            for index in work.glob(f"phantoms-{dtype}-*/dataset.json"))  # fmt: skip
    there = min((n for n in kept if n >= cases), default=cases)
    whole = work / f"phantoms-{dtype}-{there}"
    if not (whole / "dataset.json").exists():
        print(f"making {cases} {dtype} phantoms, once", flush=True)
        phantoms(whole, cases=cases, layout="msd", dtype=dtype, workers=4)
    return Inputs(whole, work / f"derived-{dtype}-{there}")

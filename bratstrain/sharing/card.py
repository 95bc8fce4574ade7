"""The model card of a published network: what it is, what it was fitted on, how to use it."""

from collections.abc import Mapping
from typing import Any, Final

from bratstrain.runs.checkpoint import Weights
from bratstrain.runs.fitted import Fitted

HEAD: Final = """---
library_name: bratstrain
pipeline_tag: image-segmentation
tags: [brain-tumour, mri, medical, segmentation]
---
"""


def card_text(fitted: Fitted, weights: Weights, facts: Mapping[str, Any]) -> str:
    """Write the card in Markdown, with the metadata that the Hugging Face Hub reads.

    Args:
        fitted: the run.
        weights: of its best validation.
        facts: of the published `run.json`.
    """
    classes, regions = fitted.classes.classes, dict(fitted.classes.regions)
    sizes = "; ".join(" x ".join(f"{side:g}" for side in one) for one in fitted.spacings[0].sizes)
    software = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    rows = {
        "task": "segmentation of axial slices, 2D",
        "modalities, in order": ", ".join(fitted.preparation.channels),
        "classes": ", ".join(classes),
        "regions": ", ".join(regions) or "none",
        "label scheme": fitted.scheme.name if fitted.scheme else "several",
        "slice size": f"{fitted.size[0]} x {fitted.size[1]} voxels, "
        + ("whole planes" if fitted.window is None else "centred on the brain"),
        "voxel sizes of the training cases (mm)": sizes or "not recorded",
        "selection": f"step {weights.step}, mean region volume Dice {weights.score:.4f} on "
        "validation cases, over the stored planes",
        "software": software,
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""{HEAD}
# {fitted.name}

A network of bratstrain. Not a medical device.

| | |
| --- | --- |
{table}

The score above chose the weights and is therefore optimistic; it is no test result.

## Use

```sh
bratstrain predict FOLDER raw/ -o predicted/
```

Scans are prepared by bratstrain as the training cases were. The folder holds no code, case id or
image; `sha256sum --check SHA256SUMS` verifies it.
"""

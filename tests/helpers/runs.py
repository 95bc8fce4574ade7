"""Small run folders for tests, their weights drawn and not fitted, and what they should predict."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import torch

from bratsprep.config import PrepConfig
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.data.splits import Split
from bratstrain.networks.build import build_model
from bratstrain.runs.checkpoint import Weights, save
from tests.helpers.class_sets import SCHEME

WINDOW = (6, 5)
"""(h, w): smaller than the brain of `niftis.phantom` in y, so that something is lost."""
SPACING = [1.0, 1.0, 2.0]
"""Of `niftis.RAS`."""
CONFIG = TrainConfig(model=ModelConfig(kind="unet", width=4, depth=2, norm="instance"))
SPLIT = Split("subject", 0, ("BraTS2021_00001",), ("BraTS2021_00002",), (), leaks=False)


def prep(**changes):
    """Settings of the slice file that a run was fitted on."""
    return PrepConfig(**{"crop": f"{WINDOW[0]}x{WINDOW[1]}"} | changes)


def network_of(seed=0, config=CONFIG):
    """A network with drawn weights that gives every class somewhere."""
    network = build_model(config.model, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return network


def write(
    folder,
    *,
    seed=0,
    preparation=None,
    size=WINDOW,
    split=SPLIT,
    facts=None,
    digest="d",
    schemes=(SCHEME,),
    classes=4,
    drop=0.0,
    **sizes_of_model,
):
    """Write a run folder; gives its network.

    The label schemes have equal classes, which are those of the network. Further keywords are
    those of a `ModelConfig`.
    """
    folder.mkdir(parents=True)
    model = replace(CONFIG.model, classes=classes, **sizes_of_model)
    config = replace(CONFIG, precision="fp32", drop_modality=drop, model=model)
    network = network_of(seed, config)
    (folder / "config.json").write_text(config.to_json())
    (folder / "split.json").write_text(split.to_json())
    known = {"spacings": sizes(SPACING), "data_digest": digest}
    known |= facts or {}
    (folder / "run.json").write_text(json.dumps({k: v for k, v in known.items() if v is not None}))
    save(
        folder / "best.pt",
        Weights(
            config=config.to_json(),
            data_digest=digest,
            split_digest=split.digest,
            preparation=(preparation or prep()).to_json(),
            classes=schemes[0].classes.to_json(),
            schemes=json.dumps({one.name: json.loads(one.to_json()) for one in schemes}),
            shape=list(size),
            step=1,
            score=0.5,
            network=dict(network.state_dict()),
        ),
    )
    return network


def sizes(*spacings):
    """Voxel sizes as a run records them, one training case of each."""
    return [{"mm": list(spacing), "cases": 1} for spacing in spacings]


def axial(path, channel=None):
    """Voxels of a NIfTI file as (z, y, x) in RAS+ order, by nibabel."""
    voxels = np.asanyarray(nib.as_closest_canonical(nib.load(path)).dataobj)
    return (voxels if channel is None else voxels[..., channel]).transpose(2, 1, 0)


def prepared(images, window=WINDOW):
    """Brain planes as a network should see them, step by step in NumPy.

    Args:
        images: (4, z, y, x) in RAS+ order.
        window: (h, w), no larger than a plane.

    Returns:
        (s, 4, h, w) float32; planes; first row and column of the window.
    """
    brain = (images != 0).any(axis=0)
    inside = images[:, brain].astype(np.float64)
    mean, std = inside.mean(axis=1), inside.std(axis=1)
    scaled = (images - mean[:, None, None, None]) / std[:, None, None, None]
    scaled = np.where(brain, scaled, 0).astype(np.float16).astype(np.float32)
    planes = np.flatnonzero(brain.any(axis=(1, 2)))
    starts = []
    for axis, size in zip((1, 2), window, strict=True):
        others = tuple({0, 1, 2} - {axis})
        used = np.flatnonzero(brain.any(axis=others))
        middle = (used[0] + used[-1] + 1 - size) // 2
        starts.append(int(min(max(middle, 0), brain.shape[axis] - size)))
    y, x = starts
    cut = scaled[:, planes, y : y + window[0], x : x + window[1]]
    return cut.swapaxes(0, 1), planes, (y, x)


def chances(networks, images, flips=((),), window=WINDOW):
    """(4, z, y, x) probabilities over a whole volume, by the networks and NumPy alone."""
    image, planes, (y, x) = prepared(images, window)
    total = np.zeros(image.shape, np.float64)
    for network in networks:
        for axes in flips:
            given = torch.from_numpy(np.flip(image, axes).copy())
            with torch.inference_mode():
                found = network(given).softmax(dim=1).numpy()
            total += np.flip(found, axes)
    total /= len(networks) * len(flips)
    whole = np.zeros(images.shape)
    whole[0] = 1
    whole[:, planes, y : y + window[0], x : x + window[1]] = total.swapaxes(0, 1)
    return whole

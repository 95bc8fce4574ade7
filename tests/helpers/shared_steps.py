"""A few steps of small networks, learnt by one process or by several ranks together."""

import dataclasses

import torch

from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.ranks.group import ALONE
from bratstrain.training.step import Trainer, class_weights

CPU = torch.device("cpu")
SIX = 6
"""Samples of a batch."""
PLAIN = TrainConfig(
    model=ModelConfig(width=2, depth=2, norm="instance"), warmup=0, precision="fp32",
    learning_rate=1e-3,
)  # fmt: skip
BATCH_NORM = dataclasses.replace(PLAIN.model, norm="batch", dropout=0.2)
VOLUME = ModelConfig(kind="residual3d", patch="8x8x8", width=2, depth=2, norm="batch", dropout=0.2)
KINDS = {
    "strong": dataclasses.replace(PLAIN, drop_modality=0.3),
    "supervised": dataclasses.replace(
        PLAIN, model=dataclasses.replace(PLAIN.model, deep_supervision=True)
    ),
    "batch norm": dataclasses.replace(PLAIN, model=BATCH_NORM, loss="dice", augment="combined"),
    "ce": dataclasses.replace(PLAIN, loss="ce"),
    "focal": dataclasses.replace(PLAIN, loss="focal"),
    "tversky": dataclasses.replace(PLAIN, loss="tversky", augment="noise"),
    "context": dataclasses.replace(PLAIN, model=dataclasses.replace(PLAIN.model, context=3)),
    "volume": dataclasses.replace(PLAIN, model=VOLUME),
}
"""Every loss and augmentation, both norms, and all three kinds of sample."""


def whole_batch(config, step):
    """A batch of noise whose last samples alone hold tumour, so that shares differ."""
    generator = torch.Generator().manual_seed(step)
    depth = (8,) if config.model.is_volumetric else ()
    around = (config.model.context,) if config.model.context > 1 else depth
    image = torch.randn((SIX, 4, *around, 8, 8), generator=generator)
    label = torch.randint(0, 4, (SIX, *depth, 8, 8), generator=generator, dtype=torch.uint8)
    label[: SIX // 2] = 0
    return image, label


def learn(kind, group=ALONE, steps=10):
    """Learn some steps; gives the losses, and weights and buffers by name."""
    config = KINDS[kind]
    weights = class_weights(torch.tensor([[900, 30, 60, 10]]).numpy())
    trainer = Trainer(config, CPU, weights if kind in ("ce", "focal") else None, (1, 3), group)
    own, losses = group.own(SIX), []
    for step in range(steps):
        image, label = whole_batch(config, step)
        losses.append(float(trainer.step(image[own], label[own], step, step / steps)))
    state = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    return losses, state

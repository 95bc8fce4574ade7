"""segmentation-models-pytorch: `Unet` over VGG-13 with batch norm, its encoder nearest to a U-Net.

Its widths are VGG's, 64 to 512 with 512 below, whatever is asked for.
"""

from importlib.metadata import version

import torch

# Its dependency timm imports torchvision, whose wheel on PyPI is made for CUDA: beside a torch for
# the CPU alone that import ends at two operators, by their names only; no network here calls them.
if torch.version.cuda is None and not version("torchvision").endswith("+cpu"):
    names = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        names.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

# isort: split
import segmentation_models_pytorch as smp
from torch import nn

from benchmarks.peers.train_runner import CLASSES, MODALITIES, run

DECODER = (512, 512, 256, 128, 64)


def unet(width: int) -> nn.Module:
    """Two convolutions a level, max-pooling, nearest neighbours on the way up."""
    return smp.Unet(
        "vgg13_bn",
        encoder_weights=None,
        in_channels=MODALITIES,
        classes=CLASSES,
        decoder_channels=DECODER,
    )


if __name__ == "__main__":
    run({"unet": unet})

"""MONAI's networks in 2D with batch norm and ReLU, which its attention network always has.

`basic` has two convolutions a level as our `unet` has, of 3 x 3 each; `unet` has one, of stride 2
on the way down, and with residual units two on the way down and two on the way up; `attention` is
after Oktay et al. as ours is, with transposed convolutions of 3 x 3 and one convolution after them.
"""

from monai.networks.nets import AttentionUnet, BasicUNet, UNet
from torch import nn

from benchmarks.peers.train_runner import CLASSES, LEVELS, MODALITIES, run, widths

RELU = ("relu", {"inplace": True})
STRIDES = (2,) * (LEVELS - 1)


def basic(width: int) -> nn.Module:
    """Two convolutions a level, max-pooling."""
    channels = (*widths(width), width)
    return BasicUNet(2, MODALITIES, CLASSES, features=channels, act=RELU, norm="batch")


def unet(width: int) -> nn.Module:
    """One convolution a level."""
    return UNet(2, MODALITIES, CLASSES, widths(width), STRIDES, act=RELU, norm="batch")


def residual(width: int) -> nn.Module:
    """Residual units of two convolutions a level."""
    return UNet(
        2, MODALITIES, CLASSES, widths(width), STRIDES, act=RELU, norm="batch", num_res_units=2
    )


def attention(width: int) -> nn.Module:
    """Attention gates on the skips."""
    return AttentionUnet(2, MODALITIES, CLASSES, widths(width), STRIDES)


if __name__ == "__main__":
    run({"basic": basic, "unet": unet, "residual": residual, "attention": attention})

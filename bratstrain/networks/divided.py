"""Layers that see the whole batch while each rank holds a share of it: batch norm and dropout.

Everything else in a network treats samples one by one.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from bratstrain.ranks.group import Group

OF_CHANNELS: Final = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
"""Dropout that draws one number for each channel of a sample."""


def divided(network: nn.Module, group: Group) -> nn.Module:
    """Have the batch norm and the dropout of a network treat the whole batch of several ranks.

    Names, weights and buffers stay, so that a checkpoint fits any number of ranks.

    Args:
        network: its layers are replaced.
        group: the ranks; for a group of one the network stays as it is.

    Returns:
        The network; another one where it is itself such a layer.
    """
    if group.size == 1:
        return network
    if isinstance(network, _BatchNorm) and not isinstance(network, nn.SyncBatchNorm):
        return WholeBatchNorm(network, group)
    if isinstance(network, (nn.Dropout, *OF_CHANNELS)):
        return WholeDropout(network, group)
    for name, child in network.named_children():
        setattr(network, name, divided(child, group))
    return network


class WholeBatchNorm(_BatchNorm):
    """Batch norm by the moments of the whole batch (Ioffe and Szegedy 2015), on any device.

    torch's `SyncBatchNorm` needs GPUs. The moments of each rank's share are sent, not sums of
    squares, which would lose their digits where the mean is large against the spread. All shares
    are of one size.

    Args:
        norm: whose weights and buffers are taken over.
        group: the ranks.
    """

    def __init__(self, norm: _BatchNorm, group: Group) -> None:
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training, self._group = norm.training, group

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (b, c, ...) float over the samples and pixels of all ranks in training."""
        if not self.training:
            return super().forward(x)
        wide = x.float()
        axes = (0, *range(2, x.dim()))
        ones = (1, -1, *(1,) * (x.dim() - 2))
        spread, middle = torch.var_mean(wide, axes, correction=0)  # (c,)
        mean, variance = self._pooled(middle, spread)
        self._follow(mean.detach(), variance.detach(), wide.numel() // len(mean))
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        shifted = (wide - mean.view(ones)) * scale.view(ones)
        if self.affine:
            shifted = shifted + self.bias.view(ones)
        return shifted.to(x.dtype)

    def _check_input_dim(self, x: Tensor) -> None:  # torch calls it in evaluation
        """Accept (b, c, ...) float of any number of axes."""

    def _pooled(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Join the moments of all ranks (Chan et al. 1979), each (c,) float32."""
        own = torch.stack([mean, variance])
        rows = [own if rank == self._group.rank else torch.zeros_like(own)
                for rank in range(self._group.size)]  # fmt: skip
        (each,) = self._group.total(torch.stack(rows))  # (ranks, 2, c)
        means, variances = each.unbind(dim=1)
        pooled = means.mean(dim=0)
        return pooled, variances.mean(dim=0) + (means - pooled).square().mean(dim=0)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, n_own: int) -> None:
        """Move the running moments, of which that of the spread has divisor n - 1.

        Args:
            mean: (c,) float32.
            variance: (c,) float32, with divisor n.
            n_own: pixels of a channel on this rank.
        """
        seen = self.num_batches_tracked
        if self.running_mean is None or self.running_var is None or seen is None:
            return
        seen.add_(1)
        share = 1 / float(seen) if self.momentum is None else self.momentum
        n_pixels = n_own * self._group.size
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (n_pixels / max(n_pixels - 1, 1)), share)


class WholeDropout(_DropoutNd):
    """Dropout drawn for the whole batch, of which this rank's samples take theirs.

    All ranks draw from equal generators. Without this they would drop the same channels of
    different samples, and a sample's would depend on the number of ranks.

    Args:
        dropout: what is drawn; its share and kind stay.
        group: the ranks.
    """

    def __init__(self, dropout: _DropoutNd, group: Group) -> None:
        super().__init__(dropout.p)
        self.training, self._group = dropout.training, group
        self._is_of_channels = isinstance(dropout, OF_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Drop from (b, ...) float what the whole batch's draw says, in training."""
        if not self.training or self.p == 0:
            return x
        n_samples = len(x) * self._group.size
        sides = (1,) * (x.dim() - 2) if self._is_of_channels else x.shape[2:]
        kept = nn.functional.dropout(x.new_ones((n_samples, x.shape[1], *sides)), self.p)
        return x * kept[self._group.own(n_samples)]

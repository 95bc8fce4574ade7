"""Cases through networks that take patches: windows over the volume, in several flips."""

import math
from collections.abc import Callable
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bratstrain.apply_config import ApplyConfig
from bratstrain.networks.build import as_input
from bratstrain.networks.outputs import labels_of, probabilities_of
from bratstrain.networks.windows import dense, slide
from bratstrain.runs.fitted import Fitted

FLIPS: Final = MappingProxyType(
    {
        "none": ((),),
        "lr": ((), (-1,)),
        "lr+ap": ((), (-1,), (-2,), (-2, -1)),
    }
)
"""Axes of (b, c, h, w) along which each pass is flipped: left-right, and front-back too."""


See = Callable[[slice, NDArray[np.float32]], None]
"""Receives some planes of a case, and their (b, classes, h, w) float32 probabilities."""


def segment_volume(
    fitted: Fitted,
    image: NDArray[Any],
    z: NDArray[np.integer[Any]],
    config: ApplyConfig,
    *,
    keep: bool = False,
    see: See | None = None,
    entropy: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Label the planes of one case through windows.

    Args:
        fitted: the networks, which take patches.
        image: (s, m, h, w) float16 or float32, standard deviations.
        z: (s,) int, plane of each in the volume, rising; at least one.
        config: flips; a batch of windows has about as many planes as `batch_size`.
        keep: return the probabilities too.
        see: receives all planes at once.
        entropy: (s, h, w) uint8, overwritten with the entropy of the mean probabilities, 255 where
            all classes are equally likely; None does not compute it.

    Returns:
        (s, h, w) uint8 stored classes; and (classes, s, h, w) float32 probabilities, of 0 planes
        where `keep` is False.
    """
    places = z.astype(np.int64)
    volume = dense(torch.from_numpy(image).to(fitted.device).float(), places)
    window = fitted.model.patch_sides
    n_windows = max(1, config.batch_size // window[0])
    passes = [*product(FLIPS[config.tta], fitted.networks)]
    total = torch.zeros(len(fitted.classes), *volume.shape[1:], device=fitted.device)
    for axes, network in passes:
        flipped = volume.flip(axes) if axes else volume
        found = slide(Probabilities(fitted, network), flipped, window, n_windows)
        total += found.flip(axes) if axes else found
    mine = torch.from_numpy(places - places[0]).to(total.device)
    probability = (total / len(passes))[:, mine]
    label = labels_of(probability[None], fitted.model.nesting)[0].cpu().numpy()
    if entropy is not None:
        entropy[:] = entropy_of(probability.swapaxes(0, 1)).cpu().numpy()
    given = probability.cpu().numpy() if keep or see is not None else None
    if given is not None and see is not None:
        see(slice(0, len(label)), given.swapaxes(0, 1))
    if given is None or not keep:
        return label, np.empty((len(fitted.classes), 0, *label.shape[1:]), np.float32)
    return label, given


def entropy_of(probability: Tensor) -> Tensor:
    """Entropy of the classes of each pixel, as a share of that of equal chances.

    Args:
        probability: (b, classes, h, w) float32, sums of 1.

    Returns:
        (b, h, w) uint8, 0 to 255.
    """
    bits = torch.special.entr(probability).sum(dim=1)
    steps: Tensor = bits * (255 / math.log(probability.shape[1]))
    return steps.round_().clamp_(0, 255).to(torch.uint8)


class Probabilities:
    """Probabilities of a network in the precision of its run.

    Args:
        fitted: the run.
        network: one of its networks.
    """

    def __init__(self, fitted: Fitted, network: nn.Module) -> None:
        self._fitted = fitted
        self._network = network

    def __call__(self, patches: Tensor) -> Tensor:
        """Compute (b, classes, d, h, w) float32 probabilities of (b, m, d, h, w) patches."""
        with self._fitted.autocast():
            logits: Tensor = self._network(as_input(patches, self._fitted.model))
        return probabilities_of(logits, self._fitted.model.nesting)

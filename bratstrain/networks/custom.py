"""Networks of the user's own: `package.module:function` instead of a name in the registry.

The function is called as `function(modalities=m, classes=c, **options)` and returns a module that
maps (b, m, h, w) float32 images to (b, c, h, w) logits, background first. With `--context`, m is
the number of modalities times that of planes: all planes of the first modality, the lowest first,
then those of the next; the logits are of the plane in the middle. With `--target regions`, c is the
number of regions and the logits are of those, the outermost first. In training it may return a
list instead, level k of which is (b, c, h / 2**k, w / 2**k), for deep supervision. If its attribute
`cell` is n, the module is only given sides that are multiples of n. Everything that training
changes is in its `state_dict`, as tensors. Its weights are drawn from torch's global
generator. `bratstrain.networks.contract` checks all of this before a run begins.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from bratstrain.config import ModelConfig
from bratstrain.networks.blocks import pad_to_cells


class PaddedNetwork(nn.Module):
    """A network that is given whole cells, and whose logits are cut to the slice again.

    Args:
        network: maps (b, modalities, h, w) to (b, classes, h, w) logits or a list of levels.
        cell: the sides that `network` takes are multiples of this, pixels.
    """

    def __init__(self, network: nn.Module, cell: int) -> None:
        super().__init__()
        self.network = network
        self.cell = cell

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Segment a batch of slices.

        Args:
            image: (b, modalities, h, w) float, standard deviations.

        Returns:
            (b, classes, h, w) logits, or a list whose level k is (b, classes, ceil(h / 2**k),
            ceil(w / 2**k)).
        """
        h, w = image.shape[-2:]
        logits = self.network(pad_to_cells(image, (self.cell, self.cell)))
        if isinstance(logits, Tensor):
            return logits[..., :h, :w]
        return [level[..., : -(-h // 2**k), : -(-w // 2**k)] for k, level in enumerate(logits)]


def custom_network(config: ModelConfig) -> PaddedNetwork:
    """Import the function that a config names and make its network.

    An exception that the function itself raises is left as it is, since its traceback shows the
    user where to look.

    Raises:
        ValueError: the function cannot be imported or called so, or gives no network.
    """
    name = config.kind
    function = import_function(name)
    arguments: dict[str, Any] = {"modalities": config.channels, "classes": config.outputs}
    arguments |= config.model_options
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"{name}: cannot be called with {', '.join(arguments)}: {error}"
        ) from error
    network = function(**arguments)
    if not isinstance(network, nn.Module):
        raise ValueError(f"{name}: gives a {type(network).__name__}, expected a torch.nn.Module")
    cell = getattr(network, "cell", 1)
    if type(cell) is not int or cell < 1:
        raise ValueError(f"{name}: its cell is {cell!r}, expected a number of pixels, at least 1")
    return PaddedNetwork(network.train(), cell)


def import_function(name: str) -> Callable[..., Any]:
    """Import a function by name; this runs the code of its module.

    Args:
        name: `package.module:function`.

    Raises:
        ValueError: the module or something that it imports is missing, or it has no such function.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        missing = error.name or module_name
        raise ValueError(
            f"{name}: cannot be imported, {missing} is missing or faulty ({error}); install it, "
            "or add its folder to PYTHONPATH"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ValueError(f"{name}: {module_name} has no function {attribute}")
    return function

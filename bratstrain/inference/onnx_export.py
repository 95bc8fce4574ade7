"""A fitted network as an ONNX file, checked against what it was made from."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bratsprep.errors import BratsError
from bratsprep.labels import CLASSES, MODALITIES
from bratsprep.system.atomic import replacing
from bratstrain.runs.fitted import Fitted, load_fitted

OPSET: Final = 18
TOLERANCE: Final = 1e-3
"""Largest difference of a probability; deep networks with instance norm reach 1e-4 in float32."""
INPUT: Final = "image"
OUTPUT: Final = "probability"


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file that was checked."""

    path: Path
    difference: float
    """Largest difference of a probability from the network's own."""
    shapes: tuple[tuple[int, ...], ...]
    """Of the inputs that it was checked with."""

    def line(self) -> str:
        """Say it in one line."""
        return (
            f"{self.path}: {self.path.stat().st_size / 1e6:.1f} MB, opset {OPSET}, probabilities "
            f"within {self.difference:.1g} of the network's"
        )


class Probability(nn.Module):
    """A network with its softmax.

    Args:
        network: of (b, modalities, h, w) to (b, classes, h, w) logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Give (b, classes, h, w) probabilities of (b, modalities, h, w) standard deviations."""
        logits: Tensor = self.network(image)
        return logits.softmax(dim=1)


def export(run: Path | str, out: Path | str, *, trusted_models: Sequence[str] = ()) -> Exported:
    """Write the network of a run as ONNX; `bratstrain.export`.

    Input `image` is (b, 4, h, w) float32, z-scored slices in the order of MODALITIES; output
    `probability` (b, 4, h, w) float32. b, h and w are free. The file says modalities, classes,
    preparation and voxel size in its metadata.

    Args:
        run: run folder.
        out: file to write; replaced where it is there.
        trusted_models: custom networks, as `package.module:function`, whose code may be imported.

    Raises:
        BratsError: the folder is no finished run, the file cannot be written, or onnxruntime
            gives other numbers than the network.
    """
    fitted = load_fitted([Path(run)], "cpu", trusted_models)
    network = Probability(fitted.networks[0]).eval()
    model = describe(to_onnx(network, fitted), fitted)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    h, w = fitted.size
    shapes = ((2, len(MODALITIES), h, w), (1, len(MODALITIES), h - h // 3, w + 3))

    def by_onnx(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(session.run([OUTPUT], {INPUT: image})[0], np.float32)

    worst = max(difference(network, by_onnx, shape) for shape in shapes)
    if not worst <= TOLERANCE:
        raise BratsError(
            f"{out}: probabilities are {worst:.2g} off the network's, at most {TOLERANCE:g} is "
            f"allowed; nothing was written (torch {torch.__version__}, "
            f"onnxruntime {onnxruntime.__version__})"
        )
    with replacing(Path(out)) as file:
        file.write(content)
    return Exported(Path(out), worst, shapes)


def to_onnx(network: nn.Module, fitted: Fitted) -> onnx.ModelProto:
    """Trace a network with free batch, height and width."""
    image = torch.zeros(2, len(MODALITIES), *fitted.size)
    free = torch.export.Dim.DYNAMIC
    with quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: free, 2: free, 3: free},),
        )
    if program is None:
        raise BratsError("export: torch gave no ONNX program; try another version of torch")
    return program.model_proto


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter from warning of its own insides, which are no business of the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def describe(model: onnx.ModelProto, fitted: Fitted) -> onnx.ModelProto:
    """Put into the metadata what the numbers going in and out mean."""
    said = {
        "modalities": json.dumps(list(MODALITIES)),
        "classes": json.dumps(list(CLASSES)),
        "preparation": fitted.preparation.to_json(),
        "size": json.dumps(list(fitted.size)),
        "spacing_mm": json.dumps([s if s == s else None for s in fitted.spacing]),  # noqa: PLR0124
        "slice_file_digest": fitted.data_digest,
    }
    onnx.helper.set_model_props(model, said)
    return model


def difference(
    network: nn.Module, other: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, ...]
) -> float:
    """Largest difference of two networks' probabilities on slices that look prepared."""
    generator = np.random.default_rng(0)
    image = generator.normal(size=shape).astype(np.float32)
    rows, columns = (np.abs(np.linspace(-1, 1, side)) for side in shape[2:])
    image[..., (rows[:, None] ** 2 + columns**2) > 0.9] = 0
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image)).numpy()
    return float(np.abs(other(image) - wanted).max())

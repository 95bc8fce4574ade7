"""A fitted network as an ONNX file, checked against the network that it was made from.

Input and output have names, their axes have names and meanings, and the metadata states all that
another program needs to prepare a slice and to read the result, see `describe`.
"""

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
from bratsprep.labels import Scheme
from bratsprep.system.atomic import replacing
from bratstrain.config import ModelConfig
from bratstrain.inference.segment import as_the_network_sees
from bratstrain.networks.build import as_channels
from bratstrain.networks.outputs import HALF, probabilities_of
from bratstrain.runs.files import versions
from bratstrain.runs.fitted import Fitted, load_fitted
from bratstrain.runs.hub import located

OPSET: Final = 18
TOLERANCE: Final = 1e-3
"""Largest allowed difference of a probability; float32 rounding in deep networks reaches 1e-4."""
INPUT: Final = "image"
OUTPUT: Final = "probability"
AXES: Final = ("batch", "modality", "height", "width")
"""Of the input; rows run from posterior to anterior, columns from left to right (RAS+)."""
STACK_AXES: Final = ("batch", "modality", "plane", "height", "width")
"""Of the input of a network that is given several planes; they run from inferior to superior, and
the output is of the one in the middle, or of all planes of a patch."""
OUTPUT_AXES: Final = ("batch", "class", "height", "width")
PATCH_AXES: Final = ("batch", "class", "plane", "height", "width")
"""Of the output of a network that takes patches."""
DENOTATIONS: Final = ("DATA_BATCH", "DATA_CHANNEL")
"""Standard meanings of the first axes in ONNX (IR specification, dimension denotation)."""
FEATURE: Final = "DATA_FEATURE"
"""Meaning of all further axes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file that was checked."""

    path: Path
    difference: float
    """Largest difference of a probability from the network's own."""
    shapes: tuple[tuple[int, ...], ...]
    """Of the inputs that it was checked with."""

    def line(self) -> str:
        """Summarise in one line."""
        return (
            f"{self.path}: {self.path.stat().st_size / 1e6:.1f} MB, opset {OPSET}, probabilities "
            f"within {self.difference:.1g} of the network's"
        )


class Probability(nn.Module):
    """The mean of the probabilities of some networks.

    Args:
        networks: of images as `as_input` lays them out to logits; at least one.
        config: of them.
    """

    def __init__(self, *networks: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.config = config

    def forward(self, image: Tensor) -> Tensor:
        """Compute (b, classes, h, w) float32 probabilities, (b, classes, planes, h, w) of patches.

        Args:
            image: (b, modalities, h, w) or (b, modalities, planes, h, w) float32.
        """
        given, nesting = as_channels(image, self.config), self.config.nesting
        first, *others = (probabilities_of(network(given), nesting) for network in self.networks)
        total: Tensor = first
        for probability in others:
            total = total + probability
        return total / len(self.networks) if others else total


def export(run: Path | str, out: Path | str, *, trusted_models: Sequence[str] = ()) -> Exported:
    """Write the network of a run as ONNX; `bratstrain.export`.

    Input `image` is (batch, modality, height, width) float32, slices as `bratsprep build` prepares
    them, or (batch, modality, plane, height, width) where the run has a context or takes patches;
    output `probability` is (batch, class, height, width) float32, with the planes of a patch before
    the height. The batch is of any size; the sides are those of the run's crop window or patch, the
    only ones that it was fitted and scored on, and the model refuses others. `describe` lists the
    metadata.

    Args:
        run: run folder.
        out: file to write; an existing one is replaced.
        trusted_models: custom networks, as `package.module:function`, whose code the run may
            import.

    Raises:
        BratsError: the folder is no finished run, its network is a custom one that is not
            trusted, the file cannot be written, or onnxruntime computes other probabilities.
    """
    fitted = load_fitted([located(run)], "cpu", trusted_models)
    network = Probability(*fitted.networks, config=fitted.model).eval()
    model = describe(to_onnx(network, fitted), fitted)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    shapes = tuple((n_samples, *sample_shape(fitted)) for n_samples in (2, 1))

    def by_onnx(image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute (b, classes, ...) float32 probabilities of a (b, modalities, ...) image."""
        return np.asarray(session.run([OUTPUT], {INPUT: image})[0], np.float32)

    worst = max(difference(network, by_onnx, shape) for shape in shapes)
    if not worst <= TOLERANCE:
        raise BratsError(
            f"{out}: probabilities differ by {worst:.2g} from the network's, at most "
            f"{TOLERANCE:g} is allowed; nothing was written (torch {torch.__version__}, "
            f"onnxruntime {onnxruntime.__version__})"
        )
    with replacing(Path(out)) as file:
        file.write(content)
    return Exported(Path(out), worst, shapes)


def sample_shape(fitted: Fitted) -> tuple[int, ...]:
    """Shape of one sample of a run: modalities, then planes where there are several, h and w."""
    model, n_modalities = fitted.model, len(fitted.preparation.channels)
    if model.is_volumetric:
        return (n_modalities, *model.patch_sides)
    planes = (model.context,) if model.context > 1 else ()
    return (n_modalities, *planes, *fitted.size)


def to_onnx(network: nn.Module, fitted: Fitted) -> onnx.ModelProto:
    """Trace a network with a free batch size and the (h, w) of its run.

    Args:
        network: (b, modalities, ..., h, w) float32 to (b, classes, ..., h, w) float32.
        fitted: the run, for the size.

    Raises:
        BratsError: torch cannot export it.
    """
    image = torch.zeros(2, *sample_shape(fitted))
    with quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    if program is None:
        raise BratsError("export: torch gave no ONNX program; try another version of torch")
    return program.model_proto


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's warnings, which are about its own internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def describe(model: onnx.ModelProto, fitted: Fitted) -> onnx.ModelProto:
    """Add the meaning of the axes, and the metadata; every value of the latter is JSON.

    - `modalities`, `classes`: names, in the order of the channels.
    - `regions`: classes of each region, by their numbers.
    - `decision`: how labels follow from the probabilities, see `decision`.
    - `axes`: names of the axes of input and output.
    - `context`: planes of a sample, the one that is labelled in the middle.
    - `patch`: depth, height and width of a patch, all of which is labelled; null for planes.
    - `orientation`: directions in which column and row numbers rise.
    - `window`: height and width, voxels; centred on the box of the brain in the whole volume,
      or null where whole planes are taken.
    - `normalisation`: how intensities are scaled, see `normalisation`.
    - `spacings_mm`: voxel sizes (x, y, z) of the training cases, the most common first; empty
      where unknown.
    - `label_codes`: value of each class in the label files of the run's scheme, and `scheme`.
    - `preparation`: all settings of the slice file.
    - `run`, `slice_file_digest`, `versions`: origin.

    Args:
        model: changed in place.
        fitted: the run.

    Returns:
        The model.
    """
    metadata = {key: json.dumps(value) for key, value in metadata_of(fitted).items()}
    onnx.helper.set_model_props(model, metadata)
    for value in (*model.graph.input, *model.graph.output):
        for i, axis in enumerate(value.type.tensor_type.shape.dim):
            axis.denotation = DENOTATIONS[i] if i < len(DENOTATIONS) else FEATURE
    return model


def metadata_of(fitted: Fitted) -> dict[str, object]:
    """Collect the metadata of a run's model, which `describe` lists."""
    model = fitted.model
    upwards = {"plane": "inferior to superior"} if len(sample_shape(fitted)) > 3 else {}
    return {
        "modalities": list(fitted.preparation.channels),
        "classes": list(fitted.classes.classes),
        "regions": dict(fitted.classes.regions),
        "decision": decision(model),
        "axes": {
            INPUT: list(AXES if len(sample_shape(fitted)) == 3 else STACK_AXES),
            OUTPUT: list(PATCH_AXES if model.is_volumetric else OUTPUT_AXES),
        },
        "context": model.context,
        "patch": list(model.patch_sides) if model.is_volumetric else None,
        "orientation": {"width": "left to right", "height": "posterior to anterior"} | upwards,
        "window": None if fitted.window is None else list(fitted.window),
        "normalisation": normalisation(fitted),
        "spacings_mm": [list(size) for size in fitted.spacings[0].sizes],
        "scheme": None if fitted.scheme is None else fitted.scheme.name,
        "label_codes": label_codes(fitted.scheme),
        "preparation": json.loads(fitted.preparation.to_json()),
        "run": fitted.folders[0].resolve().name,
        "slice_file_digest": fitted.data_digest,
        "versions": versions(),
    }


def decision(model: ModelConfig) -> dict[str, object]:
    """State how a class follows from the probabilities of a voxel."""
    if not model.nesting:
        return {"rule": "the most likely class"}
    return {
        "rule": "the last class of the nesting whose probability and that of all classes after it "
        "sum to more than the threshold; class 0 where there is none",
        "nesting": list(model.nesting),
        "threshold": HALF,
    }


def normalisation(fitted: Fitted) -> dict[str, str | float]:
    """State how the intensities of a slice are scaled before the network is given them."""
    moments, dtype = as_the_network_sees(fitted.preparation)
    shared = "all modalities together" if moments == "case" else "each modality"
    return {
        "rule": "z-score",
        "moments": f"mean and standard deviation (divisor n) of {shared}",
        "over": "voxels of the whole volume that are not 0 in every modality",
        "elsewhere": 0.0,
        "rounded_to": np.dtype(dtype).name,
    }


def label_codes(scheme: Scheme | None) -> dict[str, int] | None:
    """Value of each class in the label files of a scheme; None where the scheme is unknown."""
    if scheme is None:
        return None
    return dict(zip(scheme.classes.classes, scheme.raw().tolist(), strict=True))


def difference(
    network: nn.Module, other: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, ...]
) -> float:
    """Compare the probabilities of two networks on random slices with a background of 0.

    Args:
        network: (b, modalities, ..., h, w) to (b, classes, ..., h, w) float32 tensors.
        other: likewise, of arrays.
        shape: of the image.

    Returns:
        Largest absolute difference.
    """
    generator = np.random.default_rng(0)
    image = generator.normal(size=shape).astype(np.float32)
    rows, columns = (np.abs(np.linspace(-1, 1, side)) for side in shape[-2:])
    image[..., (rows[:, None] ** 2 + columns**2) > 0.9] = 0
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    return float(np.abs(other(image) - expected).max())

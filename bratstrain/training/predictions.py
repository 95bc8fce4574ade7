"""Labels of stored planes from a network that is being fitted: slice by slice, or by case."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.threads import pool_of
from bratstrain.data.intake import Intake
from bratstrain.data.neighbours import Samples
from bratstrain.data.reading import Reading
from bratstrain.networks.outputs import labels_of, probabilities_of
from bratstrain.networks.overlap import one_hot, overlap_sums
from bratstrain.networks.windows import dense, slide
from bratstrain.ranks.group import ALONE, Group


@dataclass(frozen=True, slots=True)
class Segment:
    """A network that is being fitted."""

    logits: Callable[[Tensor], Tensor]
    """(b, m, h, w) float32, (b, m, k, h, w) with neighbours, or patches of that shape, to logits;
    in evaluation mode."""
    nesting: Sequence[int] = ()
    """What the logits are of, as in `bratstrain.networks.outputs.probabilities_of`."""

    def probabilities(self, image: Tensor) -> Tensor:
        """Compute (b, classes, ...) float32 probabilities of a (b, m, ...) float32 image."""
        return probabilities_of(self.logits(image), self.nesting)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Slices with their truth and their prediction."""

    rows: NDArray[np.int64]
    """(b,) int64, rows under /slice."""
    truth: NDArray[np.uint8]
    """(b, h, w) uint8 stored labels."""
    predicted: NDArray[np.uint8]
    """(b, h, w) uint8 stored labels."""
    overlap: NDArray[np.float64]
    """(3, classes) float64, as `bratstrain.networks.overlap.overlap_sums` gives it."""


def labelled(
    rows: NDArray[np.int64], truth: Tensor, probability: Tensor, nesting: Sequence[int]
) -> Labelled:
    """Decide for a class in each pixel, and measure the overlap of the probabilities.

    Args:
        rows: (b,) int64.
        truth: (b, h, w) uint8, on any device.
        probability: (b, classes, h, w) float32, on the device.
        nesting: as in `bratstrain.networks.outputs.labels_of`.
    """
    there = truth.to(probability.device)
    sums = torch.stack(overlap_sums(probability, one_hot(there, probability.shape[1])))
    return Labelled(
        rows,
        truth.cpu().numpy(),
        labels_of(probability, nesting).cpu().numpy(),
        sums.double().cpu().numpy(),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Slices that are labelled case by case, through windows of a network that takes patches."""

    rows: NDArray[np.int64]
    """(n,) int64, rows under /slice, rising: all of each case."""
    window: tuple[int, ...]
    """Depth, height and width of a window."""
    group: Group = ALONE
    """The ranks that the cases are dealt to."""


def by_slices(
    segment: Segment,
    file: SliceFile,
    samples: Samples,
    device: torch.device,
    batch_size: int,
) -> Generator[Labelled, None, None]:
    """Label this rank's slices in batches, reading one ahead in a thread.

    Args:
        segment: the network.
        file: open slice file.
        samples: at least one.
        device: of the network.
        batch_size: slices of a batch.
    """
    intake, rows = Intake(file, device), samples.rows
    whole = np.array_split(rows, range(batch_size, len(rows), batch_size))
    batches = samples.group.deal(whole)
    readings = [samples.reading(batch) for batch in batches]
    for (stored, label), batch, reading in zip(
        read_ahead(file, readings), batches, readings, strict=True
    ):
        read = intake(torch.from_numpy(stored).to(device), reading.rows)
        image, truth = reading.gather(read, torch.from_numpy(label))
        yield labelled(batch, truth, segment.probabilities(image), segment.nesting)


def by_cases(
    segment: Segment,
    file: SliceFile,
    cases: Cases,
    device: torch.device,
    batch_size: int,
) -> Generator[Labelled, None, None]:
    """Label this rank's cases, case after case through windows, reading one case ahead in a thread.

    Args:
        segment: the network.
        file: open slice file.
        cases: at least one.
        device: of the network.
        batch_size: windows of a batch.
    """
    intake, case = Intake(file, device), file.slices["case"][cases.rows]
    parts = cases.group.deal(np.split(cases.rows, np.flatnonzero(np.diff(case)) + 1))
    readings = [Reading(part) for part in parts]
    for (stored, label), rows in zip(read_ahead(file, readings), parts, strict=True):
        image = intake(torch.from_numpy(stored).to(device), rows)
        z = file.slices["z"][rows].astype(np.int64)
        found = slide(
            segment.probabilities,
            dense(image, z),
            cases.window,
            batch_size,
        )
        planes = found[:, torch.from_numpy(z - z[0]).to(found.device)].swapaxes(0, 1)
        yield labelled(rows, torch.from_numpy(label), planes, segment.nesting)


def read_ahead(
    file: SliceFile, readings: list[Reading]
) -> Iterator[tuple[NDArray[Any], NDArray[np.uint8]]]:
    """Read slices in order, one reading ahead, in a thread.

    Args:
        file: open slice file.
        readings: none where there are more ranks than batches.

    Yields:
        (u, m, h, w) images as stored, and (u, h, w) uint8 labels.
    """
    with pool_of(1, "slices") as pool:
        coming = deque(pool.submit(file.read, reading.rows) for reading in readings[:1])
        for following in readings[1:]:
            coming.append(pool.submit(file.read, following.rows))
            yield coming.popleft().result()
        for last in coming:
            yield last.result()

"""Connected components of a mask, and its dilation, as the lesion-wise scores take them."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def dilate(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Grow a mask by the 18 neighbours that share a face or an edge, inside the volume.

    Args:
        mask: (z, y, x) bool.
        times: rounds.

    Returns:
        (z, y, x) bool.
    """
    n_z, n_y, n_x = mask.shape
    grown = np.zeros((n_z + 2, n_y + 2, n_x + 2), np.uint8)  # a border: all have neighbours
    grown[1:-1, 1:-1, 1:-1] = mask
    for _ in range(times):
        grown = grow(grown)
    inside: NDArray[np.bool_] = grown[1:-1, 1:-1, 1:-1] != 0
    return inside


@njit(cache=True, nogil=True)
def grow(before: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grow by the 18 neighbours once; rows are joined whole, which a processor does 64 at a time.

    Args:
        before: (z + 2, y + 2, x + 2) uint8, 0 or 1, its border 0.

    Returns:
        The same form, its border 0.
    """
    n_z, n_y, _ = before.shape
    wide, after = np.zeros_like(before), np.zeros_like(before)
    for z in range(n_z):
        for y in range(n_y):
            row, out = before[z, y], wide[z, y, 1:-1]
            left, here, right = row[:-2], row[1:-1], row[2:]
            for x in range(out.size):
                out[x] = left[x] | here[x] | right[x]
    for z in range(1, n_z - 1):
        for y in range(1, n_y - 1):
            out, here = after[z, y, 1:-1], wide[z, y, 1:-1]
            a, b = wide[z - 1, y, 1:-1], wide[z + 1, y, 1:-1]
            c, d = wide[z, y - 1, 1:-1], wide[z, y + 1, 1:-1]
            e, f = before[z - 1, y - 1, 1:-1], before[z - 1, y + 1, 1:-1]
            g, h = before[z + 1, y - 1, 1:-1], before[z + 1, y + 1, 1:-1]
            for x in range(out.size):
                out[x] = here[x] | a[x] | b[x] | c[x] | d[x] | e[x] | f[x] | g[x] | h[x]
    return after


@njit(cache=True, nogil=True)
def label_components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the 26-connected components of a mask from 1, in the order of their first voxel.

    Args:
        mask: (z, y, x) bool.

    Returns:
        (z, y, x) int32, 0 outside, and how many there are.
    """
    n_z, n_y, _ = mask.shape
    span, first = find_runs(mask)
    parent = np.arange(len(span), dtype=np.int32)
    for z in range(n_z):
        for y in range(n_y):
            for k, j in ((z, y - 1), (z - 1, y - 1), (z - 1, y), (z - 1, y + 1)):
                if k >= 0 and 0 <= j < n_y:
                    join_rows_(parent, span, first[z, y], first[k, j])
    number, count = number_roots(parent)
    labels = np.zeros(mask.shape, np.int32)
    for z in range(n_z):
        for y in range(n_y):
            for i in range(first[z, y, 0], first[z, y, 1]):
                labels[z, y, span[i, 0] : span[i, 1]] = number[i]
    return labels, count


@njit(cache=True, nogil=True)
def number_roots(parent: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Number components from 1 by their first run: (r,) int32 of each run, and how many."""
    number = np.empty(parent.size, np.int32)
    count = 0
    for i in range(parent.size):
        if parent[i] == i:
            count += 1
            number[i] = count
        else:
            number[i] = number[root(parent, i)]
    return number, count


@njit(cache=True, nogil=True)
def find_runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find the unbroken runs of voxels along x.

    Args:
        mask: (z, y, x) bool.

    Returns:
        (r, 2) int32, start and stop x of each run, row after row; and (z, y, 2) int32, which runs
        are of a row, first <= run < last.
    """
    n_z, n_y, n_x = mask.shape
    span = np.empty((n_z * n_y * ((n_x + 1) // 2), 2), np.int32)
    first = np.empty((n_z, n_y, 2), np.int32)
    n = 0
    for z in range(n_z):
        for y in range(n_y):
            first[z, y, 0] = n
            row, before = mask[z, y], False
            for x in range(n_x):
                if row[x] != before:
                    span[n, 1 if before else 0] = x
                    n += 1 if before else 0
                    before = row[x]
            if before:
                span[n, 1] = n_x
                n += 1
            first[z, y, 1] = n
    return span[:n].copy(), first


@njit(cache=True, nogil=True)
def join_rows_(
    parent: NDArray[np.int32],
    span: NDArray[np.int32],
    here: NDArray[np.int32],
    before: NDArray[np.int32],
) -> None:
    """Join, in `parent`, the runs of two neighbouring rows that touch, corners included.

    Args:
        parent: (r,) int32, of each run, in place; the smallest run of a component is its root.
        span: (r, 2) int32, start and stop of each run.
        here: (2,) int32, first and last run of a row.
        before: (2,) int32, the same of a row that comes before it.
    """
    i, j = here[0], before[0]
    while i < here[1] and j < before[1]:
        if span[i, 0] <= span[j, 1] and span[j, 0] <= span[i, 1]:
            one, other = root(parent, i), root(parent, j)
            parent[max(one, other)] = min(one, other)
        if span[i, 1] < span[j, 1]:
            i += 1
        else:
            j += 1


@njit(cache=True, nogil=True)
def root(parent: NDArray[np.int32], i: int) -> int:
    """Follow a run to the smallest run of its component, and halve the path for later calls.

    Args:
        parent: (r,) int32, of each run; changed in place.
        i: a run.
    """
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def touching(
    zone: NDArray[np.int32], component: NDArray[np.int32], n_zones: int, n_components: int
) -> NDArray[np.bool_]:
    """Find which components share a voxel with which zones.

    Args:
        zone: (z, y, x) int32, 0 to n_zones.
        component: (z, y, x) int32, 0 to n_components, same shape.
        n_zones: the highest of `zone`.
        n_components: the highest of `component`.

    Returns:
        (n_zones + 1, n_components + 1) bool; row 0 and column 0, the outside, are False.
    """
    near = np.zeros((n_zones + 1, n_components + 1), np.bool_)
    one, other = zone.ravel(), component.ravel()
    for i in range(one.size):
        if one[i] and other[i]:
            near[one[i], other[i]] = True
    return near


@njit(cache=True, nogil=True)
def label_boxes(labels: NDArray[np.int32], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the box of each label, and its size.

    Args:
        labels: (z, y, x) int32, 0 to n.
        n: the highest label.

    Returns:
        (n + 1, 2, 3) int64, start and stop (z, y, x), row 0 means nothing; and (n + 1,) int64
        voxels, 0 for the outside.
    """
    n_z, n_y, n_x = labels.shape
    boxes, size = np.zeros((n + 1, 2, 3), np.int64), np.zeros(n + 1, np.int64)
    for k in range(3):
        boxes[:, 0, k] = labels.shape[k]
    for z in range(n_z):
        for y in range(n_y):
            row = labels[z, y]
            for x in range(n_x):
                if row[x]:
                    box = boxes[row[x]]
                    size[row[x]] += 1
                    box[0, 0], box[1, 0] = min(box[0, 0], z), z + 1
                    box[0, 1], box[1, 1] = min(box[0, 1], y), max(box[1, 1], y + 1)
                    box[0, 2], box[1, 2] = min(box[0, 2], x), max(box[1, 2], x + 1)
    return boxes, size


@njit(cache=True, nogil=True)
def beside(
    labels: NDArray[np.int32], others: NDArray[np.int32], n_labels: int, n_others: int
) -> NDArray[np.bool_]:
    """Find which labels of one volume are 18-neighbours of which labels of another.

    Args:
        labels: (z, y, x) int32, 0 to n_labels.
        others: (z, y, x) int32, 0 to n_others, same shape.
        n_labels: the highest of `labels`.
        n_others: the highest of `others`.

    Returns:
        (n_labels + 1, n_others + 1) bool; row 0 and column 0, the outside, are False.
    """
    n_z, n_y, n_x = labels.shape
    near = np.zeros((n_labels + 1, n_others + 1), np.bool_)
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                label = labels[z, y, x]
                if label:
                    mark_neighbours_(near[label], others, z, y, x)
    near[:, 0] = False
    return near


@njit(cache=True, nogil=True)
def mark_neighbours_(
    seen: NDArray[np.bool_], labels: NDArray[np.int32], z: int, y: int, x: int
) -> None:
    """Mark the labels of a voxel and of its 18 neighbours.

    Args:
        seen: (n + 1,) bool, by label; changed in place.
        labels: (z, y, x) int32, 0 to n.
        z: plane of the voxel.
        y: its row.
        x: its column.
    """
    n_z, n_y, n_x = labels.shape
    for dz in range(-1, 2):
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                k, j, i = z + dz, y + dy, x + dx
                is_inside = 0 <= k < n_z and 0 <= j < n_y and 0 <= i < n_x
                if is_inside and abs(dz) + abs(dy) + abs(dx) < 3:
                    seen[labels[k, j, i]] = True

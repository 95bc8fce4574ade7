"""The plain way to a fingerprint: it agrees with the fast one, and verify goes by it."""

import h5py
import numpy as np
import pytest

import bratsprep
from bratsprep.errors import SchemaError
from bratsprep.slicefile.digest import case_digest, file_digest
from bratsprep.verification.recompute_fingerprints import brain_print, close, mask_print
from bratsprep.verification.verifier import tables_of, verify
from bratsprep.volumes.fingerprint import brain_fingerprint, mask_fingerprint
from tests.helpers import slicefiles
from tests.helpers.class_sets import GLIOMA


@pytest.mark.parametrize("shape", [(9, 7, 8), (20, 26, 30), (6, 130, 140)])
def test_both_ways_give_the_same_images(shape):
    generator = np.random.default_rng(0)
    brain = generator.random(shape) < 0.6
    brain[:, :, 0] = False
    images = (generator.normal(300, 90, (4, *shape)) * brain).astype(np.float32)
    inside = images[:, brain].astype(np.float64)
    mean, std = inside.mean(axis=1), inside.std(axis=1)
    marginals = tuple(brain.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1)))
    fast = brain_fingerprint(tuple(images), brain.view(np.uint8), marginals, mean, std)
    plain = brain_print(brain, images, mean, std)
    assert np.abs(fast - plain).max() <= 1


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1.5, 2, 3), (9, 9, 9)])
def test_both_ways_give_the_same_mask(spacing):
    label = np.random.default_rng(0).integers(0, 4, (31, 40, 35)).astype(np.uint8)
    fast = mask_fingerprint(label, np.array(spacing, float), np.ones(31, bool), GLIOMA)
    assert np.abs(fast - mask_print(label, np.array(spacing, float), GLIOMA)).max() <= 0.5 + 1e-9


def test_close_keeps_what_is_stored_within_a_step():
    assert close(np.int8([3, 3, 3]), np.array([3.9, 4.1, 2.0])).tolist() == [3, 4, 3]


@pytest.mark.parametrize("name", ["fingerprint", "mask_fingerprint"])
def test_verify_finds_a_forged_fingerprint(tmp_path, name):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=1, shape=(24, 28, 20))
    out = tmp_path / "a.h5"
    bratsprep.build(raw, out, crop="24x24", workers=1)
    verify(out, raw, workers=1)
    with h5py.File(out, "r+") as file:
        file[f"case/{name}"][0, 1, 8, 8, 8] = 55
    with bratsprep.open(out) as file:
        digest = case_digest(tables_of(file, 0))
        whole = file_digest(file.config, [digest])
    with h5py.File(out, "r+") as file:
        file["case/digest"][0] = digest
        slicefiles.text(file, "digest", whole)
    with pytest.raises(SchemaError, match=f"{name} at 1, 8, 8, 8 is 55; expected "):
        verify(out, raw, workers=1)

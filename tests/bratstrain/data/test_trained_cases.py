"""Training cases that a run keeps, and what is compared with them."""

import numpy as np
import pytest

from bratsprep.errors import BratsError
from bratsprep.repeats.image_match import LEAST_VOXELS
from bratstrain.data.trained_cases import compare, read_trained, row_dtype, write_trained


def rows(n_cases, brain_voxels=LEAST_VOXELS, modalities=4):
    """Training cases T0, T1, ... with random fingerprints."""
    generator = np.random.default_rng(0)
    made = np.zeros(n_cases, row_dtype(modalities))
    made["id"] = [f"T{i}" for i in range(n_cases)]
    made["brain_voxels"] = brain_voxels
    made["fingerprint"] = generator.integers(-100, 100, made["fingerprint"].shape)
    made["fingerprint"][:, 0] = 127
    return made


def noisy(fingerprint, noise):
    """The same fingerprint with noise in all modalities."""
    generator = np.random.default_rng(1)
    made = fingerprint.astype(float)
    made[1:] += generator.normal(0, noise, made[1:].shape)
    return np.clip(made, -127, 127).astype(np.int8)


@pytest.mark.parametrize("modalities", [1, 2, 4, 5])
def test_table_comes_back_as_it_was_written(tmp_path, modalities):
    write_trained(tmp_path / "t.npy", rows(3, modalities=modalities))
    got = read_trained(tmp_path / "t.npy")
    np.testing.assert_array_equal(got, rows(3, modalities=modalities))
    assert read_trained(tmp_path / "none.npy") is None


@pytest.mark.parametrize("content", [b"", b"no table", None], ids=["empty", "text", "other"])
def test_damaged_table_is_refused(tmp_path, content):
    path = tmp_path / "t.npy"
    np.save(path, np.zeros(3)) if content is None else path.write_bytes(content)
    with pytest.raises(BratsError, match=r"t\.npy: "):
        read_trained(path)


def test_cases_are_certain_likely_or_unknown():
    trained = rows(4)
    found = compare(
        trained,
        {
            "A": noisy(trained["fingerprint"][1], 10),
            "B": noisy(trained["fingerprint"][2], 65),
            "C": rows(5)["fingerprint"][4],
        },
    )
    assert found.certain == {"A": ("T1",)}
    assert found.likely == {"B": ("T2",)}
    assert (found.n_cases, found.n_trained) == (3, 4)
    assert "with the 4 training cases" in found.line()
    assert "likely the same person: B = T2" in found.line()


def test_line_states_what_was_compared_and_that_nothing_matched():
    found = compare(rows(2), {"C": rows(5)["fingerprint"][4]})
    assert not found.certain
    assert "compared by image fingerprint with the 2 training cases of a" in found.line(" of a")
    assert "no match from 0.60" in found.line()


@pytest.mark.parametrize(
    ("trained", "prints"),
    [(rows(2), {}), (rows(2, LEAST_VOXELS - 1), {"C": rows(1)["fingerprint"][0]})],
    ids=["no case", "small brains"],
)
def test_nothing_is_compared_where_brains_are_too_small(trained, prints):
    assert "not compared by image" in compare(trained, prints).line()

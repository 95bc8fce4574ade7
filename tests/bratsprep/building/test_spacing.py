"""`build --spacing`: cases of any voxel size in one slice file, however it is built."""

import hashlib
import shutil

import numpy as np
import pytest

import bratsprep
from bratsprep.building import builder, job
from bratsprep.building.memory_budget import case_bytes
from bratsprep.config import PrepConfig
from bratsprep.discovery.discover import scan
from bratsprep.errors import BratsError, BuildError
from bratsprep.sources.source import open_source
from tests.helpers.thick import thickened

SHAPE = (44, 50, 24)
WINDOW = "48x40"


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    """Two cases of 1 mm."""
    folder = tmp_path_factory.mktemp("fine") / "raw"
    return bratsprep.phantoms(folder, cases=2, shape=SHAPE, layout="brats2020", workers=1)


@pytest.fixture(scope="module")
def mixed(fine, tmp_path_factory):
    """The same, the second one with slices of 4 mm."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copytree(fine, folder / "raw")
    thick = thickened(fine, folder / "thick", 4)
    case = sorted(path.name for path in (folder / "raw").iterdir() if path.is_dir())[1]
    shutil.rmtree(folder / "raw" / case)
    shutil.move(thick / case, folder / "raw" / case)
    return folder / "raw"


@pytest.fixture(scope="module")
def made(mixed, tmp_path_factory):
    """Slice file of the mixed cases, brought to 1 mm."""
    out = tmp_path_factory.mktemp("made") / "out.h5"
    return out, build(mixed, out)


def build(raw, out, **settings):
    return bratsprep.build(
        raw, out, **{"crop": WINDOW, "spacing": "1x1x1", "workers": 1} | settings
    )


def bytes_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_mixed_voxel_sizes_are_named_with_the_way_on(mixed, tmp_path):
    lines = "\n".join(build(mixed, tmp_path / "out.h5", spacing="source").lines())
    assert "voxel sizes differ" in lines
    assert "--spacing 1x1x1" in lines


def test_resampled_cases_are_alike_and_keep_what_they_were(made):
    out, summary = made
    assert summary.resampled == 1
    assert "voxel sizes differ" not in "\n".join(summary.lines())
    with bratsprep.open(out) as file:
        assert file.config.spacing == "1x1x1"
        np.testing.assert_array_equal(file.cases["spacing"], [[1, 1, 1], [1, 1, 1]])
        np.testing.assert_array_equal(file.cases["source_spacing"], [[1, 1, 1], [1, 1, 4]])
        np.testing.assert_array_equal(file.cases["source_shape"], [[24, 50, 44], [6, 50, 44]])
        np.testing.assert_array_equal(file.cases["shape"], [[24, 50, 44], [24, 50, 44]])


def test_case_that_has_the_spacing_is_stored_as_it_is(made, mixed, tmp_path):
    build(mixed, tmp_path / "plain.h5", spacing="source")
    with bratsprep.open(made[0]) as file, bratsprep.open(tmp_path / "plain.h5") as plain:
        first = file.cases["id"][0]
        for mine, theirs in zip(file.volume(first), plain.volume(first), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert file.cases["digest"][0] == plain.cases["digest"][0]


def test_spacing_of_the_source_is_exact(fine, tmp_path):
    """Nothing but the setting tells the two files apart."""
    build(fine, tmp_path / "asked.h5", spacing="1.0x1x1")
    build(fine, tmp_path / "plain.h5", spacing="source")
    with (
        bratsprep.open(tmp_path / "asked.h5") as asked,
        bratsprep.open(tmp_path / "plain.h5") as plain,
    ):
        for table in ("cases", "slices", "planes"):
            mine, theirs = getattr(asked, table), getattr(plain, table)
            for name in mine.dtype.names:
                np.testing.assert_array_equal(mine[name], theirs[name])
        rows = np.arange(len(plain))
        for mine, theirs in zip(asked.read(rows), plain.read(rows), strict=True):
            assert mine.tobytes() == theirs.tobytes()
        assert asked.config == PrepConfig(crop=WINDOW, spacing="1x1x1")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"spacing": "2x1.5x1"},
        {"normalise": "none", "dtype": "float32", "crop": "brain"},
        {"normalise": "case", "slices": "brain"},
    ],
    ids=lambda settings: ",".join(map(str, settings.values())) or "default",
)
def test_verify_holds_for_resampled_cases(mixed, tmp_path, settings):
    build(mixed, tmp_path / "out.h5", **settings)
    assert bratsprep.verify(tmp_path / "out.h5", mixed, workers=1).compared == 2


def test_whole_planes_have_the_size_of_the_stored_grid(fine, tmp_path):
    out = tmp_path / "out.h5"
    build(fine, out, spacing="2x1.5x1", crop="none")
    with bratsprep.open(out) as file:
        assert file.shape == (33, 22)
    assert bratsprep.verify(out, fine, workers=1).compared == 2


def test_verify_finds_a_file_that_was_resampled_otherwise(mixed, tmp_path, monkeypatch):
    monkeypatch.setattr("bratsprep.volumes.resample.THICK", 9)  # interpolates across 4 mm
    build(mixed, tmp_path / "out.h5")
    with pytest.raises(BratsError, match="from the raw files"):
        bratsprep.verify(tmp_path / "out.h5", mixed, workers=1)


def test_workers_do_not_change_the_bytes(made, mixed, tmp_path):
    build(mixed, tmp_path / "out.h5", workers=3)
    assert bytes_of(tmp_path / "out.h5") == bytes_of(made[0])


def test_interrupted_build_is_resumed_to_the_same_bytes(made, mixed, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    with monkeypatch.context() as patch:
        patch.setattr(builder, "_group", _stop)
        with pytest.raises(KeyboardInterrupt):
            build(mixed, out)
    with pytest.raises(BuildError, match="other settings"):
        build(mixed, out, spacing="1x1x2")
    assert build(mixed, out).resumed == 2
    assert bytes_of(out) == bytes_of(made[0])


def _stop(*_):
    raise KeyboardInterrupt


def test_finished_file_of_another_spacing_is_not_taken_over(made, mixed, tmp_path):
    out = tmp_path / "out.h5"
    shutil.copy(made[0], out)
    assert build(mixed, out).was_complete
    with pytest.raises(BuildError, match="spacing 1x1x1, now source"):
        build(mixed, out, spacing="source")


def test_new_case_is_added_to_a_resampled_file(mixed, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out.h5"
    shutil.copytree(mixed, raw)
    second = sorted(path for path in raw.iterdir() if path.is_dir())[1]
    shutil.move(second, tmp_path / "away")
    build(raw, out)
    shutil.move(tmp_path / "away", second)
    summary = build(raw, out)
    assert summary.changes.added == [second.name]
    assert len(summary.changes.kept) == 1
    build(raw, tmp_path / "fresh.h5")
    assert bytes_of(out) == bytes_of(tmp_path / "fresh.h5")


# Memory


def test_memory_of_a_case_follows_the_grid_it_is_brought_to(fine):
    with open_source(fine) as source:
        files = scan(source).cases[0]
        plain = case_bytes(source, files)
        assert case_bytes(source, files, (1, 1, 1)) == plain
        voxels = np.prod(SHAPE)
        finer = case_bytes(source, files, (0.5, 0.5, 0.5)) - plain
        assert finer >= 8 * voxels * (4 * 4 + 2 * 8)
        assert finer > 7 * (case_bytes(source, files, (1, 1, 0.999 / 2)) - plain) / 2


def test_build_keeps_to_the_memory_that_was_counted(mixed, tmp_path, monkeypatch):
    """Every buffer of a worker is bounded by what the headers said."""
    with open_source(mixed) as source:
        cases = scan(source).cases
        most = max(case_bytes(source, files, (1.0, 1.0, 1.0)) for files in cases)
    pools = job.pools

    def bounded(source, cases, workers, limit, spacing):
        scans, _ = pools(source, cases, workers, most, spacing)
        return scans, pools(source, cases, workers, limit, spacing)[1]

    monkeypatch.setattr(job, "pools", bounded)
    assert build(mixed, tmp_path / "out.h5").cases == 2


# What is lost


@pytest.mark.slow
def test_slices_of_3_mm_brought_back_hold_the_tumour(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=2, layout="brats2020")
    thick = thickened(raw, tmp_path / "thick", 3)
    whole = {"slices": "all", "crop": "none"}
    build(raw, tmp_path / "one.h5", spacing="source", **whole)
    build(thick, tmp_path / "back.h5", **whole)
    with bratsprep.open(tmp_path / "one.h5") as one, bratsprep.open(tmp_path / "back.h5") as back:
        for case in one.cases["id"]:
            truth, found = one.volume(case)[1][:153], back.volume(case)[1]
            for inside in ([1], [2], [3], [1, 3], [1, 2, 3]):
                ours, theirs = np.isin(truth, inside), np.isin(found, inside)
                assert 2 * np.sum(ours & theirs) / (ours.sum() + theirs.sum()) >= 0.9

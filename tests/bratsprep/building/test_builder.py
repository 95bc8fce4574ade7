import hashlib
import json
import os
import signal
import time

import h5py
import nibabel as nib
import numpy as np
import pytest

import bratsprep
from bratsprep.building.journal import Journal
from bratsprep.errors import BratsError, BuildError, LabelError
from bratsprep.slicefile.writer import SliceWriter
from tests.helpers import forks, niftis
from tests.helpers.stops import stop_after

WINDOW = "48x40"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "msd", cases=5, shape=(44, 50, 20), workers=1
    )


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "train.h5"
    bratsprep.build(raw, out, crop=WINDOW, workers=1)
    return out


def oracle(raw, case):
    """Image, label, stored planes and box of a case, by nibabel and NumPy alone."""
    image = nib.load(raw / "imagesTr" / f"{case}.nii.gz").get_fdata().T
    label = nib.load(raw / "labelsTr" / f"{case}.nii.gz").get_fdata().T
    brain = (image != 0).any(axis=0)
    inside = image[:, brain]
    moments = inside.mean(axis=1), inside.std(axis=1)
    scaled = (image - moments[0][:, None, None, None]) / moments[1][:, None, None, None]
    scaled[:, ~brain] = 0
    stored = np.select([label == 2, label == 1, label == 3], [1, 2, 3]).astype(np.uint8)
    starts = []
    for axis, window in ((1, 48), (2, 40)):
        used = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
        side = brain.shape[axis]
        starts.append(min(max((used[0] + used[-1] + 1 - window) // 2, 0), side - window))
    y, x = starts
    cut = np.s_[..., y : y + 48, x : x + 40]
    return scaled[cut], stored[cut], np.flatnonzero((stored > 0).any(axis=(1, 2))), moments


def test_images_equal_the_numpy_way_to_half_a_unit_in_the_last_place(raw, built):
    with bratsprep.open(built) as file:
        for case in ("BRATS_001", "BRATS_004"):
            image, label, z = file.volume(case)
            scaled, stored, planes, _ = oracle(raw, case)
            np.testing.assert_array_equal(z, planes)
            exact = np.moveaxis(scaled[:, planes], 0, 1)
            half_unit = np.spacing(np.abs(exact).astype(np.float16)).astype(np.float64) / 2
            assert np.all(np.abs(image.astype(np.float64) - exact) <= half_unit * (1 + 1e-9))
            np.testing.assert_array_equal(label, stored[planes])


def test_moments_equal_the_numpy_way(raw, built):
    with bratsprep.open(built) as file:
        row = file.cases[1]
        mean, std = oracle(raw, row["id"])[3]
        np.testing.assert_allclose(row["mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(row["std"], std, rtol=1e-12)


def test_plane_table_counts_every_plane(raw, built):
    with bratsprep.open(built) as file:
        label = nib.load(raw / "labelsTr" / "BRATS_001.nii.gz").get_fdata().T
        planes = file.planes[file.planes["case"] == 0]
        expected = [[(label[z] == value).sum() for value in (0, 2, 1, 3)] for z in range(20)]
        np.testing.assert_array_equal(planes["voxels"], expected)


@pytest.mark.parametrize("workers", [2, 4])
def test_bytes_do_not_depend_on_the_number_of_workers(raw, built, tmp_path, workers):
    bratsprep.build(raw, tmp_path / "out.h5", crop=WINDOW, workers=workers)
    assert digest(tmp_path / "out.h5") == digest(built)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_bytes_are_the_same_from_an_archive(raw, built, tmp_path, kind):
    packed = bratsprep.phantoms(
        tmp_path / "msd", cases=5, shape=(44, 50, 20), archive=kind, workers=1
    )
    assert packed.is_file()
    bratsprep.build(packed, tmp_path / "out.h5", crop=WINDOW, workers=2)
    assert digest(tmp_path / "out.h5") == digest(built)


def test_plain_h5py_reads_the_same_slices(built):
    with h5py.File(built) as file, bratsprep.open(built) as ours:
        for s in range(0, len(ours), 7):
            np.testing.assert_array_equal(file["slice/image"][s], ours[s][0])
            np.testing.assert_array_equal(file["slice/label"][s], ours[s][1])


@pytest.mark.parametrize("layout", ["brats2018", "brats2020", "brats2023", "nnunet", "plain"])
def test_every_layout_gives_the_same_slices(raw, tmp_path, layout):
    other = bratsprep.phantoms(
        tmp_path / "raw", cases=2, shape=(44, 50, 20), layout=layout, workers=1
    )
    bratsprep.build(other, tmp_path / "out.h5", crop=WINDOW)
    bratsprep.build(raw, tmp_path / "msd.h5", crop=WINDOW)
    with bratsprep.open(tmp_path / "out.h5") as ours, bratsprep.open(tmp_path / "msd.h5") as msd:
        for case in range(2):
            for here, there in zip(ours.volume(case), msd.volume(case), strict=True):
                np.testing.assert_array_equal(here, there)
        for column in ("voxels", "brain_voxels", "box", "brain_box", "shape"):
            np.testing.assert_array_equal(ours.cases[column], msd.cases[column][:2])


def test_real_editions_of_one_patient_give_the_same_slices(real, tmp_path):
    for name in ("Task01_BrainTumour", "BraTS2018", "BraTS2020"):
        bratsprep.build(real / name, tmp_path / f"{name}.h5")
    with bratsprep.open(tmp_path / "Task01_BrainTumour.h5") as msd:
        for case, name in (("BRATS_026", "BraTS2018"), ("BRATS_295", "BraTS2020")):
            with bratsprep.open(tmp_path / f"{name}.h5") as other:
                for here, there in zip(msd.volume(case), other.volume(0), strict=True):
                    np.testing.assert_array_equal(here, there)
                row = msd.cases[list(msd.cases["id"]).index(case)]
                for column in ("voxels", "lost_voxels", "brain_voxels", "box", "shape"):
                    np.testing.assert_array_equal(row[column], other.cases[0][column])


def test_a_finished_build_says_so(raw, built):
    before = built.stat().st_mtime_ns
    summary = bratsprep.build(raw, built, crop=WINDOW)
    assert summary.was_complete
    assert "complete already" in summary.lines()[0]
    assert built.stat().st_mtime_ns == before


def test_another_setting_does_not_replace_a_finished_file(raw, built):
    with pytest.raises(BuildError, match=r"train\.h5: was built with .*: slices tumour, now brain"):
        bratsprep.build(raw, built, crop=WINDOW, slices="brain")


def test_force_replaces_a_finished_file(raw, tmp_path):
    out = tmp_path / "out.h5"
    bratsprep.build(raw, out, crop=WINDOW)
    summary = bratsprep.build(raw, out, crop=WINDOW, slices="brain", force=True)
    assert not summary.was_complete
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "out.h5.sources"]


def test_something_else_under_the_name_is_not_replaced(raw, tmp_path):
    out = tmp_path / "notes.h5"
    out.write_text("my notes")
    with pytest.raises(BuildError, match="is no slice file"):
        bratsprep.build(raw, out)
    assert out.read_text() == "my notes"


def test_missing_folder_is_an_error(raw, tmp_path):
    with pytest.raises(BuildError, match=r"folder .* does not exist"):
        bratsprep.build(raw, tmp_path / "no" / "out.h5")


def test_a_folder_is_no_output(raw, tmp_path):
    with pytest.raises(BuildError, match="is a folder"):
        bratsprep.build(raw, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "weep"}, "on_error must be"),
        ({"workers": -1}, "at least 0"),
        ({"slices": "some"}, "slices must be"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_the_callers_fault(raw, tmp_path, settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        bratsprep.build(raw, tmp_path / "out.h5", **settings)


def test_two_builds_to_one_output_do_not_meet(raw, tmp_path):
    with (
        Journal(tmp_path / "out.h5"),
        pytest.raises(BuildError, match="being written by another process"),
    ):
        bratsprep.build(raw, tmp_path / "out.h5")


@pytest.fixture
def spoilt(tmp_path):
    folder = bratsprep.phantoms(tmp_path / "raw", cases=4, shape=(44, 50, 20), workers=1)
    image = folder / "imagesTr" / "BRATS_002.nii.gz"
    image.write_bytes(image.read_bytes()[:-2000])
    return folder


def test_a_bad_case_stops_the_build_and_nothing_has_the_final_name(spoilt, tmp_path):
    with pytest.raises(Exception, match=r"BRATS_002\.nii\.gz: gzip stream is cut short"):
        bratsprep.build(spoilt, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_a_bad_case_is_set_aside_on_request(spoilt, tmp_path):
    summary = bratsprep.build(spoilt, tmp_path / "out.h5", on_error="skip")
    assert [case.id for case in summary.skipped] == ["BRATS_002"]
    assert any("gzip stream is cut short" in line for line in summary.lines())
    with h5py.File(tmp_path / "out.h5") as file:
        assert json.loads(file.attrs["skipped"])[0]["id"] == "BRATS_002"
        assert list(file["case/id"].asstr()) == ["BRATS_001", "BRATS_003", "BRATS_004"]


def test_a_file_with_skipped_cases_is_complete_too(spoilt, tmp_path):
    bratsprep.build(spoilt, tmp_path / "out.h5", on_error="skip")
    summary = bratsprep.build(spoilt, tmp_path / "out.h5", on_error="skip")
    assert summary.was_complete
    assert len(summary.skipped) == 1


def test_no_good_case_is_an_error(tmp_path):
    folder = bratsprep.phantoms(tmp_path / "raw", cases=1, shape=(44, 50, 20), workers=1)
    image = folder / "imagesTr" / "BRATS_001.nii.gz"
    image.write_bytes(image.read_bytes()[:-2000])
    with pytest.raises(BratsError, match="every one of the 1 cases is faulty, such as BRATS_001"):
        bratsprep.build(folder, tmp_path / "out.h5", on_error="skip")


def test_a_failed_build_goes_on_where_it_was(spoilt, tmp_path):
    out = tmp_path / "out.h5"
    with pytest.raises(Exception, match="BRATS_002"):
        bratsprep.build(spoilt, out, workers=1)
    whole = bratsprep.phantoms(tmp_path / "whole", cases=4, shape=(44, 50, 20), workers=1)
    good = whole / "imagesTr" / "BRATS_002.nii.gz"
    (spoilt / "imagesTr" / "BRATS_002.nii.gz").write_bytes(good.read_bytes())
    assert bratsprep.build(spoilt, out, workers=1).resumed == 1
    bratsprep.build(whole, tmp_path / "whole.h5", workers=1)
    assert digest(out) == digest(tmp_path / "whole.h5")


def test_an_interrupted_build_with_other_settings_is_not_resumed(spoilt, tmp_path):
    out = tmp_path / "out.h5"
    with pytest.raises(Exception, match="BRATS_002"):
        bratsprep.build(spoilt, out, workers=1)
    with pytest.raises(
        BuildError, match=r"other settings was interrupted here \(margin 0, now 2\)"
    ):
        bratsprep.build(spoilt, out, workers=1, margin=2)
    summary = bratsprep.build(spoilt, out, workers=1, margin=2, force=True, on_error="skip")
    assert summary.resumed == 0


def test_a_stopped_build_is_resumed_to_the_same_bytes(raw, built, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    go_on = stop_after(monkeypatch, SliceWriter, 3)
    with pytest.raises(KeyboardInterrupt):
        bratsprep.build(raw, out, crop=WINDOW)
    assert not out.exists()
    go_on()
    summary = bratsprep.build(raw, out, crop=WINDOW)
    assert summary.resumed == 3
    assert digest(out) == digest(built)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "out.h5.sources"]


def test_a_damaged_partial_is_made_again(raw, built, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    go_on = stop_after(monkeypatch, SliceWriter, 3)
    with pytest.raises(KeyboardInterrupt):
        bratsprep.build(raw, out, crop=WINDOW)
    go_on()
    partial = tmp_path / "out.h5.partial"
    content = bytearray(partial.read_bytes())
    content[len(content) // 2 :: 64] = b"x" * len(content[len(content) // 2 :: 64])
    partial.write_bytes(content)
    assert bratsprep.build(raw, out, crop=WINDOW).resumed < 3
    assert digest(out) == digest(built)


def test_a_lost_partial_is_made_again(raw, built, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    go_on = stop_after(monkeypatch, SliceWriter, 2)
    with pytest.raises(KeyboardInterrupt):
        bratsprep.build(raw, out, crop=WINDOW)
    go_on()
    (tmp_path / "out.h5.partial").unlink()
    assert bratsprep.build(raw, out, crop=WINDOW).resumed == 0
    assert digest(out) == digest(built)


def test_a_journal_line_cut_short_is_passed_over(raw, built, tmp_path, monkeypatch):
    out = tmp_path / "out.h5"
    go_on = stop_after(monkeypatch, SliceWriter, 3)
    with pytest.raises(KeyboardInterrupt):
        bratsprep.build(raw, out, crop=WINDOW)
    go_on()
    journal = tmp_path / "out.h5.journal"
    os.truncate(journal, journal.stat().st_size - 10)
    assert bratsprep.build(raw, out, crop=WINDOW).resumed == 2
    assert digest(out) == digest(built)


@pytest.mark.slow
def test_a_build_killed_thirty_times_ends_with_the_same_content(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=20, shape=(64, 64, 48))
    started = time.monotonic()
    settings = {"workers": 2, "crop": "64x64"}
    bratsprep.build(raw, tmp_path / "whole.h5", **settings)
    whole_s = time.monotonic() - started
    out = tmp_path / "out.h5"
    generator = np.random.default_rng(0)
    kills, finished = 0, 0
    while kills < 30:
        before = _done(out)
        child = forks.begin(forks.building, raw, out, settings)
        time.sleep(generator.uniform(0, whole_s))
        kills += forks.kill(child) == -signal.SIGKILL
        if out.exists():
            bratsprep.verify(out)
            assert digest(out) == digest(tmp_path / "whole.h5")
            out.unlink()
            finished += 1
        else:
            assert _done(out) >= before
    bratsprep.build(raw, out, **settings)
    bratsprep.verify(out)
    assert digest(out) == digest(tmp_path / "whole.h5")


def _done(out):
    """Cases that the journal vouches for."""
    if not out.with_name(out.name + ".journal").exists():
        return 0
    with Journal(out) as journal:
        return len(journal.entries)


def test_ambiguous_labels_are_refused(tmp_path):
    raw = bratsprep.phantoms(
        tmp_path / "raw", cases=2, shape=(44, 50, 20), layout="plain", scheme="brats2023"
    )
    with pytest.raises(LabelError, match=r"fit .*msd.*brats2023.*choose one with --labels NAME"):
        bratsprep.build(raw, tmp_path / "out.h5")
    assert bratsprep.build(raw, tmp_path / "out.h5", labels="brats2023").schemes == ("brats2023",)


def test_unlabelled_cases_come_along_when_asked(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=2, shape=(44, 50, 20), unlabelled=1)
    assert bratsprep.build(raw, tmp_path / "a.h5", crop=WINDOW).cases == 2
    assert bratsprep.build(raw, tmp_path / "b.h5", crop=WINDOW, unlabelled=True).cases == 3
    with bratsprep.open(tmp_path / "b.h5") as file:
        assert list(file.cases["labelled"]) == [1, 1, 0]
        assert not file.volume(2)[1].any()
        brain = file.planes["brain"][file.planes["case"] == 2]
        assert len(file.volume(2)[2]) == (brain > 0).sum()


def test_max_ram_lowers_the_workers_or_refuses(raw, tmp_path):
    with pytest.raises(BuildError, match="--max-ram 100 MB is too little"):
        bratsprep.build(raw, tmp_path / "out.h5", max_ram=100 << 20)
    bratsprep.build(raw, tmp_path / "out.h5", max_ram=300 << 20, crop=WINDOW)


def test_labels_without_any_tumour_are_warned_of(tmp_path):
    images, label = niftis.phantom()
    for number in (1, 2):
        niftis.write_case(
            tmp_path / "raw", f"BraTS2021_{number:05d}", volumes=(images, np.zeros_like(label))
        )
    settings = {"crop": "8x8", "labels": "brats2017", "workers": 1}
    summary = bratsprep.build(tmp_path / "raw", tmp_path / "x.h5", **settings)
    assert any(line.startswith("WARNING") and "2 labels" in line for line in summary.lines())

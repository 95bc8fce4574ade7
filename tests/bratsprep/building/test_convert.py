import nibabel as nib
import numpy as np
import pytest

import bratsprep
from bratsprep.errors import BuildError, VolumeError

SHAPE = (44, 50, 20)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "msd", cases=2, shape=SHAPE, workers=1
    )


@pytest.fixture
def make(raw, tmp_path):
    def build(**settings):
        bratsprep.build(raw, tmp_path / "out.h5", workers=1, force=True, **settings)
        return bratsprep.open(tmp_path / "out.h5")

    return build


def planes(file, case=0):
    rows = file.planes[file.planes["case"] == case]
    return rows["brain"] > 0, rows["voxels"][:, 1:].any(axis=1)


def test_tumour_stores_the_tumour_planes(make):
    with make(slices="tumour") as file:
        np.testing.assert_array_equal(file.volume(0)[2], np.flatnonzero(planes(file)[1]))


def test_margin_stores_the_neighbours_too(make):
    with make(margin=2) as file:
        tumour = np.flatnonzero(planes(file)[1])
        near = {z + step for z in tumour for step in range(-2, 3)}
        assert set(file.volume(0)[2]) == near & set(range(20))


def test_brain_stores_every_plane_with_brain(make):
    with make(slices="brain") as file:
        np.testing.assert_array_equal(file.volume(1)[2], np.flatnonzero(planes(file, 1)[0]))


def test_all_stores_every_plane(make):
    with make(slices="all") as file:
        np.testing.assert_array_equal(file.volume(0)[2], range(20))


def test_negatives_are_a_share_of_the_tumour_free_brain_planes(make):
    with make(negatives=0.5) as file:
        brain, tumour = planes(file)
        drawn = set(file.volume(0)[2]) - set(np.flatnonzero(tumour))
        assert drawn <= set(np.flatnonzero(brain & ~tumour))
        assert len(drawn) == round(0.5 * (brain & ~tumour).sum())


def test_negatives_depend_on_the_seed(make):
    drawn = []
    for seed in (0, 0, 1, 2):
        with make(negatives=0.5, seed=seed) as file:
            drawn.append(file.slices["z"].tolist())
    assert drawn[0] == drawn[1]
    assert len({str(z) for z in drawn}) > 1


def test_none_keeps_the_integers(make, raw):
    with make(normalise="none", crop="none") as file:
        image, _, z = file.volume(0)
        source = np.asarray(nib.load(raw / "imagesTr" / "BRATS_001.nii.gz").dataobj).T
        assert image.dtype == np.int16
        np.testing.assert_array_equal(image, np.moveaxis(source[:, z], 0, 1))


def test_case_has_one_scale_over_all_modalities(make):
    with make(normalise="case", slices="brain", dtype="float32") as file:
        image, _, _ = file.volume(0)
        inside = image[np.broadcast_to((image != 0).any(axis=1, keepdims=True), image.shape)]
        assert inside.mean() == pytest.approx(0, abs=1e-4)
        assert inside.std() == pytest.approx(1, abs=1e-4)


def test_modality_scales_each_for_itself(make):
    with make(slices="brain", dtype="float32") as file:
        image, _, _ = file.volume(0)
        brain = (image != 0).any(axis=1)
        for m in range(4):
            inside = image[:, m][brain]
            assert inside.mean() == pytest.approx(0, abs=1e-4)
            assert inside.std() == pytest.approx(1, abs=1e-4)


def test_float32_is_the_rounded_zscore(make):
    with make(dtype="float32") as file, make(dtype="float16") as half:
        np.testing.assert_array_equal(file.volume(0)[0].astype(np.float16), half.volume(0)[0])


def test_window_larger_than_the_volume_is_padded_with_zeros(make):
    with make() as file:
        assert file.shape == (192, 160)
        image, label, _ = file.volume(0)
        (_, y, x), (_, y_stop, x_stop) = file.cases[0]["box"]
        assert (y, x, y_stop, x_stop) == (-71, -58, 121, 102)
        inside = np.zeros((192, 160), bool)
        inside[71:121, 58:102] = True
        assert not image[..., ~inside].any()
        assert not label[:, ~inside].any()
        assert label.any()
        assert not file.cases[0]["lost_voxels"].any()


def test_a_small_window_counts_what_it_loses(make):
    with make(crop="16x16", slices="all") as file, make(crop="none", slices="all") as whole:
        for case in range(2):
            label, kept = whole.volume(case)[1], file.volume(case)[1]
            lost = [(label == c).sum() - (kept == c).sum() for c in (1, 2, 3)]
            brain = [(part.volume(case)[0] != 0).any(axis=1).sum() for part in (whole, file)]
            assert file.cases[case]["lost_voxels"].tolist() == [brain[0] - brain[1], *lost]
            assert lost != [0, 0, 0]


def test_brain_is_the_smallest_window_that_loses_nothing(make):
    with make(crop="brain") as file:
        boxes = file.cases["brain_box"]
        sides = (boxes[:, 1, 1:] - boxes[:, 0, 1:]).max(axis=0)
        assert file.shape == tuple(-(-side // 16) * 16 for side in sides)
        assert not file.cases["lost_voxels"].any()


@pytest.mark.parametrize("compression", ["small", "none"])
def test_compression_changes_no_voxel_and_no_digest(make, compression):
    with make() as fast:
        expected, digest = fast.volume(0), fast.digest
    with make(compression=compression) as file:
        for here, there in zip(file.volume(0), expected, strict=True):
            np.testing.assert_array_equal(here, there)
        assert file.digest == digest


def test_whole_planes_must_be_of_one_size(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=1, shape=SHAPE, layout="brats2020")
    other = bratsprep.phantoms(tmp_path / "other", cases=2, shape=(40, 50, 20), layout="brats2020")
    (other / "BraTS20_Training_002").rename(raw / "BraTS20_Training_002")
    with pytest.raises(BuildError, match=r"BraTS20_Training_002: plane is 50 x 40"):
        bratsprep.build(raw, tmp_path / "out.h5", crop="none")


def test_numbers_that_do_not_fit_int16_are_refused(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=1, shape=SHAPE, dtype="float32")
    path = raw / "imagesTr" / "BRATS_001.nii.gz"
    volume = nib.load(path)
    nib.save(nib.Nifti1Image(volume.get_fdata(dtype=np.float32) * 0.3, volume.affine), path)
    with pytest.raises(VolumeError, match="does not fit int16"):
        bratsprep.build(raw, tmp_path / "out.h5", normalise="none")
    bratsprep.build(raw, tmp_path / "out.h5", normalise="none", dtype="float32", force=True)

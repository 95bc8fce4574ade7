"""Brain masks: what lies outside of them is background, and what cannot be one is refused."""

import numpy as np
import pytest

import bratsprep
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError, LayoutError, NiftiError, SchemaError, VolumeError
from tests.helpers.brain_masks import (
    PATTERN,
    add_heads,
    add_masks,
    brain_of,
    cases_of,
    images_of,
    read,
    stripped,
    unstripped,
    write,
)

FIRST = "BraTS20_Training_001"


@pytest.fixture
def raw(tmp_path):
    return unstripped(tmp_path / "raw")


def build(raw, name="a.h5", **settings):
    out = raw.parent / name
    settings = {"crop": "32x32", "workers": 1, "repeats": "off", **settings}
    return bratsprep.build(raw, out, **settings), out


def test_unstripped_scan_with_its_mask_gives_the_slices_of_the_stripped_one(raw, tmp_path):
    _, plain = build(stripped(tmp_path / "stripped"), "../plain.h5")
    summary, masked = build(raw, brain_mask=PATTERN)
    assert not summary.unusual
    with bratsprep.SliceFile(plain) as one, bratsprep.SliceFile(masked) as other:
        for name in ("mean", "std", "brain_voxels", "brain_box", "box", "fingerprint"):
            np.testing.assert_array_equal(one.cases[name], other.cases[name])
        np.testing.assert_array_equal(one.slices["crc"], other.slices["crc"])
        assert [source.count("_bet_mask.nii.gz") for source in other.cases["source"]] == [1, 1]
    assert bratsprep.verify(masked, raw, workers=1)


def test_mask_is_in_the_mapping_and_in_a_dry_run(raw):
    summary, _ = build(raw, brain_mask=PATTERN)
    dry = bratsprep.dry_run(raw, brain_mask=PATTERN)
    for lines in (summary.lines(), dry.lines()):
        assert "brain    *_bet_mask.nii.gz  2 of 2" in lines
    assert "brain" not in [line.split(" ")[0] for line in bratsprep.dry_run(raw).lines()]


@pytest.mark.parametrize("settings", [{}, {"dtype": np.float32}, {"value": 255}])
def test_mask_may_be_of_any_type_and_value(tmp_path, settings):
    raw = stripped(tmp_path / "raw", cases=1)
    add_masks(raw, **settings)
    add_heads(raw)
    _, out = build(raw, brain_mask=PATTERN)
    with bratsprep.SliceFile(out) as file:
        assert file.cases["brain_voxels"][0] == np.count_nonzero(brain_of_mask(raw))


def brain_of_mask(raw):
    """Mask of the first case, (x, y, z)."""
    return read(cases_of(raw)[0] / f"{FIRST}_bet_mask.nii.gz")[0]


def test_part_of_the_brain_outside_the_mask_is_background(raw):
    path = cases_of(raw)[0] / f"{FIRST}_bet_mask.nii.gz"
    mask, affine = read(path)
    half = mask.copy()
    half[:, :, : mask.shape[2] // 2] = 0
    write(path, half, affine)
    _, out = build(raw, brain_mask=PATTERN, slices="brain")
    with bratsprep.SliceFile(out) as file:
        assert file.cases["brain_voxels"][0] == np.count_nonzero(half) < np.count_nonzero(mask)
        images, _, z = file.volume(FIRST)
        assert not images[z < mask.shape[2] // 2].any()
    bratsprep.verify(out, raw, workers=1)


def test_nan_outside_the_mask_is_background_and_inside_is_refused(raw):
    case = cases_of(raw)[0]
    mask, affine = read(case / f"{FIRST}_bet_mask.nii.gz")
    voxels = read(images_of(case)[1])[0].astype(np.float32)
    write(images_of(case)[1], np.where(mask == 0, np.nan, voxels), affine)
    build(raw, brain_mask=PATTERN)
    x, y, z = np.argwhere(mask)[0]
    voxels[x, y, z] = np.nan
    write(images_of(case)[1], voxels, affine)
    with pytest.raises(VolumeError, match=f"{FIRST} t1w: holds NaN"):
        build(raw, "b.h5", brain_mask=PATTERN)


def test_case_without_a_mask_is_refused_by_name(raw):
    (cases_of(raw)[1] / "BraTS20_Training_002_bet_mask.nii.gz").unlink()
    message = r"BraTS20_Training_002: brain mask is missing; .*'\*_bet_mask.nii.gz'"
    with pytest.raises(LayoutError, match=message):
        build(raw, brain_mask=PATTERN)
    summary, _ = build(raw, brain_mask=PATTERN, on_error="skip")
    assert [case.id for case in summary.skipped] == ["BraTS20_Training_002"]


def change(raw, edit, shift=0.0):
    """Change the mask of the first case."""
    path = cases_of(raw)[0] / f"{FIRST}_bet_mask.nii.gz"
    mask, affine = read(path)
    affine = affine.copy()
    affine[0, 3] += shift
    write(path, edit(mask), affine)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (np.zeros_like, "every voxel of the brain mask is 0"),
        (lambda mask: mask + (np.cumsum(mask).reshape(mask.shape) % 2).astype(np.uint8) * mask,
         r"holds \[0, 1, 2\]; a brain mask has one value beside 0"),
        (lambda mask: 1 - mask, "the images are not 0|the brain mask fills 8|fills 9"),
        (np.ones_like, "the brain mask fills 100.0 % of the volume"),
        (lambda mask: np.where(np.cumsum(mask).reshape(mask.shape) < 100, mask, 0),
         "the brain mask fills 0.4 % of the volume"),
    ],
    ids=["empty", "two values", "inverted", "full", "tiny"],
)  # fmt: skip
def test_mask_that_no_brain_has_is_refused(raw, edit, message):
    change(raw, edit)
    with pytest.raises(VolumeError, match=rf"{FIRST}_bet_mask.nii.gz: .*({message})"):
        build(raw, brain_mask=PATTERN)


def test_mask_of_other_images_is_refused(tmp_path):
    raw = stripped(tmp_path / "raw")
    add_masks(raw)
    change(raw, lambda mask: np.roll(mask, 14, axis=0))
    with pytest.raises(VolumeError, match=r"the images are not 0 in .* % of the brain mask"):
        build(raw, brain_mask=PATTERN)


def test_mask_lies_on_the_grid_of_the_images(raw):
    change(raw, lambda mask: mask, shift=3)
    with pytest.raises(NiftiError, match=r"bet_mask.*differ by 3 mm.*--same-grid"):
        build(raw, brain_mask=PATTERN)
    _, out = build(raw, brain_mask=PATTERN, same_grid=True)
    bratsprep.verify(out, raw, workers=1)
    change(raw, lambda mask: mask[1:])
    with pytest.raises(NiftiError, match="--same-grid needs the same"):
        build(raw, "b.h5", brain_mask=PATTERN, same_grid=True)


def test_mask_turned_like_its_images(raw):
    for path in raw.rglob("*.nii.gz"):
        voxels, affine = read(path)
        turned = affine[:, [1, 2, 0, 3]]
        write(path, np.ascontiguousarray(voxels.transpose(1, 2, 0)), turned)
    _, out = build(raw, brain_mask=PATTERN)
    bratsprep.verify(out, raw, workers=1)


def test_verify_finds_a_mask_that_changed(raw):
    _, out = build(raw, brain_mask=PATTERN)
    change(raw, lambda mask: np.roll(mask, 1, axis=0))
    with pytest.raises(SchemaError, match=r"bet_mask\.nii\.gz: is .*was built from"):
        bratsprep.verify(out, raw, workers=1)


def test_changed_mask_is_built_again_and_others_are_kept(raw):
    build(raw, brain_mask=PATTERN)
    change(raw, lambda mask: np.where(np.arange(mask.shape[0])[:, None, None] == 16, 0, mask))
    summary, out = build(raw, brain_mask=PATTERN)
    assert list(summary.changes.rebuilt) == [FIRST]
    assert "bet_mask.nii.gz" in summary.changes.rebuilt[FIRST]
    fresh, _ = build(raw, "fresh.h5", brain_mask=PATTERN)
    assert fresh.digest == summary.digest
    bratsprep.verify(out, raw, workers=1)


def test_memory_for_the_mask_is_counted(raw):
    with pytest.raises(BratsError, match="--max-ram"):
        build(raw, brain_mask=PATTERN, max_ram=1 << 20)
    summary, _ = build(raw, brain_mask=PATTERN, max_ram=2 << 30)
    assert summary.cases == 2


def test_inspect_and_twins_read_unstripped_scans_with_masks(raw):
    with pytest.raises(VolumeError, match="--brain-mask PATTERN"):
        bratsprep.inspect(raw, images=True, workers=1)
    masked = bratsprep.inspect(raw, images=True, brain_mask=PATTERN, workers=1)
    assert all(row.mean for row in masked.rows)
    page = bratsprep.inspect_page(raw, raw.parent / "a.html", brain_mask=PATTERN, workers=1)
    assert page.rows[0].mean == masked.rows[0].mean
    with pytest.raises(VolumeError, match="--brain-mask PATTERN"):
        bratsprep.twins(raw, workers=1)
    assert len(bratsprep.twins(raw, brain_mask=PATTERN, workers=1).members) == 2


def test_inspect_and_twins_take_the_background_of_the_user(tmp_path):
    raw = stripped(tmp_path / "raw")
    for case in cases_of(raw):
        for path in images_of(case):
            voxels, affine = read(path)
            write(path, np.where(brain_of(case)[0], voxels, 77), affine)
            break
    plain = bratsprep.inspect(raw, images=True, background="77", workers=1)
    count = bratsprep.inspect(raw, images=True, background="any", workers=1)
    assert plain.rows[0].mean != count.rows[0].mean
    assert len(bratsprep.twins(raw, background="77", workers=1).members) == 2


@pytest.mark.parametrize("verb", [bratsprep.inspect, bratsprep.twins])
@pytest.mark.parametrize(
    "setting",
    [{"label_name": "*_x.nii.gz"}, {"brain_mask": PATTERN}, {"same_grid": True},
     {"background": "any"}],
    ids=lambda setting: next(iter(setting)),
)  # fmt: skip
def test_settings_of_raw_files_are_refused_for_a_slice_file(verb, setting, tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=f"{next(iter(setting))} .* has no effect on"):
        verb(path, **setting)


def test_background_without_effect_is_refused(raw):
    with pytest.raises(ValueError, match="background any has no effect where no images are read"):
        bratsprep.inspect(raw, background="any")
    for verb in (bratsprep.twins, bratsprep.inspect):
        with pytest.raises(ValueError, match="background any has no effect with brain_mask"):
            verb(raw, background="any", brain_mask=PATTERN)
    with pytest.raises(ValueError, match="has no effect with brain_mask"):
        build(raw, background="0", brain_mask=PATTERN)
    with pytest.raises(ValueError, match="brain_mask must be a pattern"):
        PrepConfig(brain_mask="")


def test_json_without_a_mask_does_not_name_it():
    assert "brain_mask" not in PrepConfig().to_json()
    masked = PrepConfig(brain_mask=PATTERN)
    assert PrepConfig.from_json(masked.to_json()) == masked

import gzip
import json
import shutil
import zlib

import h5py
import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

import bratsprep
from bratsprep.errors import LayoutError, NiftiError, SchemaError
from bratsprep.slicefile.digest import case_digest, file_digest
from bratsprep.verification.verifier import tables_of, verify
from tests.helpers import slicefiles

NAMES = ("flair", "t1", "t1ce", "t2")
SHAPE = (9, 11, 7)
"""(x, y, z) of the RAS+ volumes."""
FIRST, SECOND = "BraTS20_Training_001", "BraTS20_Training_002"
PAIR = [(NAMES[m], m) for m in range(4)]


def volumes(seed):
    """Images (4, x, y, z) int16 with a brain that is off centre, and a BraTS 2020 label."""
    generator = np.random.default_rng(seed)
    images = np.zeros((4, *SHAPE), np.int16)
    images[:, 2:8, 1:9, 1:6] = generator.integers(20, 900, (4, 6, 8, 5))
    label = np.zeros(SHAPE, np.uint8)
    label[3:6, 2:6, 2:5] = 2
    label[4, 3:5, 3] = 4
    label[5, 3, 2:4] = 1
    return images, label


def write(path, array, codes="RAS", kind=nib.Nifti1Image):
    """Write a RAS+ array in another orientation."""
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    affine = np.diag([1.0, 1.0, 2.0, 1.0]) @ inv_ornt_aff(turn, array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(kind(nib.apply_orientation(array, turn), affine), path)


def write_case(root, case, codes="LPS", suffix=".nii.gz", parts=None, label=True):
    """Write a BraTS 2020 case folder."""
    images, truth = parts or volumes(sum(case.encode()))
    for name, image in zip(NAMES, images, strict=True):
        write(root / case / f"{case}_{name}{suffix}", image, codes)
    if label:
        write(root / case / f"{case}_seg{suffix}", truth, codes)
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two cases and their slice file, to be copied by whoever changes them."""
    folder = tmp_path_factory.mktemp("made")
    write_case(folder / "raw", FIRST)
    write_case(folder / "raw", SECOND, "RAS")
    bratsprep.build(folder / "raw", folder / "out.h5", workers=1, crop="8x6")
    return folder


@pytest.fixture
def pair(made, tmp_path):
    """A slice file and its raw folder, free to be changed."""
    shutil.copytree(made, tmp_path / "pair")
    return tmp_path / "pair" / "out.h5", tmp_path / "pair" / "raw"


def change(path, dataset, change_):
    """Change one dataset of a slice file; the function gives its new values."""
    with h5py.File(path, "r+") as file:
        if h5py.check_string_dtype(file[dataset].dtype) is None:
            file[dataset][:] = change_(file[dataset][:])
        else:
            slicefiles.texts(file, dataset, change_(file[dataset].asstr()[:]))


def forge(path):
    """Make checksums and digests agree with whatever the slices now hold."""
    with h5py.File(path, "r+") as file:
        parts = zip(file["slice/image"][:], file["slice/label"][:], strict=True)
        file["slice/crc"][:] = [[zlib.crc32(image), zlib.crc32(label)] for image, label in parts]
    with bratsprep.open(path) as file:
        digests = [case_digest(tables_of(file, c)) for c in range(len(file.cases))]
        whole = file_digest(file.config, digests)
    with h5py.File(path, "r+") as file:
        file["case/digest"][:] = digests
        slicefiles.text(file, "digest", whole)


def rewrite_chunk(path, dataset, row, change_):
    """Replace one slice by a chunk that inflates well: only its CRC-32 can tell."""
    with h5py.File(path, "r+") as file:
        values = file[dataset][row]
        change_(values)
        size = values.dtype.itemsize
        shuffled = values.reshape(-1).view(np.uint8).reshape(-1, size).T.tobytes()
        place = (row,) + (0,) * values.ndim
        file[dataset].id.write_direct_chunk(place, zlib.compress(shuffled))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file[dataset][row], values)


def edit_raw(path, change_):
    """Change voxels of a raw file and pack it again."""
    plain = bytearray(gzip.decompress(path.read_bytes()))
    image = nib.Nifti1Image.from_bytes(bytes(plain))
    voxels = np.asarray(image.dataobj).copy(order="F")
    change_(voxels)
    plain[352:] = voxels.tobytes(order="F")
    path.write_bytes(gzip.compress(bytes(plain)))


def accept_raw(path, raw):
    """Write the raw files' present sizes and checksums into a slice file."""
    change(path, "case/source", lambda texts: [renewed(text, raw) for text in texts])


def renewed(text, raw):
    """The same list of files with sizes and checksums as they are now."""
    found = []
    for part in json.loads(text):
        content = next(raw.rglob(part["name"])).read_bytes()
        found.append(part | {"size": len(content), "crc32": zlib.crc32(content)})
    return json.dumps(found)


def test_verify_counts_what_it_checked(made):
    checked = verify(made / "out.h5", made / "raw", workers=2)
    assert (checked.cases, checked.slices, checked.files, checked.compared) == (2, 6, 10, 2)
    assert str(checked) == "6 slices of 2 cases, 10 raw files, 2 cases voxel by voxel"


def test_verify_without_raw_files_says_so(made):
    assert str(verify(made / "out.h5", workers=1)) == "6 slices of 2 cases"


@pytest.mark.parametrize(
    "settings",
    [
        {"normalise": "case", "crop": "brain", "slices": "brain"},
        {"normalise": "none", "crop": "none", "slices": "all"},
        {"dtype": "float32", "crop": "16x4", "margin": 1, "compression": "none"},
        {"crop": "7x20", "negatives": 0.5, "seed": 3, "compression": "small"},
    ],
    ids=["case", "none", "float32", "negatives"],
)
def test_verify_holds_for_all_settings(made, tmp_path, settings):
    bratsprep.build(made / "raw", tmp_path / "out.h5", workers=1, **settings)
    assert verify(tmp_path / "out.h5", made / "raw", workers=1).compared == 2


@pytest.mark.parametrize("codes", ["RAS", "LPI", "PIR", "SAL"])
def test_verify_holds_for_any_orientation(tmp_path, codes):
    raw = write_case(tmp_path / "raw", FIRST, codes, ".nii")
    bratsprep.build(raw, tmp_path / "out.h5", workers=1, crop="8x8")
    assert verify(tmp_path / "out.h5", raw, workers=1).compared == 1


def test_verify_holds_for_one_4d_file_of_nifti_2(tmp_path):
    images, label = volumes(1)
    raw = tmp_path / "raw"
    kind = nib.Nifti2Image
    write(raw / "imagesTr" / "BRATS_001.nii.gz", np.moveaxis(images, 0, -1) / 3, kind=kind)
    write(raw / "labelsTr" / "BRATS_001.nii.gz", np.where(label == 4, 3, label), kind=kind)
    bratsprep.build(raw, tmp_path / "out.h5", workers=1, crop="8x8")
    assert verify(tmp_path / "out.h5", raw, workers=1).files == 2


def test_verify_holds_for_intensities_whose_mean_is_nearly_0(tmp_path):
    bratsprep.phantoms(tmp_path / "raw", cases=1, layout="kaggle-slices", shape=(24, 24, 16))
    bratsprep.build(tmp_path / "raw", tmp_path / "a.h5", crop="16x16", background="any", workers=1)
    assert verify(tmp_path / "a.h5", tmp_path / "raw").compared == 1


def test_verify_holds_for_unlabelled_cases(tmp_path):
    raw = write_case(tmp_path / "raw", FIRST, label=False)
    bratsprep.build(raw, tmp_path / "out.h5", workers=1, unlabelled=True)
    assert verify(tmp_path / "out.h5", raw, workers=1).slices == 5


def test_verify_holds_without_any_slice(tmp_path):
    images, label = volumes(0)
    raw = write_case(tmp_path / "raw", FIRST, parts=(images, label * 0))
    bratsprep.build(raw, tmp_path / "out.h5", workers=1)
    assert verify(tmp_path / "out.h5", raw, workers=1).slices == 0


@pytest.mark.slow
def test_verify_holds_for_a_real_case(real, tmp_path):
    raw = real / "BraTS2018"
    bratsprep.build(raw, tmp_path / "out.h5", workers=2)
    assert verify(tmp_path / "out.h5", raw, workers=2).compared == 1


def test_verify_takes_a_build_that_left_a_case_out(tmp_path):
    raw = write_case(tmp_path / "raw", FIRST)
    broken = write_case(raw, SECOND) / SECOND / f"{SECOND}_t2.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-20])
    bratsprep.build(raw, tmp_path / "out.h5", workers=1, on_error="skip")
    assert verify(tmp_path / "out.h5", raw, workers=1).cases == 1


@pytest.mark.parametrize(
    ("chosen", "compared"),
    [({"sample": 1}, 1), ({"cases": [SECOND]}, 1), ({"sample": 9}, 2), ({}, 2)],
    ids=["sample", "named", "many", "all"],
)
def test_verify_compares_the_chosen_cases(made, chosen, compared):
    assert verify(made / "out.h5", made / "raw", workers=1, **chosen).compared == compared


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"raw": "raw", "cases": ["X"]}, "holds no case X"),
        ({"raw": "raw", "sample": -1}, "at least 0, got 0 and -1"),
        ({"workers": -1}, "at least 0, got -1 and 0"),
        ({"sample": 1}, "name their folder"),
    ],
    ids=["case", "sample", "workers", "raw"],
)
def test_verify_refuses_the_call(made, words, message):
    raw = {"raw": made / words.pop("raw")} if "raw" in words else {}
    with pytest.raises(ValueError, match=message):
        verify(made / "out.h5", **raw, **words)


def test_verify_finds_one_changed_voxel_of_a_raw_file(pair):
    out, raw = pair
    edit_raw(raw / FIRST / f"{FIRST}_t1ce.nii.gz", lambda voxels: np.add.at(voxels, (4, 4, 3), 1))
    with pytest.raises(SchemaError, match=rf"{FIRST}_t1ce.nii.gz: is .* was built from"):
        verify(out, raw, workers=1)


def test_verify_finds_a_changed_raw_file_of_a_case_that_is_not_compared(pair):
    out, raw = pair
    edit_raw(raw / SECOND / f"{SECOND}_seg.nii.gz", lambda voxels: np.add.at(voxels, (4, 4, 3), 1))
    with pytest.raises(SchemaError, match="get the file again, or build again"):
        verify(out, raw, sample=1, workers=1)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: cut_off(folder / f"{FIRST}_t1.nii.gz"),
        lambda folder: (folder / f"{FIRST}_t2.nii.gz").unlink(),
        shutil.rmtree,
    ],
    ids=["cut", "modality", "folder"],
)
def test_verify_of_a_case_ignores_faults_of_others(pair, spoil):
    out, raw = pair
    spoil(raw / FIRST)
    verified = verify(out, raw, cases=[SECOND], workers=1)
    assert (verified.files, verified.compared) == (5, 1)


def test_verify_names_the_fault_of_a_case_that_cannot_be_put_together(pair):
    out, raw = pair
    (raw / SECOND / f"{SECOND}_t2.nii.gz").unlink()
    with pytest.raises(LayoutError, match=f"{SECOND}: t2w is missing"):
        verify(out, raw, cases=[SECOND], workers=1)


def put(voxels, place, value):
    """Set one voxel."""
    voxels[place] = value


def swap(voxels, one, two):
    """Exchange two voxels: no sum changes."""
    voxels[one], voxels[two] = voxels[two], voxels[one]


@pytest.mark.parametrize(("name", "m"), PAIR)
def test_verify_names_the_voxel_where_checksums_are_forged(pair, name, m):
    out, raw = pair
    before = volumes(sum(SECOND.encode()))[0][m]
    edit_raw(
        raw / SECOND / f"{SECOND}_{name}.nii.gz",
        lambda voxels: swap(voxels, (5, 4, 3), (6, 4, 3)),
    )
    accept_raw(out, raw)
    brain = before[2:8, 1:9, 1:6].astype(float)
    scores = ((before[[5, 6], 4, 3] - brain.mean()) / brain.std()).astype(np.float16)
    modality = ("flair", "t1w", "t1gd", "t2w")[m]
    with pytest.raises(SchemaError) as caught:
        verify(out, raw, workers=1)
    assert (
        f"case {SECOND}, plane 3, {modality}, voxel (y 4, x 5): is {scores[0]}; "
        f"expected {scores[1]}, from the raw files" in str(caught.value)
    )


def test_verify_names_the_label_voxel_where_checksums_are_forged(pair):
    out, raw = pair
    label = raw / SECOND / f"{SECOND}_seg.nii.gz"
    edit_raw(label, lambda voxels: swap(voxels, (5, 3, 3), (3, 2, 3)))
    accept_raw(out, raw)
    message = r"plane 3, label, voxel \(y 2, x 3\): is 2; expected 1"
    with pytest.raises(SchemaError, match=message):
        verify(out, raw, workers=1)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("flair", (4, 4, 3), 901, "mean at 0 is"),
        ("seg", (3, 2, 2), 1, "voxels of the classes by plane at 2, 1 is 1; expected 2"),
    ],
    ids=["image", "label"],
)
def test_verify_names_the_sum_where_checksums_are_forged(pair, name, place, value, message):
    out, raw = pair
    edit_raw(raw / SECOND / f"{SECOND}_{name}.nii.gz", lambda voxels: put(voxels, place, value))
    accept_raw(out, raw)
    with pytest.raises(SchemaError, match=message):
        verify(out, raw, workers=1)


@pytest.mark.parametrize("dataset", ["slice/image", "slice/label"])
def test_verify_finds_one_changed_voxel_of_the_slice_file(pair, dataset):
    out, _ = pair

    def flip(values):
        values[..., 4, 3] = values[..., 4, 3] == 0

    rewrite_chunk(out, dataset, 4, flip)
    message = rf"case {SECOND}, plane 3: checksum of image and label at \d is \d+; expected "
    with pytest.raises(SchemaError, match=message):
        verify(out, workers=2)


def test_verify_finds_a_slice_whose_checksums_are_forged(pair):
    out, raw = pair

    def next_half(values):
        values[2, 4, 3] = np.nextafter(values[2, 4, 3], np.float16(9))

    rewrite_chunk(out, "slice/image", 0, next_half)
    forge(out)
    assert verify(out, workers=1).slices == 6
    with pytest.raises(SchemaError, match=rf"case {FIRST}, plane 2, t1gd, voxel \(y 5, x 5\): is "):
        verify(out, raw, workers=1)


def test_verify_finds_a_label_that_is_not_counted(pair):
    out, _ = pair
    rewrite_chunk(out, "slice/label", 0, lambda values: values.fill(3))
    forge(out)
    message = "count of each label at 0 is 0; expected "
    with pytest.raises(SchemaError, match=message):
        verify(out, workers=1)


def test_verify_finds_a_label_beyond_the_classes(pair):
    out, _ = pair
    rewrite_chunk(out, "slice/label", 0, lambda values: values.fill(9))
    forge(out)
    with pytest.raises(SchemaError, match=r"count of each label is \[.*\]; expected "):
        verify(out, workers=1)


def add_one(values):
    """Count the last number up."""
    values.reshape(-1)[-1] += 1
    return values


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("plane/brain", "case/brain_voxels is 240; expected 241"),
        ("plane/voxels", "case/voxels at 3 is 2; expected 3"),
        ("case/voxels", "case/voxels at 3 is 3; expected 2"),
        ("case/lost_voxels", "case/lost_voxels of tumour at 2 is 1; expected 0"),
        ("case/box", "size of case/box at 2 is 7; expected 6"),
        ("slice/voxels", "case/lost_voxels of tumour at 2 is 0; expected -1"),
        ("case/mean", "case/digest is [0-9a-f]{64}; expected [0-9a-f]{64}"),
        ("slice/crc", "case/digest is"),
    ],
)
def test_verify_finds_a_changed_table(pair, dataset, message):
    out, _ = pair
    change(out, dataset, add_one)
    with pytest.raises(SchemaError, match=f"case {SECOND}: {message}"):
        verify(out, workers=1)


def test_verify_finds_a_scheme_without_a_label(pair):
    out, _ = pair
    change(out, "case/labelled", lambda values: values * 0)
    with pytest.raises(SchemaError, match="whether it has a scheme is True; expected False"):
        verify(out, workers=1)


def test_verify_finds_a_brain_box_that_is_moved(pair):
    out, _ = pair
    change(out, "case/brain_box", lambda boxes: boxes + 1)
    with pytest.raises(SchemaError, match="case/brain_box in z at 0 is 2; expected 1"):
        verify(out, workers=1)


def test_verify_finds_a_changed_text(pair):
    out, _ = pair
    change(out, "case/subject", lambda names: [f"{name}x" for name in names])
    with pytest.raises(SchemaError, match=f"case {FIRST}: case/digest is"):
        verify(out, workers=1)


def test_verify_finds_a_subject_that_names_and_images_do_not_give(pair):
    out, raw = pair
    change(out, "case/subject", lambda names: [f"{name}x" for name in names])
    forge(out)
    assert verify(out, workers=1)
    with pytest.raises(SchemaError, match=f"case {FIRST}: subject is .*x; expected .*raw files"):
        verify(out, raw, workers=1)


def test_verify_does_not_judge_subjects_of_a_table(pair, tmp_path):
    _, raw = pair
    (tmp_path / "who.csv").write_text(f"case,subject\n{FIRST},somebody\n")
    out = tmp_path / "named.h5"
    bratsprep.build(raw, out, crop="8x6", workers=1, subjects=tmp_path / "who.csv")
    assert verify(out, raw, workers=1).compared


def test_verify_finds_a_changed_digest(pair):
    out, _ = pair
    with h5py.File(out, "r+") as file:
        slicefiles.text(file, "digest", "0" * 64)
    with pytest.raises(SchemaError, match=r"out.h5: digest is 0{64}; expected "):
        verify(out, workers=1)


def test_verify_finds_slices_of_another_size_than_the_settings(pair):
    out, _ = pair
    with h5py.File(out, "r+") as file:
        slicefiles.text(file, "config", file.attrs["config"].decode().replace("8x6", "8x7"))
    with pytest.raises(SchemaError, match="slices: size at 1 is 6; expected 7"):
        verify(out, workers=1)


@pytest.mark.parametrize("text", ["{", '[{"name": "x"}]', "[1]", "1"])
def test_verify_finds_a_broken_list_of_raw_files(pair, text):
    out, _ = pair
    change(out, "case/source", lambda texts: [text] * len(texts))
    with pytest.raises(SchemaError, match=r"case/source is .*; expected name, size and crc32"):
        verify(out, workers=1)


def test_verify_finds_a_raw_file_too_many(pair):
    out, raw = pair
    change(out, "case/source", lambda texts: [json.dumps(json.loads(t)[1:]) for t in texts])
    with pytest.raises(SchemaError, match=r"number of raw files is 4; expected 5, from .*raw"):
        verify(out, raw, workers=1)


def test_verify_finds_raw_files_with_fewer_cases(pair):
    out, raw = pair
    shutil.rmtree(raw / SECOND)
    message = f"raw: 1 cases of .*out.h5 are missing, such as {SECOND}; name the raw files"
    with pytest.raises(SchemaError, match=message):
        verify(out, raw, workers=1)


def test_verify_finds_raw_files_with_more_cases(pair):
    out, raw = pair
    write_case(raw, "BraTS20_Training_003")
    message = "out.h5: 1 cases of .*raw are missing, such as BraTS20_Training_003"
    with pytest.raises(SchemaError, match=message):
        verify(out, raw, workers=1)


def test_verify_names_a_raw_file_that_cannot_be_unpacked(pair):
    out, raw = pair
    broken = raw / SECOND / f"{SECOND}_t1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-20])
    accept_raw(out, raw)
    with pytest.raises(NiftiError, match=f"{SECOND}_t1.nii.gz: cannot be unpacked"):
        verify(out, raw, workers=1)


def test_verify_refuses_what_is_no_slice_file(tmp_path):
    (tmp_path / "out.h5").write_text("no HDF5")
    with pytest.raises(SchemaError, match="cannot be read as HDF5"):
        verify(tmp_path / "out.h5")


def test_verify_refuses_raw_files_without_a_case(made, tmp_path):
    with pytest.raises(LayoutError, match="holds no case"):
        verify(made / "out.h5", tmp_path)

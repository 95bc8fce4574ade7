"""MetaImage files: voxels and places as SimpleITK has them, and broken ones refused."""

import numpy as np
import pytest

from bratsprep.errors import NiftiError, SourceError
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.verification.recompute import read_nifti
from bratsprep.volumes.nifti import intensities, load, read_header

itk = pytest.importorskip("SimpleITK")

TURNS = {
    "LPS": np.eye(3),
    "RAS": np.diag([-1.0, -1.0, 1.0]),
    "permuted": np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]]),
    "oblique": np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]),
}


def written(path, dtype="int16", turn=TURNS["LPS"], is_packed=False):
    """Write a volume with SimpleITK; give the image."""
    voxels = np.arange(5 * 4 * 3).reshape(5, 4, 3).astype(dtype)
    image = itk.GetImageFromArray(voxels)
    image.SetSpacing((1.0, 0.5, 2.0))
    image.SetOrigin((3.0, -7.0, 11.0))
    image.SetDirection(turn.ravel().tolist())
    itk.WriteImage(image, str(path), useCompression=is_packed)
    return image


def loaded(path):
    with open_source(path.parent) as source:
        header, voxels, _ = load(source, path.name, Buffers(), "slot")
        return header, intensities(voxels, header).copy()


def refusal(path, error=NiftiError):
    with pytest.raises(error) as caught:
        loaded(path)
    return str(caught.value)


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("turn", TURNS)
def test_voxels_stand_where_simpleitk_puts_them(tmp_path, turn, is_packed):
    image = written(tmp_path / "a.mha", turn=TURNS[turn], is_packed=is_packed)
    header, voxels = loaded(tmp_path / "a.mha")
    np.testing.assert_array_equal(voxels, itk.GetArrayFromImage(image))
    for place in ((0, 0, 0), (2, 3, 4), (1, 0, 2)):
        right, front, up = (header.geometry.affine @ (*place, 1))[:3]
        lps = image.TransformIndexToPhysicalPoint(place)
        np.testing.assert_allclose((-right, -front, up), lps, atol=1e-9)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
def test_every_voxel_type_is_read(tmp_path, dtype):
    image = written(tmp_path / "a.mha", dtype, is_packed=True)
    np.testing.assert_array_equal(loaded(tmp_path / "a.mha")[1], itk.GetArrayFromImage(image))


@pytest.mark.parametrize("is_packed", [False, True])
def test_verification_reads_the_same(tmp_path, is_packed):
    image = written(tmp_path / "a.mha", turn=TURNS["permuted"], is_packed=is_packed)
    voxels, affine = read_nifti("a.mha", (tmp_path / "a.mha").read_bytes())
    np.testing.assert_array_equal(voxels.transpose(2, 1, 0), itk.GetArrayFromImage(image))
    np.testing.assert_array_equal(affine, loaded(tmp_path / "a.mha")[0].geometry.affine)


def test_big_endian_voxels_are_read(tmp_path):
    image = written(tmp_path / "a.mha")
    head, mark, voxels = (tmp_path / "a.mha").read_bytes().partition(b"LOCAL\n")
    head = head.replace(b"MSB = False", b"MSB = True")
    swapped = np.frombuffer(voxels, "<i2").astype(">i2").tobytes()
    (tmp_path / "a.mha").write_bytes(head + mark + swapped)
    np.testing.assert_array_equal(loaded(tmp_path / "a.mha")[1], itk.GetArrayFromImage(image))


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        (b"ElementDataFile = LOCAL", b"ElementDataFile = a.raw", "a.raw"),
        (b"ElementDataFile = LOCAL", b"Nothing = 1", "missing"),
        (b"MET_SHORT", b"MET_LONG", "MET_LONG"),
        (b"DimSize = 3 4 5", b"DimSize = 3 4", "has 3 numbers, expected 2"),
        (b"DimSize = 3 4 5", b"DimSize = 0 4 5", "(0, 4, 5)"),
        (b"DimSize = 3 4 5", b"DimSize = 9999 9999 9999", "voxels"),
        (b"DimSize = 3 4 5", b"DimSize = 300 400 500", "promises"),
        (b"ElementSpacing = 1 0.5 2", b"ElementSpacing = 1 x 2", "could not convert"),
        (b"ElementSpacing = 1 0.5 2", b"ElementSpacing = 1 0 2", "no transform"),
        (b"BinaryData = True", b"BinaryData = False", "text"),
    ],
)
def test_broken_headers_are_refused(tmp_path, old, new, fact):
    written(tmp_path / "a.mha")
    content = (tmp_path / "a.mha").read_bytes()
    assert content.count(old) == 1
    (tmp_path / "a.mha").write_bytes(content.replace(old, new))
    message = refusal(tmp_path / "a.mha")
    assert "a.mha" in message
    assert fact in message


def test_a_2d_image_is_refused(tmp_path):
    itk.WriteImage(itk.GetImageFromArray(np.zeros((40, 40), np.int16)), str(tmp_path / "a.mha"))
    assert "2 dimensions" in refusal(tmp_path / "a.mha")


@pytest.mark.parametrize(("drop", "add"), [(9, b""), (0, b""), (40, b"x" * 40)])
def test_broken_streams_are_refused(tmp_path, drop, add):
    written(tmp_path / "a.mha", is_packed=True)
    content = (tmp_path / "a.mha").read_bytes()
    if not drop:
        content = content.replace(b"DimSize = 3 4 5", b"DimSize = 3 4 4")
    (tmp_path / "a.mha").write_bytes(content[: len(content) - drop] + add)
    assert "a.mha" in refusal(tmp_path / "a.mha", SourceError)


def test_a_header_alone_is_enough_for_the_geometry(tmp_path):
    written(tmp_path / "a.mha", is_packed=True)
    with open_source(tmp_path) as source:
        assert read_header(source, "a.mha").geometry.shape == (3, 4, 5)

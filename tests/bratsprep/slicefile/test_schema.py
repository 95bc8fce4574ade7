"""A file that keeps the contract passes; each kind of fault is named."""

import json
import re
import shutil

import h5py
import numpy as np
import pytest

import bratsprep
from bratsprep.config import USUAL_MODALITIES, PrepConfig
from bratsprep.errors import SchemaError
from bratsprep.slicefile import schema
from bratsprep.slicefile.schema import Sizes
from tests.helpers import niftis, slicefiles
from tests.helpers.class_sets import GLIOMA, ONE, SCHEME

SETTINGS = {"crop": "6x4", "slices": "brain"}


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """A slice file of two cases, as `build` makes it."""
    root = tmp_path_factory.mktemp("schema")
    for seed, name in enumerate(("BraTS2021_00001", "BraTS2021_00002")):
        niftis.write_case(root / "raw", name, volumes=niftis.phantom(seed))
    bratsprep.build(root / "raw", root / "out.h5", workers=1, **SETTINGS)
    return root / "out.h5"


@pytest.fixture
def file(valid, tmp_path):
    """A copy to break."""
    path = tmp_path / "out.h5"
    shutil.copy(valid, path)
    with h5py.File(path, "r+") as opened:
        yield opened


def put(file, path, values):
    """Replace a dataset; texts keep a fixed length."""
    kind = h5py.check_string_dtype(file[path].dtype)
    if kind is not None and np.asarray(values).dtype.kind == "S":
        values = np.array(values, h5py.string_dtype("utf-8", values.dtype.itemsize))
    del file[path]
    file.create_dataset(path, data=values, dtype=getattr(values, "dtype", None))


def changed(file, path, index, value):
    """Replace one element of a dataset."""
    values = file[path][:]
    values[index] = value
    put(file, path, values)


def refusal(file):
    with pytest.raises(SchemaError) as caught:
        schema.check(file)
    message = str(caught.value)
    assert message.startswith(f"{file.filename}: ")
    return message.removeprefix(f"{file.filename}: ")


def test_check_gives_the_settings_of_the_build(file):
    assert schema.check(file).config == PrepConfig(**SETTINGS)


def test_check_gives_modalities_classes_and_schemes(file):
    described = schema.check(file)
    assert described.modalities == USUAL_MODALITIES
    assert described.classes == GLIOMA
    assert described.schemes == {"brats2017": SCHEME}
    assert described.sizes == Sizes(4, 4)


def test_check_passes_a_file_without_slices(file):
    for column in schema.COLUMNS:
        if column.table == "slice":
            put(file, column.path, file[column.path][:0])
    schema.check(file)


def test_check_names_a_file_that_is_no_slice_file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        assert refusal(file) == "is no slice file; make one with 'bratsprep build'"


@pytest.mark.parametrize("version", [1, schema.VERSION + 1])
def test_check_names_another_version(file, version):
    file.attrs["version"] = version
    assert refusal(file) == (
        f"is version {version} of the slice file, this program reads {schema.VERSION}; "
        "build it again"
    )


@pytest.mark.parametrize("version", ["one", [1, 2]], ids=str)
def test_check_names_a_version_that_is_no_number(file, version):
    file.attrs["version"] = version
    assert f"of the slice file, this program reads {schema.VERSION}; " in refusal(file)


def test_check_names_a_missing_version(file):
    del file.attrs["version"]
    assert refusal(file).startswith("is version 0 of the slice file")


@pytest.mark.parametrize("name", [n for n in schema.ATTRIBUTES if n not in ("format", "version")])
def test_check_names_a_missing_attribute(file, name):
    del file.attrs[name]
    assert refusal(file) == f"root attribute {name!r} is missing"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "Expecting property name"),
        ('{"shade": 1}', "unknown setting shade"),
        ('{"margin": -1}', "margin must be 0 to 32767"),
        ("[]", ""),
        ("5", ""),
        ("[" * 2000, ""),
    ],
)
def test_check_names_settings_that_cannot_be_read(file, config, message):
    slicefiles.text(file, "config", config)
    assert refusal(file).startswith(f"attribute 'config' cannot be read: {message}")


@pytest.mark.parametrize("text", ["{", "5", "[3]", "null", '{"classes": 3}', "[" * 2000])
@pytest.mark.parametrize("name", ["classes", "schemes"])
def test_check_names_classes_and_schemes_that_cannot_be_read(file, name, text):
    slicefiles.text(file, name, text)
    assert refusal(file).startswith(f"attribute {name!r} cannot be read: ")


@pytest.mark.parametrize("text", ["{", "5", "null"])
def test_check_names_modalities_that_cannot_be_read(file, text):
    slicefiles.text(file, "modalities", text)
    assert refusal(file).startswith("attribute 'modalities' cannot be read: ")


@pytest.mark.parametrize("names", [[], [f"m{i}" for i in range(17)]], ids=len)
def test_check_names_a_number_of_modalities_that_no_file_has(file, names):
    slicefiles.text(file, "modalities", json.dumps(names))
    assert refusal(file) == f"names {len(names)} modalities; expected 1 to 16"


def test_check_names_modalities_that_the_settings_do_not_say(file):
    slicefiles.text(file, "modalities", json.dumps(["flair", "t1w", "t1gd", "t1gd"]))
    message = refusal(file)
    assert "flair,t1w,t1gd,t1gd" in message
    assert "flair,t1w,t1gd,t2w" in message


def test_check_names_fewer_classes_than_the_rows_have(file):
    slicefiles.text(file, "classes", ONE.classes.to_json())
    assert refusal(file).startswith("rows of /slice/voxels are (4,), expected ")


@pytest.mark.parametrize("name", ["format", "config", "modalities", "classes", "schemes", "digest"])
@pytest.mark.parametrize("value", ["text", 5, [1.5, 2]], ids=str)
def test_check_refuses_an_attribute_that_is_no_text_of_a_fixed_length(file, name, value):
    file.attrs[name] = value
    assert refusal(file) == f"attribute {name!r} is no text of a fixed length; build again"


@pytest.mark.parametrize("name", ["format", "config", "digest"])
def test_check_refuses_an_attribute_that_is_no_utf8(file, name):
    file.attrs.create(name, b"\xff\xfe", dtype=h5py.string_dtype("utf-8", 2))
    assert refusal(file).startswith(f"attribute {name!r} is no UTF-8")


TEXTS = [column for column in schema.COLUMNS if column.dtype == "str"]


@pytest.mark.parametrize("column", TEXTS, ids=lambda column: column.path)
def test_check_refuses_texts_of_any_length_unread(file, column):
    values = file[column.path].asstr()[:]
    del file[column.path]
    file.create_dataset(column.path, data=values, dtype=h5py.string_dtype())
    assert refusal(file) == f"/{column.path} is str of any length, expected str"


@pytest.mark.parametrize(
    ("texts", "size"), [([], 1), ([""], 1), (["abc", "d"], 3), (["ü€", "abcd"], 5)], ids=str
)
def test_texts_have_the_length_of_the_longest_in_bytes(texts, size):
    kind = schema.text_dtype(texts)
    assert h5py.check_string_dtype(kind) == ("utf-8", size)


@pytest.mark.parametrize("text", ["", "a", "ü" * 40, "x" * 60_000])
def test_attribute_of_any_text_comes_back(tmp_path, text):
    with h5py.File(tmp_path / "x.h5", "w", libver=("v110", "v110")) as file:
        schema.write_text(file, "config", text)
        assert schema._text(file, "config", "x") == text


@pytest.mark.parametrize("column", schema.COLUMNS, ids=lambda column: column.path)
def test_check_names_a_missing_dataset(file, column):
    del file[column.path]
    assert refusal(file) == f"dataset /{column.path} is missing"


def test_check_names_a_group_in_the_place_of_a_dataset(file):
    del file["case/mean"]
    file.create_group("case/mean")
    assert refusal(file) == "dataset /case/mean is missing"


@pytest.mark.parametrize("column", schema.COLUMNS, ids=lambda column: column.path)
def test_check_names_a_wrong_type(file, column):
    put(file, column.path, np.zeros(file[column.path].shape, "<u8"))
    allowed = "<f2 or <f4 or <i2" if column is schema.IMAGE else column.dtype
    assert refusal(file) == f"/{column.path} is <u8, expected {allowed}"


def test_check_names_big_endian_numbers(file):
    put(file, "case/mean", file["case/mean"][:].astype(">f8"))
    assert refusal(file) == "/case/mean is >f8, expected <f8"


def test_check_names_an_image_type_that_the_settings_do_not_say(file):
    put(file, "slice/image", file["slice/image"][:].astype("<f4"))
    assert refusal(file) == "/slice/image is <f4, its settings say <f2"


@pytest.mark.parametrize(
    "column", [c for c in schema.COLUMNS if c.row and c.dtype != "str"], ids=lambda c: c.path
)
def test_check_names_a_wrong_row(file, column):
    put(file, column.path, file[column.path][:][:, :-1][..., None])
    message = rf"rows of /{column.path} are \(.*\), expected {re.escape(str(column.row))}"
    assert re.fullmatch(message, refusal(file))


def test_check_names_a_row_of_another_size(file):
    put(file, "case/spacing", np.zeros((2, 4), "<f4"))
    assert refusal(file) == "rows of /case/spacing are (4,), expected (3,)"


def test_check_names_a_table_that_is_one_number(file):
    put(file, "slice/z", np.int16(3))
    assert refusal(file) == "rows of /slice/z are (), expected ()"


def test_check_names_an_empty_dataset(file):
    put(file, "slice/z", h5py.Empty("<i2"))
    assert refusal(file) == "rows of /slice/z are (), expected ()"


def test_check_names_labels_of_another_size(file):
    put(file, "slice/label", file["slice/label"][:, :5])
    assert refusal(file) == "slices are (6, 4) but labels (5, 4); they must agree"


@pytest.mark.parametrize("path", ["slice/z", "plane/brain", "case/std"])
def test_check_names_tables_of_different_length(file, path):
    n_rows = len(file[path])
    put(file, path, file[path][:-1])
    message = refusal(file)
    assert message.startswith(f"rows under /{path.split('/')[0]} differ: {{")
    assert f"'{path}': {n_rows - 1}" in message
    assert message.endswith("; they must agree")


@pytest.mark.parametrize("ids", [["b", "a"], ["a", "a"]], ids=["order", "repeat"])
def test_check_names_ids_that_are_not_sorted(file, ids):
    file["case/id"][:] = ids
    assert refusal(file) == "/case/id is not sorted without repeats"


@pytest.mark.parametrize("table", ["slice", "plane"])
@pytest.mark.parametrize(("index", "value"), [(0, -1), (-1, 2)])
def test_check_names_a_case_that_is_not_there(file, table, index, value):
    changed(file, f"{table}/case", index, value)
    assert refusal(file) == f"/{table}/case names a row beyond the 2 cases"


@pytest.mark.parametrize("table", ["slice", "plane"])
@pytest.mark.parametrize(("index", "value"), [(0, -1), (-1, 6)])
def test_check_names_a_plane_that_is_not_there(file, table, index, value):
    changed(file, f"{table}/z", index, value)
    assert refusal(file) == f"/{table}/z names a plane beyond its volume"


@pytest.mark.parametrize("table", ["slice", "plane"])
@pytest.mark.parametrize("values", [[1, 0], [0, 0]], ids=["falling", "twice"])
def test_check_names_planes_out_of_order(file, table, values):
    changed(file, f"{table}/z", slice(0, 2), values)
    assert refusal(file) == f"rows under /{table} are not in rising case and z"


def test_check_names_cases_out_of_order(file):
    put(file, "plane/case", file["plane/case"][:][::-1].copy())
    assert refusal(file) == "rows under /plane are not in rising case and z"


# The columns themselves


@pytest.mark.parametrize(
    "values",
    [{"case": 0, "z": 1, "brain": 2}, {"case": 0, "z": 1, "brain": 2, "voxels": 3, "x": 4}],
)
def test_rows_without_a_column_or_with_another_are_refused(values):
    with pytest.raises(ValueError, match=r"rows of /plane must have the columns.*check (voxels|x)"):
        schema.make_rows("plane", Sizes(4, 4), 2, **values)


def test_rows_take_one_value_for_all_or_one_each():
    rows = schema.make_rows(
        "plane", Sizes(2, 4), 2, case=7, z=[3, 4], brain=0, voxels=[[1, 2, 3, 4]] * 2
    )
    assert [rows[name].tolist() for name in ("case", "z", "brain")] == [[7, 7], [3, 4], [0, 0]]
    np.testing.assert_array_equal(rows["voxels"], [[1, 2, 3, 4]] * 2)


def test_every_column_stands_in_the_documentation():
    written = re.findall(r"^    /(\S+)", schema.__doc__, re.MULTILINE)
    assert written == [column.path for column in schema.COLUMNS]


@pytest.mark.parametrize("table", ["slice", "plane", "case"])
def test_row_dtype_has_a_field_for_every_small_column(table):
    dtype = schema.row_dtype(table, Sizes(2, 7))
    paths = [f"{table}/{name}" for name in dtype.names]
    big = (schema.IMAGE, schema.LABEL)
    assert paths == [c.path for c in schema.COLUMNS if c.table == table and c not in big]


@pytest.mark.parametrize(
    ("table", "name", "kind", "shape"),
    [
        ("slice", "crc", "u4", (2,)),
        ("slice", "voxels", "i4", (7,)),
        ("plane", "voxels", "i4", (7,)),
        ("case", "affine", "f8", (4, 4)),
        ("case", "id", "O", ()),
        ("case", "present", "u1", (2,)),
        ("case", "std", "f8", (2,)),
        ("case", "lost_voxels", "i8", (7,)),
        ("case", "fingerprint", "i1", (3, 16, 16, 16)),
    ],
)
def test_row_dtype_keeps_type_and_shape(table, name, kind, shape):
    field = schema.row_dtype(table, Sizes(2, 7))[name]
    assert (field.base, field.shape) == (np.dtype(kind), shape)


def test_attributes_are_readable_by_hand(file):
    assert json.loads(file.attrs["config"])["crop"] == "6x4"
    assert file.attrs["format"].decode() == schema.FORMAT
    assert json.loads(file.attrs["modalities"]) == list(USUAL_MODALITIES)
    assert list(json.loads(file.attrs["schemes"])) == ["brats2017"]

"""A full disk at every write, and no permission to write: our own error, and a rerun goes on."""

import hashlib
import shutil
import subprocess

import pytest

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from tests.helpers import studies
from tests.helpers.fitfiles import (
    SMALL,
    content,
    one_thread,  # noqa: F401  for every test here
)

SETTINGS = SMALL | {"steps": 6, "validate_steps": 3, "checkpoint_steps": 2}
KB = 1024


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "raw", cases=6, shape=(32, 32, 16), workers=1
    )


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "small.h5"
    bratsprep.build(raw, out, workers=1, crop="32x32")
    return out


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    bratstrain.fit(data, folder, **SETTINGS)
    return folder


def mount(*arguments):
    """Mount, or skip the test where that is not allowed."""
    tool = shutil.which("mount")
    done = tool and subprocess.run([tool, *map(str, arguments)], capture_output=True, check=False)
    if not done or done.returncode:
        pytest.skip("a file system cannot be mounted here")


@pytest.fixture
def disk(tmp_path):
    """A function that makes, or resizes, or locks a small file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = []

    def sized(kilobytes, *, locked=False):
        how = f"size={kilobytes}k,{'ro' if locked else 'rw'}"
        if made:
            mount("-o", f"remount,{how}", folder)
        else:
            mount("-t", "tmpfs", "-o", how, "tmpfs", folder)
            made.append(folder)
        return folder

    yield sized
    for each in made:
        subprocess.run([shutil.which("umount"), "-l", each], check=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kilobytes", [4, 24, 60, 110, 160, 230])
def test_build_on_a_full_disk_goes_on_when_there_is_room(raw, data, disk, kilobytes):
    out = disk(kilobytes) / "small.h5"
    with pytest.raises(BratsError, match=r"cannot be written"):
        bratsprep.build(raw, out, workers=1, crop="32x32")
    assert not out.exists()
    disk(20_000)
    bratsprep.build(raw, out, workers=1, crop="32x32")
    assert digest(out) == digest(data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's
@pytest.mark.parametrize("kilobytes", [4, 8, 12, 16, 60, 150, 220, 300, 400])
def test_fit_on_a_full_disk_goes_on_when_there_is_room(data, whole, disk, kilobytes):
    run = disk(kilobytes) / "run"
    with pytest.raises(BratsError, match=r"cannot be (written|used)"):
        bratstrain.fit(data, run, **SETTINGS)
    disk(20_000)
    bratstrain.fit(data, run, **SETTINGS)
    assert content(run / "last.pt") == content(whole / "last.pt")
    assert content(run / "best.pt") == content(whole / "best.pt")


@pytest.mark.parametrize("kilobytes", [4, 12])
def test_predict_on_a_full_disk_leaves_nothing_half_done(raw, whole, disk, kilobytes):
    out = disk(kilobytes) / "predicted"
    with pytest.raises(BratsError, match="cannot be written"):
        bratstrain.predict(whole, raw, out, probabilities=True)
    disk(20_000)
    done = bratstrain.predict(whole, raw, out, probabilities=True, force=True)
    cases = [
        name
        for each in done.cases
        for name in (each.path.name, f"{each.case}_probabilities.nii.gz")
    ]
    once = ["msd.ctbl", "msd.label", "volumes.csv"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*cases, *once])


@pytest.mark.parametrize("kilobytes", [4, 8])
def test_evaluate_on_a_full_disk_says_so(raw, whole, disk, kilobytes):
    out = disk(kilobytes) / "tables"
    with pytest.raises(BratsError, match="cannot be written"):
        bratstrain.evaluate(whole, raw=raw, out=out, planes=True)
    disk(20_000)
    assert bratstrain.evaluate(whole, raw=raw, out=out, planes=True).table.rows


@pytest.mark.parametrize("archive", ["", "tar", "tar.gz", "zip"])
@pytest.mark.parametrize("kilobytes", [4, 24, 60, 140])
def test_phantoms_on_a_full_disk_are_made_when_there_is_room(raw, disk, kilobytes, archive):
    place = disk(kilobytes) / "raw"
    settings = {"cases": 6, "shape": (32, 32, 16), "archive": archive}
    with pytest.raises(BratsError, match="cannot be written: No space left on device"):
        bratsprep.phantoms(place, **settings)
    disk(20_000)
    made = bratsprep.phantoms(place, **settings)
    if not archive:
        names = [path.relative_to(raw) for path in sorted(raw.rglob("*.nii.gz"))]
        assert [digest(made / name) for name in names] == [digest(raw / name) for name in names]
    assert not list(made.parent.glob("*.partial"))


VERBS = {
    "phantom": lambda f, raw, data, run: bratsprep.phantoms(f / "raw", cases=1, shape=(8, 8, 8)),
    "build": lambda f, raw, data, run: bratsprep.build(raw, f / "x", workers=1, crop="32x32"),
    "fit": lambda f, raw, data, run: bratstrain.fit(data, f / "x", **SETTINGS),
    "predict": lambda f, raw, data, run: bratstrain.predict(run, raw, f / "x"),
    "evaluate": lambda f, raw, data, run: bratstrain.evaluate(run, raw=raw, out=f / "x"),
    "preview": lambda f, raw, data, run: bratsprep.preview(data, None, f / "x.png"),
    "plot": lambda f, raw, data, run: bratsprep.plot_balance(bratsprep.inspect(data), f / "x.png"),
    "page": lambda f, raw, data, run: bratsprep.inspect_page(data, f / "x.html", workers=1),
    "twins": lambda f, raw, data, run: bratsprep.twins(data, workers=1).write(f / "x.csv"),
    "report": lambda f, raw, data, run: bratstrain.report(run, data=data, out=f / "x.html"),
    "compare": lambda f, raw, data, run: compare(f, data, run),
    "export": lambda f, raw, data, run: bratstrain.export(run, f / "x.onnx"),
    "study": lambda f, raw, data, run: study(f, raw),
}
"""All that write, into a folder."""
each_verb = pytest.mark.parametrize("verb", [
    pytest.param(verb, marks=pytest.mark.slow) if verb in ("export", "study") else verb
    for verb in VERBS
])  # fmt: skip


def compare(folder, data, run):
    """Hold a run against a copy of it."""
    shutil.copytree(run, run.parent / "copy", dirs_exist_ok=True)
    bratstrain.compare([run, run.parent / "copy"], data=data, out=folder / "x.html")


def study(folder, raw):
    """Begin a study of a file beside the raw folder."""
    bratstrain.study(studies.written(raw.parent), raw=raw, out=folder / "x")


@each_verb
def test_no_permission_to_write_is_said(raw, data, whole, disk, verb):
    folder = disk(1_000, locked=True)
    with pytest.raises(BratsError, match=r"cannot be (written|used)|no folder can be made"):
        VERBS[verb](folder, raw, data, whole)


@pytest.mark.parametrize("verb", ["preview", "plot", "page", "twins", "report", "compare"])
def test_page_on_a_full_disk_is_not_left_half_done(raw, data, whole, disk, verb):
    folder = disk(4)
    (folder / "other").write_bytes(bytes(4096))
    with pytest.raises(BratsError, match="cannot be written"):
        VERBS[verb](folder, raw, data, whole)
    assert [path.name for path in folder.iterdir()] == ["other"]


def test_source_on_a_locked_disk_is_read(raw, data, disk, tmp_path):
    folder = disk(20_000)
    shutil.copytree(raw, folder / "raw")
    disk(20_000, locked=True)
    bratsprep.build(folder / "raw", tmp_path / "x.h5", workers=1, crop="32x32")
    assert digest(tmp_path / "x.h5") == digest(data)

"""A study of two modalities and six classes, which no release has."""

import pytest

import bratsprep
import bratstrain
from tests.helpers.class_sets import SIX
from tests.helpers.class_sets import written as scheme_written
from tests.helpers.fitfiles import one_thread  # noqa: F401  a fixture of this module
from tests.helpers.studies import FILE, written

pytestmark = pytest.mark.slow

MODALITIES = ("t1w", "t2w")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of the study, and what came of it."""
    folder = tmp_path_factory.mktemp("six")
    toml = scheme_written(folder)
    raw = bratsprep.phantoms(
        folder / "raw", cases=6, shape=(32, 32, 16), layout="nnunet", scheme=str(toml),
        modalities=",".join(MODALITIES), workers=1,
    )  # fmt: skip
    text = FILE.replace("[build]", f'[build]\nmodalities = "{",".join(MODALITIES)}"')
    done = bratstrain.study(
        written(folder, text), raw, folder / "out", labels=toml, workers=1, device="cpu", threads=1
    )
    return folder, done


def test_every_experiment_is_scored_by_the_classes_of_the_scheme(finished):
    _, done = finished
    assert [each.experiment.name for each in done.study.outcomes] == ["leaky", "plain", "case-norm"]
    for outcome in done.study.outcomes:
        for evaluation in (outcome.validation, outcome.held_out):
            assert evaluation.classes == SIX.classes
            assert set(evaluation.order) == {*SIX.classes.parts, *SIX.classes.means}


def test_slice_files_have_the_modalities_of_the_study(finished):
    folder, _ = finished
    files = [*folder.rglob("*.h5")]
    assert files
    for path in files:
        with bratsprep.open(path) as file:
            assert file.modalities == MODALITIES
            assert file.classes == SIX.classes


def test_study_has_its_table_and_page(finished):
    folder, _ = finished
    pages = [path.read_text() for path in folder.rglob("*.html")]
    assert pages
    assert any("cyst" in page for page in pages)

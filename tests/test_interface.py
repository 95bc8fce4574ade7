"""The public interface: names, keywords, kinds of error, and what a command loads."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import click
import pytest

import bratsprep
import bratsprep.cli
import bratsprep.config as prep
import bratstrain
import bratstrain.apply_config as apply
import bratstrain.commands.cli
import bratstrain.config as train
from bratsprep import part
from bratsprep.settings import keywords
from tests.helpers import niftis, nnunet_results

ROOT = Path(__file__).parent.parent
PACKAGES = [bratsprep, bratstrain]
TYPED = [
    (prep.PrepSettings, [prep.PrepConfig]),
    (part.PartSettings, [part.PartConfig]),
    (prep.PhantomSettings, [prep.PhantomConfig]),
    (train.ModelSettings, [train.ModelConfig]),
    (train.TrainSettings, [train.TrainConfig]),
    (train.SessionSettings, [train.Session]),
    (train.RunSettings, [train.ModelConfig, train.TrainConfig]),
    (train.FitSettings, [train.ModelConfig, train.TrainConfig, train.Session]),
    (apply.ApplySettings, [apply.ApplyConfig]),
    (apply.ScoreSettings, [apply.ScoreConfig]),
    (apply.ReportSettings, [apply.ReportConfig]),
    (apply.EvaluateSettings, [apply.ApplyConfig, apply.ReportConfig]),
    (apply.FilesSettings, [apply.FilesConfig]),
    (apply.ScoreFilesSettings, [apply.ScoreConfig, apply.FilesConfig]),
    (apply.StudySettings, [apply.StudyConfig]),
    (apply.CrossvalSettings, [apply.CrossvalConfig]),
    (apply.SplitsSettings, [apply.SplitsConfig]),
    (apply.OutputSettings, [apply.OutputConfig]),
    (apply.CardSettings, [apply.CardConfig]),
    (apply.ShownSettings, [apply.ShownConfig]),
]
WIDER = {"subjects": Path | str}
"""Keywords that a verb accepts in more forms than the settings hold."""
VERBS = {
    "build": (bratsprep.build, ["raw", "out.h5"]),
    "dask_executor": (bratsprep.dask_executor, ["tcp://a:1"]),
    "dry_run": (bratsprep.dry_run, ["raw"]),
    "merge": (bratsprep.merge, [["a.h5", "b.h5"], "all.h5"]),
    "doctor": (bratsprep.doctor, ["."]),
    "verify": (bratsprep.verify, ["a.h5"]),
    "inspect": (bratsprep.inspect, ["raw"]),
    "inspect_page": (bratsprep.inspect_page, ["raw", "page.html"]),
    "write_case_table": (bratsprep.write_case_table, ["raw", "cases.csv"]),
    "preview": (bratsprep.preview, ["a.h5", None, "a.png"]),
    "twins": (bratsprep.twins, ["raw"]),
    "phantoms": (bratsprep.phantoms, ["raw"]),
    "open": (bratsprep.open, ["a.h5"]),
    "plot_balance": (bratsprep.plot_balance, [None, "a.png"]),
    "fit": (bratstrain.fit, ["a.h5"]),
    "demo": (bratstrain.demo, []),
    "evaluate": (bratstrain.evaluate, ["run"]),
    "evaluate_nnunet": (bratstrain.evaluate_nnunet, ["results"]),
    "score_folders": (bratstrain.score_folders, ["predicted", "raw"]),
    "predict": (bratstrain.predict, ["run", "raw", "out"]),
    "publish": (bratstrain.publish, ["run", "out"]),
    "report": (bratstrain.report, ["run"]),
    "card": (bratstrain.card, ["run"]),
    "compare": (bratstrain.compare, [["a", "b"]]),
    "splits": (bratstrain.splits, ["raw", "splits.json"]),
    "study": (bratstrain.study, ["deck", "raw"]),
    "crossval": (bratstrain.crossval, ["a.h5", "raw"]),
    "export": (bratstrain.export, ["run", "a.onnx"]),
    "draw_case": (bratstrain.draw_case, ["a.png", None]),
    "draw_report": (bratstrain.draw_report, ["a.png", None]),
}
COMMANDS = [
    (name, command)
    for group in (bratsprep.cli.main, bratstrain.commands.cli.main)
    for name, command in group.commands.items()
]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_listed_and_loads(package):
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_every_verb_is_public():
    public = {*bratsprep.__all__, *bratstrain.__all__}
    assert set(VERBS) == {name for name in public if name.islower()} - {"__version__"}
    assert {"SliceFile", "SliceDataset", "PrepConfig", "TrainConfig"} <= public


@pytest.mark.parametrize("package", PACKAGES)
def test_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        _ = package.colour


def test_version_is_stated_once():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{bratsprep.__version__}"' in text
    assert bratstrain.__version__ == bratsprep.__version__


@pytest.mark.parametrize(
    ("typed", "kinds"), TYPED, ids=lambda value: getattr(value, "__name__", "")
)
def test_keywords_for_type_checkers_are_the_settings(typed, kinds):
    fields = {name: member.type for kind in kinds for name, member in keywords(kind).items()}
    assert get_type_hints(typed) == {name: WIDER.get(name, kind) for name, kind in fields.items()}


@pytest.mark.parametrize("name", VERBS)
def test_unknown_keyword_is_a_type_error_of_the_verb(name):
    verb, arguments = VERBS[name]
    with pytest.raises(TypeError, match=r"\(\) got an unexpected keyword argument 'colour'"):
        verb(*arguments, colour="red")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("build", {"slices": "some"}, "slices must be one of tumour, brain, all"),
        ("build", {"on_error": "ask"}, "on_error must be one of stop, skip"),
        ("build", {"workers": -1}, "workers and max_ram must be at least 0"),
        ("build", {"slices": "brain", "margin": 2}, "margin and negatives have no effect"),
        ("verify", {"workers": -1}, "workers and sample must be at least 0"),
        ("inspect", {"workers": -1}, "workers must be at least 0"),
        ("inspect_page", {"workers": -1}, "workers must be at least 0"),
        ("preview", {"planes": 0}, "planes must be at least 1"),
        ("twins", {"workers": -1}, "workers must be at least 0"),
        ("phantoms", {"cases": "3"}, "cases must be a whole number"),
        ("fit", {"width": "8"}, "width must be a whole number"),
        ("fit", {"threads": -1}, "threads must be at least 0"),
        ("evaluate", {"raw": "raw", "tta": "all"}, "tta must be one of"),
        ("evaluate", {"raw": "raw", "split": "dev"}, "split must be one of"),
        ("evaluate", {"raw": "raw", "cases": "A"}, "cases must be a list of: text"),
        ("evaluate", {"data": "a.h5", "labels": "msd"}, "labels msd has no effect on a.h5"),
        ("score_folders", {"conventions": ["mine"]}, "conventions must be one of"),
        ("predict", {"batch_size": 0}, "batch_size must be at least 1"),
        ("report", {"data": "a.h5", "labels": "msd"}, "labels msd has no effect on a.h5"),
        ("compare", {"raw": "raw", "labels": "mine"}, "label scheme 'mine' is unknown; one of"),
        ("splits", {"workers": -1}, "workers must be at least 0"),
        ("splits", {"seed": -1}, "seed must be 0 to "),
        ("splits", {"repeats": "off", "labels": "msd"}, "labels msd has no effect"),
        ("study", {"workers": -1}, "workers must be at least 0"),
    ],
)
def test_value_that_is_not_allowed_is_a_value_error(name, values, message):
    verb, arguments = VERBS[name]
    with pytest.raises(ValueError, match=message):
        verb(*arguments, **values)


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_defaults_of_options_are_those_of_the_verb(name, command):
    verb = VERBS[{"phantom": "phantoms"}.get(name, name)][0]
    stated = inspect.signature(verb).parameters
    for option in command.params:
        own = option.default
        if option.name in stated and isinstance(own, int | float | str) and own != "":
            assert own == stated[option.name].default, option.name


def test_fit_shows_its_common_options_and_the_rest_apart():
    command = bratstrain.commands.cli.main.commands["fit"]
    text = command.get_help(click.Context(command, info_name="fit"))
    text, advanced = text.split("Advanced options:")
    common, _ = text.split("Other:")  # --help
    assert common.count("\n  --") == 25
    assert advanced.count("\n  --") == len(command.params) - 26  # DATA is the other one
    for heading in ("Run:", "Network:", "Length:", "Learning:", "Data split:"):
        assert f"\n{heading}\n" in common


def test_help_of_fit_states_the_defaults_of_the_recipes():
    command = bratstrain.commands.cli.main.commands["fit"]
    text = " ".join(command.get_help(click.Context(command, info_name="fit")).split())
    assert "Highest learning rate. [strong: 0.005; deck: 0.0001]" in text
    assert "Passes over the training slices. [default: 30]" in text


LABEL_ONLY = """
import sys
from bratsprep.cli import main as prep
from bratstrain.commands.cli import main as train

def call(main, *words):
    try:
        main([*words], standalone_mode=False)
    except Exception as error:
        sys.exit(f"{words}: {error}")

call(train, "evaluate", "--predictions", "raw", "--raw", "raw", "-o", "tables")
call(train, "evaluate", "--nnunet-results", "results")
call(train, "splits", "raw", "-o", "splits.json")
call(prep, "inspect", "raw", "--images")
call(prep, "twins", "raw", "--json")
call(prep, "build", "raw", "a.h5", "--crop", "16x16")
call(prep, "verify", "a.h5", "raw")
call(prep, "inspect", "a.h5", "--html", "a.html", "--plot", "a.png")
call(prep, "preview", "a.h5", "-o", "b.png")
call(prep, "phantom", "more", "--cases", "1", "--shape", "16x16x8")
call(prep, "doctor")
found = [name for name in ("torch", "tensorboard") if name in sys.modules]
sys.exit(f"loaded {found}" if found else 0)
"""


@pytest.mark.slow
def test_commands_on_labels_load_neither_torch_nor_tensorboard(tmp_path):
    for number in (1, 2):
        niftis.write_case(
            tmp_path / "raw", f"BraTS2021_{number:05d}", volumes=niftis.phantom(number)
        )
    nnunet_results.write_summaries(tmp_path / "results", nnunet_results.drawn_rows(0)[0])
    done = subprocess.run(
        [sys.executable, "-c", LABEL_ONLY], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tables").is_dir()


@pytest.mark.parametrize("verb", [bratsprep.inspect, bratsprep.twins])
def test_labels_of_a_slice_file_are_refused(verb, tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="labels msd has no effect on"):
        verb(path, labels="msd")
    with pytest.raises(bratsprep.BratsError):
        verb(path)

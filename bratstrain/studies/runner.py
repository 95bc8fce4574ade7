"""A study: every build, then every run and its scores, then one table; it can be resumed."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Unpack

import bratsprep
from bratsprep.errors import BratsError, BuildError
from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import open_source
from bratsprep.volumes.label_schemes import chosen_scheme
from bratstrain.apply_config import StudyConfig, StudySettings
from bratstrain.data.splits import Split
from bratstrain.evaluation.stored import evaluation_of
from bratstrain.inference.nifti_out import make_folder
from bratstrain.runs.files import CONFIG, FACTS, LOG, read_json, read_log
from bratstrain.scoring.metric_registry import METRICS
from bratstrain.studies.outcomes import Facts, Outcome, Study
from bratstrain.studies.page import write_page
from bratstrain.studies.study_file import Experiment, Plan, find_study, read_study
from bratstrain.studies.tables import terminal_lines, write_study
from bratstrain.training.fit import fit_at
from bratstrain.training.prepare_run import RUNS, split_of

SLICES: Final = "slices"
"""Folder of the slice files, in the study's."""
EXPERIMENTS: Final = "runs"
"""Folder of the run folders, in the study's."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Plan, data, folder and settings of a study."""

    plan: Plan
    raw: Path
    folder: Path
    config: StudyConfig
    tell: Tell
    progress: bool

    def file_of(self, experiment: Experiment) -> Path:
        """Slice file of an experiment."""
        return self.folder / SLICES / experiment.file_name

    def run_of(self, experiment: Experiment) -> Path:
        """Run folder of an experiment."""
        return self.folder / EXPERIMENTS / experiment.run_name


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A finished study, and where its tables are."""

    study: Study
    files: tuple[Path, ...]

    def lines(self) -> list[str]:
        """Summary for the terminal."""
        return [*terminal_lines(self.study), *(str(path) for path in self.files)]


def study(
    file: Path | str,
    raw: Path | str,
    out: Path | str | None = None,
    *,
    tell: Tell = lambda line: None,
    progress: bool = False,
    **settings: Unpack[StudySettings],
) -> Done:
    """Run the experiments of a study and compare them; `bratstrain.study`.

    Finished steps are recognised by their content and not repeated: the same call resumes an
    interrupted study. The tables are rewritten after each experiment.

    Example:
        bratstrain.study("deck", "Task01_BrainTumour.tar", "deck", profile="full").lines()

    Args:
        file: TOML file, or the name of a built-in study.
        raw: data set or archive of labelled cases.
        out: folder for slice files, runs and tables; None for one under `runs`.
        tell: receives a line for each step, whether it is done now or was done before.
        progress: show bars on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.StudyConfig`.

    Raises:
        BratsError: cases, slice files or runs are at fault, or the held-out cases differ.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, here or in the file; nothing has been built.
        Stopped: SIGINT or SIGTERM while fitting.
    """
    (own,) = take("study", settings, StudyConfig)
    config = StudyConfig(**own)
    chosen_scheme(config.labels)
    plan = read_study(find_study(file), config.profile, METRICS)
    name = "-".join(filter(None, (plan.path.stem, plan.profile)))
    folder = RUNS / name if out is None else Path(out)
    bench = Bench(plan, Path(raw), folder, config, tell, progress)
    make_folder(folder / SLICES)
    make_folder(folder / EXPERIMENTS)
    return run_all(bench)


def run_all(bench: Bench) -> Done:
    """Build the slice files, fit and score the experiments in turn, and write tables and page.

    Raises:
        BratsError: cases, slice files or runs are at fault, or the experiments do not hold out
            the same cases.
        Stopped: SIGINT or SIGTERM while fitting.
    """
    build_all(bench)
    splits = check_held_out(bench)
    outcomes: list[Outcome] = []
    for experiment in bench.plan.experiments:
        fit_one(bench, experiment, splits[experiment.name])
        outcomes.append(outcome_of(bench, experiment, splits[experiment.name]))
        done = Study(bench.plan, bench.raw.name, tuple(outcomes))
        files = write_study(done, bench.folder)
    pages = write_page(
        done, bench.folder, bench.raw, progress=bench.progress, apply=bench.config.apply
    )
    return Done(done, (*files, *pages))


def build_all(bench: Bench) -> None:
    """Build the slice files; experiments of equal settings share one.

    Raises:
        BratsError: a case is at fault, or a slice file is of other cases.
    """
    files = {experiment.file_name: experiment for experiment in bench.plan.experiments}
    for number, experiment in enumerate(files.values(), 1):
        path = bench.file_of(experiment)
        config = bench.config
        settings = asdict(experiment.build)
        settings |= asdict(config.files) | {"subjects": config.subjects}
        try:
            summary = bratsprep.build(
                bench.raw, path, workers=config.workers, progress=bench.progress, **settings
            )
        except BuildError as error:
            raise BratsError(
                f"{error}; in a study other raw cases go with another folder, -o"
            ) from error
        check_runs(bench, path, summary.digest)
        done = "is there" if summary.was_complete else f"built in {summary.seconds:.1f} s"
        bench.tell(f"slices {number} of {len(files)}: {path.name} {done}, {summary.slices} slices")


def check_runs(bench: Bench, path: Path, digest: str) -> None:
    """Refuse a slice file that has changed since runs of the study were begun on it.

    Args:
        bench: the study.
        path: slice file.
        digest: of its content now.

    Raises:
        BratsError: a run was begun with another content.
    """
    for experiment in bench.plan.experiments:
        facts = bench.run_of(experiment) / FACTS
        if bench.file_of(experiment) != path or not facts.is_file():
            continue
        if read_json(facts).get("data_digest") != digest:
            raise BratsError(
                f"{facts.parent}: was begun with other raw cases than {path} holds now; in a study "
                "other raw cases go with another folder, -o"
            )


def check_held_out(bench: Bench) -> dict[str, Split]:
    """Make the split of each experiment and check that all hold out the same subjects.

    Raises:
        BratsError: they do not, they hold out none, or one is fitted on a held-out subject.
    """
    plan = bench.plan
    splits: dict[str, Split] = {}
    for experiment in plan.experiments:
        where = f"{plan.path}: experiment {experiment.name}"
        with SliceFile(bench.file_of(experiment), prints=False) as file:
            split = splits[experiment.name] = split_of(experiment.fit, file)
            check_people(where, split, file)
        first = splits[plan.experiments[0].name]
        if split.test != first.test:
            apart = sorted(set(split.test) ^ set(first.test))
            raise BratsError(
                f"{where} holds out other cases than {plan.experiments[0].name}, such as "
                f"{apart[0]}; give all one test_share, or split files with the same test part"
            )
    return splits


def check_people(where: str, split: Split, file: SliceFile) -> None:
    """Refuse a split whose test part is empty, or shares a subject with another part.

    Raises:
        BratsError: the test part is empty or shares a subject.
    """
    if not split.test:
        raise BratsError(f"{where} holds out no case; its split needs a test part")
    ids, people = (file.cases[name].astype(str) for name in ("id", "subject"))
    test = {subject for case, subject in zip(ids, people, strict=True) if case in split.test}
    for part in ("train", "validation"):
        rows = split.rows(part, file.slices, file.cases)
        seen = test.intersection(people[file.slices["case"][rows]])
        if seen:
            raise BratsError(
                f"{where}: subject {min(seen)} is held out and in {part} too; the honest score "
                "needs people that no experiment has seen"
            )


def fit_one(bench: Bench, experiment: Experiment, split: Split) -> None:
    """Fit a run, or resume it; a finished one is left as it is.

    Raises:
        BratsError: the run is of another slice file or split, or its loss is not finite.
    """
    run, path = bench.run_of(experiment), bench.file_of(experiment)
    names = [planned.name for planned in bench.plan.experiments]
    where = f"run {names.index(experiment.name) + 1} of {len(names)}: {experiment.name}"
    if is_finished(run, path, split):
        bench.tell(f"{where} is finished")
        return
    bench.tell(f"{where}, {experiment.about}" if experiment.about else where)
    config = bench.config
    with warnings.catch_warnings():
        if split.leaks:  # on purpose, and stated in the table
            warnings.filterwarnings("ignore", message=f"split {split.name} has a subject on two")
        fit_at(
            None,
            path,
            run,
            config=experiment.fit,
            progress=bench.progress,
            tell=bench.tell,
            device=config.device,
            threads=config.threads,
        )


def is_finished(run: Path, path: Path, split: Split) -> bool:
    """Whether a run is finished, of this slice file and this split."""
    if not (run / CONFIG).is_file():
        return False
    facts = read_json(run / FACTS)
    with SliceFile(path, prints=False) as file:
        origin = (file.digest, split.digest)
    return bool(facts["finished"]) and (facts["data_digest"], facts["split_digest"]) == origin


def validation_loss(log: Sequence[Mapping[str, Any]], step: int) -> float | None:
    """Soft-Dice loss of the validation after a step; None where the log has none."""
    losses = (
        record.get("soft_dice_loss")
        for record in log
        if (record["kind"], record["step"]) == ("validation", step)
    )
    return next(losses, None)


def outcome_of(bench: Bench, experiment: Experiment, split: Split) -> Outcome:
    """Score a finished run by its own protocol and on the held-out cases.

    Raises:
        BratsError: the cases are at fault.
    """
    run, config = bench.run_of(experiment), bench.config
    with ExitStack() as stack:
        file = stack.enter_context(SliceFile(bench.file_of(experiment), prints=False))
        source = stack.enter_context(open_source(bench.raw))
        own = evaluation_of(run, file, "validation", config.apply, progress=bench.progress)
        held_out = evaluation_of(run, source, "test", config.apply, progress=bench.progress)
        n_slices = len(split.rows("train", file.slices, file.cases))
    recorded = read_json(run / FACTS)
    facts = Facts(
        split=split.name,
        leaks=split.leaks,
        planes=recorded["planes"],
        train_slices=n_slices,
        steps=recorded["step"],
        best_step=recorded["best_step"],
        own_loss=validation_loss(read_log(run / LOG), recorded["best_step"]),
        seconds=recorded["used_s"],
        run=f"{EXPERIMENTS}/{run.name}",
        slice_file=f"{SLICES}/{experiment.file_name}",
        data_digest=recorded["data_digest"],
        split_digest=recorded["split_digest"],
    )
    outcome = Outcome(experiment, facts, own, held_out)
    claims, honest = outcome.claims.mean, outcome.honest.mean
    bench.tell(f"  claims {claims:.3f}, honest {honest:.3f}")
    return outcome

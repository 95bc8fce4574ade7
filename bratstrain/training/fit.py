"""The training loop: learn batch by batch, validate, save, and resume an interrupted run."""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Unpack

from bratsprep.errors import BratsError
from bratsprep.settings import check_values, keywords, take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.memory import peak_bytes
from bratstrain.config import FitSettings, ModelConfig, Session, TrainConfig
from bratstrain.data.intake import Intake
from bratstrain.data.loader import Batch, Loader
from bratstrain.device import Arriving, full_memory_explained, peak_device_bytes, set_up
from bratstrain.networks.counts import count_parameters
from bratstrain.ranks.group import Group
from bratstrain.ranks.place import Place, place_of
from bratstrain.runs import files
from bratstrain.runs.checkpoint import Checkpoint, Weights, save
from bratstrain.training.here import seated
from bratstrain.training.job import Job
from bratstrain.training.launch import fit_over
from bratstrain.training.log import Bar, RunLog, SilentLog
from bratstrain.training.predictions import Segment
from bratstrain.training.prepare_run import make_trainer, prepare, restore, run_folder
from bratstrain.training.result import Progress, Run
from bratstrain.training.signals import Signals, Stopped
from bratstrain.training.start import Origin, read_origin, start_lines
from bratstrain.training.step import Trainer
from bratstrain.training.validate import Validation, validate

LOG_STEPS: Final = 10
"""Steps that a line of the log is over."""
MAX_SKIPPED: Final = 5
"""Consecutive steps without a finite loss that end a run."""


def fit(
    data: Path | str,
    run: Path | str | None = None,
    *,
    config: TrainConfig | None = None,
    start: Path | str | None = None,
    progress: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    **settings: Unpack[FitSettings],
) -> Run:
    """Fit a network on a slice file; `bratstrain.fit`.

    An interrupted run is resumed from its last checkpoint, with its own settings. On a CPU it ends
    with the same weights, bit for bit, as an uninterrupted one, if torch has as many threads and
    the length is not in minutes. A finished run is left as it is. A custom `model` is imported.

    With `start` the run begins with the weights of another one, as far as they fit, and with the
    settings of its network. `run.json` says what did not fit, and which validation cases show a
    person that the other run was fitted on.

    With `gpus` a process is started for each GPU, and every batch is divided over them. Under
    torchrun, or as a task of srun, this process is one of several that were started so.

    Example:
        bratstrain.fit("out.h5", model="residual", epochs=2)

    Args:
        data: slice file.
        run: run folder; None derives one under `runs` from the content of data and settings.
        config: all settings at once, instead of by name.
        start: run that the weights are from: its folder, a published one, or `hf://owner/name`.
        progress: show a bar on standard error, where that is a terminal.
        tell: receives lines about the beginning, and one per validation if no bar is shown.
        **settings: keywords of `TrainConfig`, `ModelConfig` and `Session` in `bratstrain.config`;
            those of the run are by default the recipe's, or those of the run being resumed.

    Raises:
        BratsError: slice file, split, run folder or checkpoint are at fault, the run was begun
            with another slice file, or the loss stays not finite.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed or has no effect, the run was begun with another, or a
            custom network breaks its contract.
        Stopped: SIGINT or SIGTERM was received; see `bratstrain.training.signals`.
    """
    session, _ = divide(settings)
    place = place_of(os.environ)
    if session.devices and place is None:
        call = {
            "config": config and config.to_json(),
            "start": start,
            "progress": progress,
            **settings,
        }
        folder = None if run is None else Path(run)
        return fit_over(session.devices, Path(data), folder, call, tell)
    return fit_at(
        place, data, run, config=config, start=start, progress=progress, tell=tell, **settings
    )


def fit_at(
    place: Place | None,
    data: Path | str,
    run: Path | str | None = None,
    *,
    config: TrainConfig | None = None,
    start: Path | str | None = None,
    progress: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    **settings: Unpack[FitSettings],
) -> Run:
    """Fit a network as one of several ranks, or alone, whatever the environment says.

    Arguments and errors are those of `fit`; `place` is None for a process that fits alone.
    """
    session, of_run = divide(settings)
    with (
        seated(session, place) as here,
        opened(data, run, config, of_run, start, here.group) as (file, folder, is_begun, origin),
    ):
        job = here.group.in_turn(
            lambda: prepare(file, folder, here, config, of_run, is_begun=is_begun, origin=origin),
            lambda: prepare(file, folder, here, config, of_run, is_begun=True),
        )
        is_first = here.group.is_first
        return finish(job, shown=progress and is_first, tell=tell if is_first else _ignore)


def _ignore(line: str) -> None:
    """Drop a line that the first rank tells."""


def divide(settings: Mapping[str, Any]) -> tuple[Session, dict[str, Any]]:
    """Divide the keywords of a call into the session's settings and those of the run.

    Raises:
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    own, _, _ = take("fit", settings, Session, TrainConfig, ModelConfig)
    of_run = {name: value for name, value in settings.items() if name not in own}
    session = Session(**own)
    check_values(of_run, keywords(TrainConfig) | keywords(ModelConfig))
    return session, of_run


@contextmanager
def opened(
    data: Path | str,
    run: Path | str | None,
    config: TrainConfig | None,
    settings: dict[str, Any],
    start: Path | str | None,
    group: Group,
) -> Iterator[tuple[SliceFile, Path, bool, Origin | None]]:
    """Open the slice file of a run, and claim the run's folder.

    Args:
        data: slice file.
        run: run folder; None derives one.
        config: all settings of the run at once, or None.
        settings: of the run, by name.
        start: the run that it begins from, or None.
        group: the ranks, of which the first reads that run and claims the folder.

    Yields:
        The slice file, the folder, whether the folder holds a run already, and on the first rank
        the run that it begins from.

    Raises:
        BratsError: the slice file, the folder or the run that it begins from is at fault.
        ValueError: a setting is not allowed.
    """
    origins: list[Origin] = []
    with SliceFile(data, prints=False) as file, ExitStack() as claim:

        def claimed() -> tuple[Path, bool]:
            if start is not None:
                origins.append(read_origin(start))
            folder = run_folder(file, run, config, settings, *origins)
            return folder, claim.enter_context(files.claimed(folder))

        folder, is_begun = group.decide(claimed)
        yield file, folder, is_begun, next(iter(origins), None)


def finish(job: Job, *, shown: bool, tell: Callable[[str], None]) -> Run:
    """Fit a run to its end, from its last checkpoint where it has one.

    Args:
        job: the run.
        shown: show a bar.
        tell: receives a line at the start, and one after each validation where no bar is shown.

    Raises:
        BratsError: a file of the run or the slice file is at fault, or the loss is not finite.
        Stopped: a signal was received.
    """
    with set_up(job.device):
        trainer = make_trainer(job)
        state = restore(job, trainer)
        job.group.check_same("weights", trainer.content)
        tell(job.line(state.step, count_parameters(trainer.network)))
        start = files.read_json(job.folder / files.FACTS).get("start")
        for line in start_lines(start) if start and not state.step else ():
            tell(line)
        was_complete = job.is_finished(state)
        if not was_complete:
            with (
                Signals() as signals,
                opened_log(job, state) as log,
                Bar(job.steps, state.step, shown=shown) as bar,
                job.load(state.step) as loader,
            ):
                Fitting(job, trainer, state, Channels(signals, log, bar, loader, tell)).learn()
        return Run(job.folder, job.config, state, job.planes, was_complete)


def opened_log(job: Job, state: Progress) -> AbstractContextManager[RunLog | SilentLog]:
    """Open the log of a run after its last checkpoint; the first rank alone writes it."""
    if not job.group.is_first:
        return nullcontext(SilentLog())
    return RunLog(job.folder, state.step, state.validated)


@dataclass(frozen=True, slots=True)
class Channels:
    """What connects a run with the outside while it learns, all of it open."""

    signals: Signals
    log: RunLog | SilentLog
    bar: Bar
    loader: Loader
    tell: Callable[[str], None]
    """Receives a line after each validation where no bar is shown."""


class Fitting:
    """A run while it learns.

    Args:
        job: the run.
        trainer: as the last checkpoint left it.
        state: likewise.
        channels: signals, log, bar and loader.
    """

    def __init__(self, job: Job, trainer: Trainer, state: Progress, channels: Channels) -> None:
        self.job = job
        self.trainer = trainer
        self.state = state
        self._signals = channels.signals
        self._log = channels.log
        self._bar = channels.bar
        self._loader = channels.loader
        self._tell = channels.tell
        self._group = job.group
        self._intake = Intake(job.file, job.device)
        self._before = state.used_s, state.waited_s
        self._start = self._saved = time.perf_counter()
        self._logged = (state.step, *self._before)
        self._first = state.step
        self._losses: deque[Arriving] = deque()
        self._lag = int(job.device.type == "cuda")
        self._number = 0

    def learn(self) -> None:
        """Learn, validate and save in turn until the run is finished."""
        batches = iter(self._loader)
        self.agree()
        self.validate_if_due()  # the last session may have been stopped during a validation
        self.save_if_due()
        while not self.job.is_finished(self.state):
            self.train(next(batches))
            self.agree()
            self.log_if_due()
            self.validate_if_due()
            self.save_if_due()

    def train(self, batch: Batch) -> None:
        """Learn one batch."""
        read = self._intake(batch.image, batch.rows)
        image, label = batch.reading.gather(read, batch.label)
        progress = self.job.share_done(self.state)
        with full_memory_explained(
            f"begin a new run with --batch below {self.job.config.batch_size}, or auto for the "
            "largest that fits, or a smaller --width; other programs on the GPU count too"
        ):
            loss = self.trainer.step(image, label, batch.step, progress)
            self._losses.append(Arriving(loss))
        self.state.step += 1
        self._bar.advance()
        self.count_losses(later=1)

    def count_losses(self, later: int = 0) -> None:
        """Count the losses of the last steps.

        Args:
            later: how many of the last ones to leave for later, so that a GPU is busy with
                another step while the loss of this one is waited for.

        Raises:
            BratsError: the loss was not finite in too many consecutive steps.
        """
        while len(self._losses) > later:
            self.state.count(float(self._losses.popleft()))
            if self.state.in_a_row >= MAX_SKIPPED:
                raise BratsError(
                    f"{self.job.folder}: the loss was not finite in the {MAX_SKIPPED} steps up "
                    f"to {self.state.step - len(self._losses)}; begin a new run with a smaller "
                    "--lr, or with --precision fp32"
                )

    def log_if_due(self) -> None:
        """Log every `LOG_STEPS` steps and after the last one.

        The loss of the last step is in the next line, if that step may still be computed.
        """
        state = self.state
        is_over = self.job.is_over(state)
        if state.step % LOG_STEPS and not is_over:
            return
        self.count_losses(later=0 if is_over else self._lag)
        step, used_s, waited_s = self._logged
        seconds = max(state.used_s - used_s, 1e-9)
        self._logged = state.step, state.used_s, state.waited_s
        record = {
            "epoch": self.job.plan.epoch(state.step - 1),
            "loss": files.finite(state.mean_loss()),
            "learning_rate": self.trainer.rate,
            "slices_per_s": (state.step - step) * self.job.slices / seconds,
            "wait_share": (state.waited_s - waited_s) / seconds,
            "memory_mb": peak_bytes() / 1e6,
            "gpu_memory_mb": peak_device_bytes(self.job.device) / 1e6,
            "seconds": state.used_s,
            "skipped": state.skipped,
        }
        self._log.write("train", state.step, **record)
        self._bar.show(record)

    def validate_if_due(self) -> None:
        """Validate after each epoch, or so many steps, and after the last step."""
        state, job = self.state, self.job
        is_due = state.step % job.validate_steps == 0 or job.is_over(state)
        if not state.step or state.validated == state.step or not is_due:
            return
        start = time.perf_counter()
        scores = validate(
            Segment(self.trainer.segment, job.config.model.nesting),
            job.file,
            job.validation,
            job.device,
            batch_size=job.n_own,
            stopped=lambda: bool(self._number) or self._signals.is_set(),
            twins=job.twins.cases,
        )
        self.agree()
        if scores is None:
            return
        (state.validation_s,) = self._group.highest(time.perf_counter() - start)
        self.count_losses()
        self._record(scores)
        self.save()

    def save_if_due(self) -> None:
        """Save after so many steps or minutes, and after a signal.

        Raises:
            Stopped: a signal was received.
        """
        session, number = self.job.session, self._number
        minutes = (time.perf_counter() - self._saved) / 60
        if (
            number
            or (session.checkpoint_steps and self.state.step % session.checkpoint_steps == 0)
            or 0 < session.checkpoint_minutes <= minutes
        ):
            self.save()
        if number:
            raise Stopped(self.job.folder, self.state.step, number)

    def save(self) -> None:
        """Have the first rank write a checkpoint, and the facts of the run so far."""
        self.count_losses()
        if self._group.is_first:
            self._write_state()
        self._saved = time.perf_counter()

    def _write_state(self) -> None:
        """Write a checkpoint, and the facts of the run so far."""
        job = self.job
        save(
            job.folder / files.LAST,
            Checkpoint(
                config=job.config.to_json(),
                data_digest=job.file.digest,
                split_digest=job.split.digest,
                progress=self.state.to_plain(),
                **self.trainer.state(),
            ),
        )
        facts = files.read_json(job.folder / files.FACTS) | self.state.to_plain()
        facts["ranks"] = facts.get("ranks", {}) | {str(self._first): self._group.size}
        facts["finished"] = job.is_finished(self.state)
        facts["peak_memory_mb"] = max(facts["peak_memory_mb"], peak_bytes() / 1e6)
        facts["peak_gpu_memory_mb"] = peak_device_bytes(job.device) / 1e6
        files.write_json(job.folder / files.FACTS, facts)

    def agree(self) -> None:
        """Bring the seconds up to date and hear of signals, alike on every rank: both decide."""
        used_s, waited_s = self._before
        used_s += time.perf_counter() - self._start
        waited_s += self._loader.waited_s
        self.state.used_s, self.state.waited_s, number = self._group.highest(
            used_s, waited_s, self._signals.number
        )
        self._number = int(number)

    def _record(self, scores: Validation) -> None:
        """Log a validation, and write the weights if their score is the best."""
        state = self.state
        state.validated = state.step
        state.since_best += 1
        if scores.mean_regions > state.best_score:
            state.best_score, state.best_step = scores.mean_regions, state.step
            state.since_best = 0
            if self._group.is_first:
                self._write_best()
        self._log.write("validation", state.step, **scores.record(), seconds=state.used_s)
        if not self._bar.write(scores.line(state.step)):
            self._tell(scores.line(state.step))

    def _write_best(self) -> None:
        """Write the weights of the last validation."""
        job = self.job
        save(
            job.folder / files.BEST,
            Weights(
                config=job.config.to_json(),
                data_digest=job.file.digest,
                split_digest=job.split.digest,
                preparation=job.file.config.to_json(),
                classes=job.file.classes.to_json(),
                schemes=schemes_json(job.file),
                shape=list(job.file.shape),
                step=self.state.best_step,
                score=self.state.best_score,
                network=self.trainer.weights(),
            ),
        )


def schemes_json(file: SliceFile) -> str:
    """Label schemes of a slice file by name, as JSON."""
    described = {name: asdict(scheme) for name, scheme in file.schemes.items()}
    return json.dumps(described, sort_keys=True)

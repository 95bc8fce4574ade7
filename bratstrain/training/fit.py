"""The loop: open or make a run, learn batch by batch, validate, save, go on after any cut."""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Unpack

from torch import Tensor

from bratsprep.errors import BratsError
from bratsprep.settings import check_values, keywords, take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.memory import peak_bytes
from bratstrain.config import FitSettings, ModelConfig, Session, TrainConfig
from bratstrain.data.intake import Intake
from bratstrain.data.loader import Batch
from bratstrain.device import peak_device_bytes, set_up
from bratstrain.networks.unet import count_parameters
from bratstrain.runs import files
from bratstrain.runs.checkpoint import Checkpoint, Weights, save
from bratstrain.training import log
from bratstrain.training.prepare_run import Job, make_trainer, prepare, restore, run_folder
from bratstrain.training.result import Run
from bratstrain.training.schedule import FORWARD, time_to_learn
from bratstrain.training.signals import Signals, Stopped
from bratstrain.training.validate import Validation, validate

LOG_STEPS: Final = 10
"""Steps that a line of the log is over."""
MOST_IN_A_ROW: Final = 5
"""Steps without a finite loss that end a run."""


def fit(
    data: Path | str,
    run: Path | str | None = None,
    *,
    config: TrainConfig | None = None,
    progress: bool = False,
    tell: Callable[[str], None] = lambda line: None,
    **settings: Unpack[FitSettings],
) -> Run:
    """Fit a network on a slice file; `bratstrain.fit`.

    An interrupted run resumes with the settings that it has; on a CPU it ends with the same
    weights to the bit as an uninterrupted one, if torch has as many threads and the length is not
    in minutes. A finished run is left as it is.

    Example:
        bratstrain.fit("out.h5", model="residual", epochs=2)

    Args:
        data: slice file.
        run: run folder; None derives one under `runs` from the content of data and settings.
        config: all settings at once, instead of by name.
        progress: show a bar on standard error, where that is a terminal.
        tell: receives a line at the start, which names the run folder, and a line after each
            validation where no bar is shown.
        **settings: keywords of `bratstrain.config.TrainConfig`, `ModelConfig` and `Session`.
            Those of the run that are not given are taken from the recipe, or from the run being
            resumed.

    Raises:
        BratsError: slice file, split, run folder or checkpoint are at fault, the run was begun
            with another slice file, or the loss is not finite any more.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed or has no effect, or the run was begun with another.
        Stopped: SIGINT or SIGTERM; a checkpoint is left, and the same call resumes.
    """
    own, _, _ = take("fit", settings, Session, TrainConfig, ModelConfig)
    of_run = {name: value for name, value in settings.items() if name not in own}
    session = Session(**own)
    check_values(of_run, keywords(TrainConfig) | keywords(ModelConfig))
    with SliceFile(data, prints=False) as file:
        folder = run_folder(file, run, config, of_run)
        with files.claimed(folder) as is_there:
            job = prepare(file, folder, session, config, of_run, is_there=is_there)
            with set_up(job.device):
                fitting = Fitting(job, shown=progress, tell=tell)
                tell(job.line(fitting.state.step, count_parameters(fitting.trainer.network)))
                return fitting.go_on()


class Fitting:
    """One session of a run.

    Args:
        job: what to do.
        shown: show a bar on standard error, where that is a terminal.
        tell: receives a line after each validation where no bar is shown.
    """

    def __init__(
        self, job: Job, *, shown: bool, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self.job = job
        self._tell = tell
        self.trainer = make_trainer(job)
        self.state = restore(job, self.trainer)
        self._shown = shown
        self._intake = Intake(job.file, job.device)
        self._before = self.state.used_s, self.state.waited_s
        self._start = self._saved = time.perf_counter()
        self._mark = (self.state.step, *self._before)
        self._losses: deque[Tensor] = deque()

    def go_on(self) -> Run:
        """Go on to the end of the run."""
        job, state = self.job, self.state
        was_complete = self.is_finished()
        if not was_complete:
            with (
                Signals() as self._signals,
                log.RunLog(job.folder, state.step, state.validated) as self._log,
                log.Bar(job.steps, state.step, shown=self._shown) as self._bar,
                job.load(state.step) as self._loader,
            ):
                self.learn()
        return Run(job.folder, job.config, state, job.planes, was_complete)

    def learn(self) -> None:
        """Learn, validate and save in turn until the run is finished."""
        batches: Iterator[Batch] = iter(self._loader)
        self.validate_if_due()  # the last session may have been stopped in the middle of one
        self.save_if_due()
        while not self.is_finished():
            self.train(next(batches))
            self.log_if_due()
            self.validate_if_due()
            self.save_if_due()

    def is_over(self) -> bool:
        """Whether no step is left: of the number, the time or the patience."""
        config, state = self.job.config, self.state
        if config.patience and state.since_best >= config.patience:
            return True
        if config.minutes:
            return state.used_s >= self.learning_s()
        return state.step >= self.job.steps

    def learning_s(self) -> float:
        """Seconds of a run of some minutes that are for learning."""
        job, state = self.job, self.state
        batches = len(job.validation_rows) / job.config.batch_size
        reckoned_s = FORWARD * batches * state.used_s / max(state.step, 1)
        return time_to_learn(60 * job.config.minutes, state.validation_s or reckoned_s)

    def is_finished(self) -> bool:
        """Whether the run is over and its last weights are validated."""
        return self.is_over() and self.state.step == self.state.validated

    def part(self) -> float:
        """Part of the run that is over, 0 to 1."""
        if self.job.config.minutes:
            return min(1.0, self.state.used_s / self.learning_s())
        return self.state.step / self.job.steps

    def train(self, batch: Batch) -> None:
        """Learn one batch."""
        image = self._intake(batch.image, batch.rows)
        self._losses.append(self.trainer.step(image, batch.label, batch.step, self.part()))
        self.state.step += 1
        self._tell_time()
        self._bar.advance()
        self.count_losses(later=1)

    def count_losses(self, later: int = 0) -> None:
        """Count the losses of the last steps.

        Args:
            later: how many of the last ones to leave for later, so that a GPU has another step
                to do while this one is waited for.

        Raises:
            BratsError: the loss has not been finite for too many steps.
        """
        while len(self._losses) > later:
            self.state.count(float(self._losses.popleft()))
            if self.state.in_a_row >= MOST_IN_A_ROW:
                raise BratsError(
                    f"{self.job.folder}: the loss was not finite in the {MOST_IN_A_ROW} steps up "
                    f"to {self.state.step - len(self._losses)}; begin a new run with a smaller "
                    "--lr, or with --precision fp32"
                )

    def log_if_due(self) -> None:
        """Write a line of the log every `LOG_STEPS` steps, and show it."""
        state = self.state
        if state.step % LOG_STEPS and not self.is_over():
            return
        self.count_losses()
        step, used_s, waited_s = self._mark
        seconds = max(state.used_s - used_s, 1e-9)
        self._mark = state.step, state.used_s, state.waited_s
        record = {
            "epoch": self.job.plan.epoch(state.step - 1),
            "loss": files.finite(state.mean_loss()),
            "learning_rate": self.trainer.rate,
            "slices_per_s": (state.step - step) * self.job.config.batch_size / seconds,
            "wait_share": (state.waited_s - waited_s) / seconds,
            "memory_mb": peak_bytes() / 1e6,
            "gpu_memory_mb": peak_device_bytes(self.job.device) / 1e6,
            "seconds": state.used_s,
            "skipped": state.skipped,
        }
        self._log.write("train", state.step, **record)
        self._bar.tell(record)

    def validate_if_due(self) -> None:
        """Score the weights at the end of an epoch and of the run; keep them if they are best."""
        state, job = self.state, self.job
        is_due = state.step % job.validate_steps == 0 or self.is_over()
        if not state.step or state.validated == state.step or not is_due:
            return
        start = time.perf_counter()
        scores = validate(
            self.trainer.segment,
            job.file,
            job.validation_rows,
            job.device,
            batch_size=job.config.batch_size,
            stopped=self._signals.asked,
            twins=job.twins.cases,
        )
        if scores is None:
            return
        state.validation_s = time.perf_counter() - start
        self.count_losses()
        self._tell_time()
        self._note(scores)
        self.save()

    def save_if_due(self) -> None:
        """Save after so many steps or minutes; after a signal always, and stop.

        Raises:
            Stopped: there was a signal.
        """
        session, number = self.job.session, self._signals.number
        minutes = (time.perf_counter() - self._saved) / 60
        if (
            number
            or (session.checkpoint_steps and self.state.step % session.checkpoint_steps == 0)
            or 0 < session.checkpoint_minutes <= minutes
        ):
            self.save()
        if number:
            raise Stopped(
                f"{self.job.folder}: stopped by {signal.Signals(number).name} after step "
                f"{self.state.step}; repeat the same command to resume",
                number,
            )

    def save(self) -> None:
        """Leave a checkpoint, and the facts of the run so far."""
        job = self.job
        self.count_losses()
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
        self._saved = time.perf_counter()
        facts = files.read_json(job.folder / files.FACTS) | self.state.to_plain()
        facts["finished"] = self.is_finished()
        facts["peak_memory_mb"] = max(facts["peak_memory_mb"], peak_bytes() / 1e6)
        facts["peak_gpu_memory_mb"] = peak_device_bytes(job.device) / 1e6
        files.write_json(job.folder / files.FACTS, facts)

    def _tell_time(self) -> None:
        """Bring the seconds up to now."""
        used_s, waited_s = self._before
        self.state.used_s = used_s + time.perf_counter() - self._start
        self.state.waited_s = waited_s + self._loader.waited_s

    def _note(self, scores: Validation) -> None:
        """Log a validation, and keep the weights where it is the best."""
        state, job = self.state, self.job
        state.validated = state.step
        state.since_best += 1
        if scores.mean_regions > state.best_score:
            state.best_score, state.best_step = scores.mean_regions, state.step
            state.since_best = 0
            save(
                job.folder / files.BEST,
                Weights(
                    config=job.config.to_json(),
                    data_digest=job.file.digest,
                    split_digest=job.split.digest,
                    preparation=job.file.config.to_json(),
                    shape=list(job.file.shape),
                    step=state.step,
                    score=scores.mean_regions,
                    network=self.trainer.weights(),
                ),
            )
        self._log.write("validation", state.step, **scores.record(), seconds=state.used_s)
        if not self._bar.say(scores.line(state.step)):
            self._tell(scores.line(state.step))

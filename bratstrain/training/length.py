"""When a run is over: pure functions of the run and of its progress."""

from bratstrain.training.job import Job
from bratstrain.training.result import Progress
from bratstrain.training.schedule import FORWARD, time_to_learn


def is_over(job: Job, state: Progress) -> bool:
    """Whether no step is left: by number, time or patience."""
    config = job.config
    if config.patience and state.since_best >= config.patience:
        return True
    if config.minutes:
        return state.used_s >= learning_s(job, state)
    return state.step >= job.steps


def is_finished(job: Job, state: Progress) -> bool:
    """Whether the run is over and its last weights are validated."""
    return is_over(job, state) and state.step == state.validated


def part(job: Job, state: Progress) -> float:
    """Part of the run that is over, 0 to 1."""
    if job.config.minutes:
        return min(1.0, state.used_s / learning_s(job, state))
    return state.step / job.steps


def learning_s(job: Job, state: Progress) -> float:
    """Seconds for learning in a run whose length is in minutes.

    The rest is for the last validation. Before the first one its time is estimated from the steps
    so far.
    """
    n_batches = len(job.validation_rows) / job.config.batch_size
    estimated_s = FORWARD * n_batches * state.used_s / max(state.step, 1)
    return time_to_learn(60 * job.config.minutes, state.validation_s or estimated_s)

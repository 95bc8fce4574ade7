"""What an evaluation is of: the digest of all its inputs.

The digest is in the JSON of every evaluation, so that a page reuses one that follows from the same
inputs.
"""

import json
from pathlib import Path

from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratstrain.apply_config import ApplyConfig, ScoreConfig
from bratstrain.evaluation.folders import listing, settings_facts, sha256
from bratstrain.inference.small_components import read_cleanup
from bratstrain.runs.ensemble import runs_of
from bratstrain.runs.files import SPLIT, read_text, versions
from bratstrain.runs.fitted import best_of
from bratstrain.scoring.metric_registry import EVALUATION_VERSION


def inputs_digest(
    run: Path,
    where: SliceFile | Source,
    part: str,
    apply: ApplyConfig,
    score: ScoreConfig,
) -> str:
    """Digest weights, split, settings, software, scans and the rules of the scores.

    Args:
        run: run folder.
        where: slice file or raw cases, open.
        part: `validation`, `test`, `train` or `all`.
        apply: how the networks are applied.
        score: which cases, conventions and tolerances.

    Raises:
        BratsError: the folder is no finished run, or sizes of the clean-up are not tuned.
    """
    parts = (
        EVALUATION_VERSION,
        weights_digest(run),
        sha256(read_text(run / SPLIT).encode()),
        str(read_cleanup(run)) if apply.cleanup else "",
        part,
        settings_facts(apply),
        versions(),
        where.digest if isinstance(where, SliceFile) else listing(where),
        list(score.cases),
        list(score.conventions),
        list(score.tolerances),
    )
    return sha256(json.dumps(parts, sort_keys=True).encode())


def weights_digest(run: Path) -> str:
    """SHA-256 of the weights of a run; of each fold in the folder of a cross-validation.

    Raises:
        BratsError: the folder is no finished run.
    """
    return ",".join(sha256(best_of(one).read_bytes()) for one in runs_of(run))

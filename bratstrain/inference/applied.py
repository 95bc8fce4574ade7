"""What a run asks of raw cases: modalities, and label schemes whose classes are its own."""

from dataclasses import replace
from pathlib import Path

from bratsprep.config import SourceConfig
from bratsprep.errors import LabelError
from bratsprep.labels import Scheme
from bratsprep.volumes.label_schemes import chosen_scheme, scan_keywords
from bratstrain.apply_config import ApplyConfig
from bratstrain.runs.fitted import Fitted


def source_choice(config: ApplyConfig, fitted: Fitted) -> SourceConfig:
    """What raw files are taken for: as is given, else as a run was fitted.

    A network that was never shown a case without one of its modalities gives labels of no worth
    for it, so such a case is refused.

    Args:
        config: what is given.
        fitted: the run, whose modalities a case has to have.

    Raises:
        LabelError: the file of a label scheme is none.
        ValueError: there is no such scheme.
    """
    files = replace(config.files, brain_mask=fitted.brain_mask(config.brain_mask))
    return SourceConfig(
        **scan_keywords(files, scheme_for(config.labels, fitted)),
        modalities=fitted.preparation.modalities,
        missing="zeros" if fitted.survives_missing else fitted.preparation.missing,
    )


def scheme_for(labels: Path | str, fitted: Fitted) -> Scheme | None:
    """Label scheme that is asked for; None to find out.

    A run on a scheme of the user's own takes that one, which nothing in raw files names.

    Raises:
        LabelError: the file is no scheme.
        ValueError: there is no such scheme.
    """
    if str(labels) == "auto" and str(fitted.preparation.labels).startswith("toml:"):
        return fitted.scheme
    return chosen_scheme(labels)[1]


def check_classes(where: str, scheme: Scheme, fitted: Fitted) -> None:
    """Refuse a label scheme whose classes are not those that a run gives.

    Args:
        where: the case, for errors.
        scheme: of the case.
        fitted: the run.

    Raises:
        LabelError: they differ.
    """
    if scheme.classes != fitted.classes:
        raise LabelError(
            f"{where}: scheme {scheme.name} has the classes {', '.join(scheme.classes.tumour)}, "
            f"{fitted.name} gives {', '.join(fitted.classes.tumour)}; name a scheme with the run's "
            "classes with --labels, such as a TOML file that maps the values to them"
        )

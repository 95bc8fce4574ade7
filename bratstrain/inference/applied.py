"""What a run asks of raw cases: modalities, and label schemes whose classes are its own."""

from pathlib import Path

from bratsprep.discovery.discover import LabelChoice
from bratsprep.errors import LabelError
from bratsprep.labels import Scheme
from bratsprep.volumes.label_schemes import chosen_scheme
from bratstrain.runs.fitted import Fitted


def modality_choice(fitted: Fitted) -> LabelChoice:
    """Modalities that raw cases must have, and what one without some of them is.

    A network that was never shown such a case gives labels of no worth, so it is refused.
    """
    return {
        "modalities": fitted.preparation.modalities,
        "missing": "zeros" if fitted.survives_missing else fitted.preparation.missing,
    }


def scheme_for(labels: Path | str, fitted: Fitted) -> Scheme | None:
    """Label scheme that is asked for; None to find out.

    A run on a scheme of the user's own takes that one, which nothing in raw files names.

    Raises:
        LabelError: the file is no scheme.
        ValueError: there is no such scheme.
    """
    if str(labels) == "auto" and fitted.preparation.labels.startswith("toml:"):
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

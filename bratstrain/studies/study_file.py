"""A study's TOML file: its experiments, checked as a whole before anything is built.

Settings of an experiment come from, later ones winning: `[build]` and `[fit]`; those tables of
the profile; the experiment that it is `like`, which has to stand above it; its own `build` and
`fit`; and `[profile.<name>.experiment.<its name>]`. An experiment with `seeds` is one for each of
them; seeds of the profile replace those of the file.
"""

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any, Final

from bratsprep.config import FilesConfig, PrepConfig
from bratsprep.errors import BratsError
from bratsprep.settings import check_values, hint, keywords
from bratstrain.config import MODELS, ModelConfig, TrainConfig
from bratstrain.recipes import LENGTHS, configure

SHIPPED: Final = Path(__file__).parent / "definitions"
"""Studies that come along, known by name too."""
TOP_KEYS: Final = (
    "title", "about", "baseline", "also", "seeds", "build", "fit", "experiment", "profile",
)  # fmt: skip
PROFILE_KEYS: Final = ("seeds", "build", "fit", "experiment")
EXPERIMENT_KEYS: Final = ("name", "about", "like", "seeds", "build", "fit")
OF_THE_SOURCE: Final = (*keywords(FilesConfig), "subjects", "unlabelled")
"""Settings of a build that depend on the raw cases and not on the study."""
TABLES: Final[Mapping[str, Mapping[str, Field[Any]]]] = {
    "build": {
        name: member for name, member in keywords(PrepConfig).items() if name not in OF_THE_SOURCE
    },
    "fit": keywords(ModelConfig) | keywords(TrainConfig),
}
"""Settings that a `build` or `fit` table may hold."""
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Tables = Mapping[str, Mapping[str, Any]]
"""`build` and `fit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One build and one run."""

    name: str
    about: str
    """What is tried, in a few words."""
    like: str
    """Experiment that it departs from, and is compared to; empty for none."""
    build: PrepConfig
    fit: TrainConfig

    @property
    def file_name(self) -> str:
        """Name of its slice file, which follows from the settings: equal builds are one."""
        return f"{_short(self.build.to_json())}.h5"

    @property
    def run_name(self) -> str:
        """Name of its run folder; other settings have another one."""
        return f"{self.name}-{_short(self.build.to_json() + self.fit.to_json())}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study that has been read and checked."""

    path: Path
    title: str
    about: str
    profile: str
    """Empty where the file has none."""
    baseline: str
    """Experiment that all others are compared to."""
    also: tuple[str, ...]
    """Metrics shown beside the honest score."""
    experiments: tuple[Experiment, ...]
    """Each stands after the one that it is like."""


def _short(text: str) -> str:
    """First digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def find_study(file: Path | str) -> Path:
    """Find the file of a study: a path, or the name of a built-in study.

    Raises:
        BratsError: it is neither.
    """
    path = Path(file)
    if path.is_file():
        return path
    shipped = {study.stem: study for study in sorted(SHIPPED.glob("*.toml"))}
    if str(file) in shipped:
        return shipped[str(file)]
    raise BratsError(
        f"{path}: is neither a file nor a built-in study; name a TOML file, or "
        f"{' or '.join(shipped)}"
    )


def read_study(path: Path, profile: str, metrics: Collection[str]) -> Plan:
    """Read a study and check every setting of every experiment.

    Args:
        path: TOML file.
        profile: name of the profile; empty where the file has none.
        metrics: names that `also` may hold.

    Raises:
        BratsError: the file cannot be read.
        ValueError: a key, a name or a value is wrong; the message names file and key.
    """
    tables = _load(path)
    _only(tables, TOP_KEYS, str(path))
    chosen = _profile(tables, profile, path)
    listed = _by_seed(_listed(tables, path), chosen.get("seeds", tables.get("seeds", [])), path)
    names = [entry["name"] for entry in listed]
    own = chosen.get("experiment", {})
    _refuse_strange(own, names, f"{path}: [profile.{profile}.experiment]", "experiment")
    for name, entry in own.items():
        _only(entry, tuple(TABLES), f"{path}: [profile.{profile}.experiment.{name}]")
    base = _merged(_merged({}, tables), chosen)
    settled: dict[str, Tables] = {}
    for entry in listed:
        start = settled[entry["like"]] if entry.get("like") else base
        settled[entry["name"]] = _merged(_merged(start, entry), own.get(entry["name"], {}))
    baseline = tables.get("baseline", names[0])
    _refuse_strange([baseline], names, f"{path}: baseline", "experiment")
    also = tuple(tables.get("also", ()))
    _refuse_strange(also, metrics, f"{path}: also", "metric")
    return Plan(
        path=path,
        title=tables.get("title", path.stem),
        about=tables.get("about", ""),
        profile=profile,
        baseline=baseline,
        also=also,
        experiments=tuple(_experiment(entry, settled[entry["name"]], path) for entry in listed),
    )


def _load(path: Path) -> dict[str, Any]:
    """Parse the TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BratsError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: is no TOML: {error}") from error


def _only(table: object, known: Collection[str], where: str) -> None:
    """Refuse what is no table, keys that are not known, and values of another kind."""
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table, got {table!r}")
    _refuse_strange(table, known, where, "key")
    for key in ("title", "about", "baseline", "name", "like"):
        if not isinstance(table.get(key, ""), str):
            raise ValueError(f"{where}: {key} must be text, got {table[key]!r}")
    if not isinstance(table.get("also", []), list):
        raise ValueError(f"{where}: also must be a list of metrics, got {table['also']!r}")
    _check_seeds(table.get("seeds", []), where)
    for key in TABLES:
        _check_settings(table.get(key, {}), key, where)


def _check_seeds(seeds: object, where: str) -> None:
    """Refuse what is no list of seeds, each once."""
    if not (
        isinstance(seeds, list)
        and all(type(seed) is int and seed >= 0 for seed in seeds)
        and len({*seeds}) == len(seeds)
    ):
        raise ValueError(f"{where}: seeds must be a list of numbers, each once, got {seeds!r}")


def _refuse_strange(found: Collection[Any], known: Collection[str], where: str, noun: str) -> None:
    """Refuse names that are not on a list."""
    strange = [str(name) for name in found if name not in known]
    if strange:
        raise ValueError(f"{where}: unknown {noun} {', '.join(strange)}; known: {', '.join(known)}")


def _check_settings(table: object, kind: str, where: str) -> None:
    """Refuse settings that are not known or of another type than their default."""
    where = f"{where}: {kind}"
    if not isinstance(table, dict):
        raise ValueError(f"{where} must be a table, got {table!r}")
    misplaced = sorted(set(table) & set(OF_THE_SOURCE))
    if misplaced:
        raise ValueError(
            f"{where}: {', '.join(misplaced)} goes with the raw cases; take the option"
        )
    unknown = [name for name in table if name not in TABLES[kind]]
    if unknown:
        raise ValueError(f"{where}: unknown setting {unknown[0]}{hint(unknown[0], TABLES[kind])}")
    try:
        check_values(table, TABLES[kind])
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _profile(tables: Mapping[str, Any], profile: str, path: Path) -> dict[str, Any]:
    """The table of the profile; empty where the file has none."""
    profiles = tables.get("profile", {})
    if not isinstance(profiles, dict):
        raise ValueError(f"{path}: profile must be a table, got {profiles!r}")
    for name, entry in profiles.items():
        _only(entry, PROFILE_KEYS, f"{path}: [profile.{name}]")
        if not isinstance(entry.get("experiment", {}), dict):
            raise ValueError(f"{path}: [profile.{name}]: experiment must be a table")
    if not profiles and not profile:
        return {}
    if profile not in profiles:
        existing = f"known: {', '.join(profiles)}" if profiles else "it has none"
        raise ValueError(
            f"{path}: [profile.{profile}] does not exist; {existing}" if profile
            else f"{path}: has profiles; choose one with --profile; {existing}"
        )  # fmt: skip
    return dict(profiles[profile])


def _listed(tables: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """The experiments as they stand, each name once and each `like` above."""
    listed = tables.get("experiment", [])
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{path}: has no [[experiment]]; a study needs at least one")
    above: list[str] = []
    for number, entry in enumerate(listed, 1):
        where = f"{path}: [[experiment]] {number}"
        _only(entry, EXPERIMENT_KEYS, where)
        name = entry.get("name", "")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{where}: name must be of a-z, 0-9 and single hyphens, such as all-planes; "
                f"got {name!r}"
            )
        if name in above:
            raise ValueError(f"{where}: name {name} occurs twice; names must be unique")
        if entry.get("like"):
            _refuse_strange([entry["like"]], above, f"{where}: like", "experiment above it")
        above.append(name)
    return listed


def _by_seed(
    listed: Sequence[dict[str, Any]], common: Sequence[int], path: Path
) -> list[dict[str, Any]]:
    """Each experiment once for each of its seeds: the first under its name, the others like it.

    Args:
        listed: as they stand.
        common: seeds of those that have none of their own.
        path: of the study.
    """
    entries = []
    for entry in listed:
        name, seeds = entry["name"], entry.get("seeds", common)
        if "seeds" in entry and "seed" in entry.get("fit", {}):
            raise ValueError(f"{path}: experiment {name}: has both seeds and fit.seed; give one")
        seed = {"seed": seeds[0]} if seeds else {}
        entries.append({**entry, "fit": entry.get("fit", {}) | seed})
        entries += [
            {"name": f"{name}-seed-{seed}", "about": f"seed {seed}", "like": name,
             "fit": {"seed": seed}}
            for seed in seeds[1:]
        ]  # fmt: skip
    names = [entry["name"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: name {name} occurs twice; names must be unique")
    return entries


def _merged(base: Tables, over: Mapping[str, Any]) -> Tables:
    """Put the `build` and `fit` of one table over another; a length replaces any length."""
    return {key: dict(_over(base.get(key, {}), over.get(key, {}))) for key in TABLES}


def _over(base: Mapping[str, Any], over: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings of `base` that stay, then those of `over`."""
    gone = LENGTHS if set(over) & set(LENGTHS) else ()
    yield from ((name, value) for name, value in base.items() if name not in gone)
    yield from over.items()


def _experiment(each: Mapping[str, Any], settings: Tables, path: Path) -> Experiment:
    """Make an experiment of its settings; a split file lies beside the study's."""
    where = f"{path}: experiment {each['name']}"
    fit = dict(settings["fit"])
    if fit.get("split") == "nnunet":
        raise ValueError(f"{where}: split nnunet has no test part; take subject, slice or a file")
    if str(fit.get("split", "")).endswith(".json"):
        fit["split"] = str(path.parent / fit["split"])
    try:
        config = configure(**fit)
        build = PrepConfig(**settings["build"])
        build.check_effects()
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if config.model.is_custom:
        raise ValueError(
            f"{where}: model {config.model.kind} is code outside of bratstrain, which a study file "
            f"may not run; take {', '.join(MODELS)}"
        )
    if not config.split.endswith(".json") and not config.test_share:
        raise ValueError(
            f"{where}: holds out no case; give fit a test_share such as 0.2, and split subject, "
            "slice or a file with a test part"
        )
    return Experiment(
        name=each["name"],
        about=each.get("about", ""),
        like=each.get("like", ""),
        build=build,
        fit=config,
    )

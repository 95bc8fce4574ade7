"""Sets that a `dataset.json` describes: the Decathlon's Task01 and nnU-Net's raw folders."""

import json
import posixpath
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from bratsprep.config import USUAL_MODALITIES
from bratsprep.discovery.candidates import Batch, Draft
from bratsprep.discovery.filenames import LABEL, channel_role, is_nifti, stem
from bratsprep.discovery.label_names import scheme
from bratsprep.errors import LayoutError
from bratsprep.sources.source import Source

FOLDERS: Final = ("imagesTr", "imagesTs", "labelsTr", "labelsTs")
"""Folders of a set that a dataset.json describes."""
DECATHLON_ORDER: Final = USUAL_MODALITIES
"""Channels of Task01 where no dataset.json names them; that order is theirs."""
_TASK01: Final = re.compile(r"BRATS_\d{3}")
_CHANNEL: Final = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Content of a dataset.json, and where it lies."""

    name: str
    """Its path, for errors."""
    root: str
    """Folder of the set in the source; empty, or with a slash at its end."""
    channels: tuple[tuple[int, str], ...]
    """(index, modality) of each channel."""
    n_channels: int
    """Channels named."""
    scheme: str | None
    """Label scheme that the names of the labels mean; None where they are no evidence."""
    scheme_fault: str
    """Why the names of the labels fit no scheme, as an error message; empty if they do."""
    training: tuple[tuple[str, str], ...]
    """(image, label) members as listed; empty where nothing is listed."""
    test: tuple[str, ...]
    listed: tuple[tuple[str, tuple[str, ...], str], ...]
    """(case, image of each channel, label) of version 2's `dataset`; empty where there is none."""
    is_nnunet: bool


def read_manifests(source: Source) -> list[Manifest]:
    """Read every dataset.json that describes images, and make one for a Decathlon without it.

    Raises:
        LayoutError: one cannot be understood.
    """
    names = [name for name in source.members if name.rpartition("/")[2] == "dataset.json"]
    manifests = []
    for name in names:
        try:
            content = json.loads(source.read(name))
        except (ValueError, RecursionError) as error:
            raise LayoutError(f"{source.where(name)}: is no JSON: {error}") from error
        if isinstance(content, dict) and ("modality" in content or "channel_names" in content):
            manifests.append(read_manifest(source, name, content))
    described = {manifest.root for manifest in manifests}
    bare = [root for root in bare_decathlon(source.members) if root not in described]
    return manifests + [made_up(source, root) for root in bare]


def made_up(source: Source, root: str) -> Manifest:
    """Manifest of a Decathlon folder without a dataset.json."""
    return Manifest(
        name=f"{source.path}/{root}",
        root=root,
        channels=tuple(enumerate(DECATHLON_ORDER)),
        n_channels=len(DECATHLON_ORDER),
        scheme=None,
        scheme_fault="",
        training=(),
        test=(),
        listed=(),
        is_nnunet=False,
    )


def read_manifest(source: Source, name: str, content: dict[str, Any]) -> Manifest:
    """Interpret one dataset.json.

    Args:
        source: where it lies.
        name: its member name.
        content: what it holds.

    Raises:
        LayoutError: its channels or labels are unknown, or it has another form.
    """
    place = source.where(name)
    root = name[: -len("dataset.json")]
    images = [stem(member) for member in source.members if member.startswith(f"{root}imagesTr/")]
    try:
        names = content.get("channel_names") or content["modality"]
        scheme_name, scheme_fault = scheme(content.get("labels") or {}, place)
        return Manifest(
            name=place,
            root=root,
            channels=channels(names, place),
            n_channels=len(names),
            scheme=scheme_name,
            scheme_fault=scheme_fault,
            training=_training(source, root, content.get("training") or ()),
            test=tuple(
                listed(source, root, entry["image"] if isinstance(entry, dict) else entry)
                for entry in content.get("test") or ()
            ),
            listed=_listed_cases(source, root, content.get("dataset") or {}),
            is_nnunet="channel_names" in content
            or (bool(images) and all(_CHANNEL.fullmatch(image) for image in images)),
        )
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise LayoutError(
            f"{place}: cannot be understood: {error!r}; "
            "expected the form of the Decathlon or of nnU-Net"
        ) from error


def _training(source: Source, root: str, entries: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """Image and label of each entry of `training`."""
    return tuple(
        (listed(source, root, entry["image"]), listed(source, root, entry["label"]))
        for entry in entries
    )


def _listed_cases(
    source: Source, root: str, entries: dict[str, Any]
) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    """Case, image of each channel and label of each entry of version 2's `dataset`."""
    return tuple(
        (
            case,
            tuple(listed(source, root, image) for image in entry["images"]),
            listed(source, root, entry["label"]) if entry.get("label") else "",
        )
        for case, entry in entries.items()
    )


def listed(source: Source, root: str, name: str) -> str:
    """Member that an entry such as `./imagesTr/BRATS_001.nii.gz` means.

    Paths of Windows are read too. Of a path that leads elsewhere, as in a list that was written
    on another machine, the last folder and the file name count where the set has such a file.
    """
    path = name.replace("\\", "/")
    member = posixpath.normpath(root + path)
    if member not in source.members:
        near = root + "/".join(path.split("/")[-2:])
        if near in source.members:
            return near
    return member


def channels(names: dict[str, str], place: str) -> tuple[tuple[int, str], ...]:
    """Index and modality of each channel.

    Raises:
        LayoutError: two names mean one modality.
    """
    roles = tuple((int(index), channel_role(name)) for index, name in names.items())
    found = [role for _, role in roles]
    if len(set(found)) != len(found):
        raise LayoutError(
            f"{place}: channels are {', '.join(names.values())}, which means "
            f"{', '.join(found)}; expected different modalities"
        )
    return roles


def decathlon(source: Source, manifest: Manifest) -> Batch:
    """Gather the 4D cases that a dataset.json lists, or that lie in its folders."""
    batch = Batch()
    inside = folder_files(source, manifest.root)
    training = manifest.training or tuple(
        (image, image.replace("imagesTr/", "labelsTr/")) for image in inside["imagesTr"]
    )
    test = manifest.test or tuple(inside["imagesTs"])
    tests = tuple((image, image.replace("imagesTs/", "labelsTs/")) for image in test)
    training = _present(source, manifest, batch, training, "training")
    tests = _present(source, manifest, batch, tests, "test")
    for image, label in (*training, *tests):
        draft = Draft(stem(image), image.rpartition("/")[0], is_test=(image, label) in tests)
        for index, name in manifest.channels:
            draft.add(name, image, index, manifest.n_channels)
        if label in source.members:
            draft.add(LABEL, label)
        batch.drafts.append(draft)
    unlisted = set(inside["imagesTr"]) - {image for image, _ in training}
    if unlisted:
        batch.notes.append(_unlisted(manifest, unlisted))
    return batch


def _present(
    source: Source,
    manifest: Manifest,
    batch: Batch,
    pairs: tuple[tuple[str, str], ...],
    kind: str,
) -> tuple[tuple[str, str], ...]:
    """The listed (image, label) pairs whose image exists; notes the others in the batch.

    If no training image exists, that is a problem: the list belongs to another set.
    """
    present = tuple(pair for pair in pairs if pair[0] in source.members)
    missing = [image for image, _ in pairs if image not in source.members]
    if missing and (present or kind == "test"):
        batch.notes.append(
            f"{manifest.name}: {len(missing)} of {len(pairs)} listed {kind} images are missing, "
            f"such as {missing[0]}; the others are taken"
        )
    elif missing:
        batch.problems += [
            (stem(image), f"{source.where(image)}: is listed in {manifest.name} but missing")
            for image in missing
        ]
    return present


def _unlisted(manifest: Manifest, names: Collection[str]) -> str:
    """Note about images that a list leaves out."""
    return (
        f"{manifest.name}: {len(names)} images are not listed and not taken, such as {min(names)}"
    )


def nnunet(source: Source, manifest: Manifest) -> Batch:
    """Gather the cases of `imagesTr/ID_0000.nii.gz` and its like.

    Where the dataset.json lists cases, those are taken with the labels listed, and no others.
    """
    batch = Batch()
    if manifest.listed:
        _add_listed(source, manifest, batch)
        return batch
    drafts = _by_channel(source, manifest)
    inside = folder_files(source, manifest.root)
    labels = {
        is_test: {stem(member): member for member in inside["labelsTs" if is_test else "labelsTr"]}
        for is_test in (False, True)
    }
    listed_labels = {stem(image): label for image, label in manifest.training}
    for draft in drafts:
        if draft.is_test or not listed_labels:
            label = labels[draft.is_test].get(draft.id, "")
        else:
            label = listed_labels.get(draft.id, "")
        if label in source.members:
            draft.add(LABEL, label)
    batch.drafts = [
        draft for draft in drafts if draft.is_test or not listed_labels or draft.id in listed_labels
    ]
    _note_lists(manifest, batch, drafts, listed_labels)
    return batch


def _note_lists(
    manifest: Manifest, batch: Batch, drafts: list[Draft], listed_labels: dict[str, str]
) -> None:
    """Note which cases only the list or only the folder has."""
    training = {draft.id for draft in drafts if not draft.is_test}
    missing = sorted(set(listed_labels) - training)
    if missing:
        batch.notes.append(
            f"{manifest.name}: {len(missing)} of {len(listed_labels)} listed training images are "
            f"missing, such as {missing[0]}; the others are taken"
        )
    unlisted = training - set(listed_labels) if listed_labels else set()
    if unlisted:
        batch.notes.append(_unlisted(manifest, unlisted))


def _by_channel(source: Source, manifest: Manifest) -> list[Draft]:
    """Cases of the files `ID_0000.nii.gz`, without labels."""
    inside = folder_files(source, manifest.root)
    roles = dict(manifest.channels)
    drafts: dict[tuple[str, str], Draft] = {}
    for member in (*inside["imagesTr"], *inside["imagesTs"]):
        match = _CHANNEL.fullmatch(stem(member))
        if match is None:
            continue
        folder = member.rpartition("/")[0]
        draft = drafts.setdefault((folder, match[1]), Draft(match[1], folder))
        draft.is_test = folder.endswith("imagesTs")
        if int(match[2]) in roles:
            draft.add(roles[int(match[2])], member)
    return list(drafts.values())


def _add_listed(source: Source, manifest: Manifest, batch: Batch) -> None:
    """Gather the cases of version 2's `dataset`, whose paths are listed file by file."""
    missing = []
    for case, images, label in manifest.listed:
        if not images or images[0] not in source.members:
            missing.append(case)
            continue
        draft = Draft(case, images[0].rpartition("/")[0])
        for index, name in manifest.channels:
            if index < len(images) and images[index] in source.members:
                draft.add(name, images[index])
        if label in source.members:
            draft.add(LABEL, label)
        batch.drafts.append(draft)
    if missing and batch.drafts:
        batch.notes.append(
            f"{manifest.name}: {len(missing)} of {len(manifest.listed)} listed training images "
            f"are missing, such as {missing[0]}; the others are taken"
        )
    elif missing:
        batch.problems.append(
            (missing[0], f"{manifest.name}: none of its {len(missing)} listed cases is there")
        )


def folder_files(source: Source, root: str) -> dict[str, list[str]]:
    """NIfTI files of each of FOLDERS under a root."""
    return {
        folder: [
            member
            for member in source.members
            if member.startswith(f"{root}{folder}/") and is_nifti(member)
        ]
        for folder in FOLDERS
    }


def bare_decathlon(members: Iterable[str]) -> list[str]:
    """Roots of Decathlon folders without a dataset.json, recognised by `BRATS_001`."""
    roots = set()
    for member in members:
        folder = member.rpartition("/")[0]
        if folder.rpartition("/")[2] == "imagesTr" and _TASK01.fullmatch(stem(member)):
            roots.add(folder.removesuffix("imagesTr"))
    return sorted(roots)

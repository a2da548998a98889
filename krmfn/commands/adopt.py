"""`krmfn adopt`: the configuration of other tools as an ImageAutomation, and every key that has no equal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.adopt import dependabot, image_updater, json5, keel, renovate
from krmfn.adopt.census import Document, Wanted, canonical, leaves
from krmfn.commands import options
from krmfn.config.loading import load
from krmfn.config.schema import API_VERSION
from krmfn.errors import InputError
from krmfn.inventory import files
from krmfn.kubernetes import finder
from krmfn.kubernetes.form import parsed
from krmfn.sanitize import printable
from krmfn.yamledit.authored import document as written
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.image import ImageRef
    from krmfn.kubernetes.places import Place
    from krmfn.yamledit.nodes import Block


@options.verb(
    "krmfn adopt . > krmfn.yaml         # the policies; every key that has no equal stands on stderr",
    "krmfn adopt . --keys               # every key, file and line, and what it is in krmfn",
    "kubectl get deploy -o yaml | krmfn adopt -    # annotations of Image Updater and Keel in a cluster",
    exits="0 done, 1 an error, or nothing to adopt, 2 usage",
)
@options.looking(options.LOOKED_AT)
@click.option("--keys", is_flag=True, help="Print every key and what became of it, instead of the policies.")
def command(paths: tuple[Path, ...], keys: bool) -> int:
    """Print the policies that other tools' configuration below PATHS means, as one ImageAutomation.

    Read are Renovate (renovate.json, renovate.json5, .renovaterc and comments), Dependabot (.github/dependabot.yml),
    Argo CD Image Updater (annotations, ImageUpdater) and Keel (annotations, labels). What Rancher Fleet says in
    imageScans needs no adoption: every command reads it as it is.

    Nothing is written or removed, no registry is asked, and logins are never copied.
    """
    adopted = list(_adopted(paths))
    chosen = _chosen(wanted for _, each in adopted for wanted in each)
    rows = [(document.path, *key) for document, _ in adopted for key in document.told()]
    for path, line, key, fate in rows:
        text = f"{path}:{line}: {key}: {fate.what}"
        if keys:
            terminal.tell(printable(f"{text} ({'mapped' if fate.is_mapped else 'left'})", 2000))
        elif not fate.is_mapped:
            terminal.say(text, "warning")
    left = sum(not fate.is_mapped for *_, fate in rows)
    terminal.say(f"{len(chosen)} policies from {len(rows)} keys, {left} of them without an equal")
    if not chosen:
        return 1
    if not keys:
        terminal.echo(_automation(chosen), nl=False)
    return 0


def _adopted(paths: Iterable[Path]) -> Iterator[tuple[Document, list[Wanted]]]:
    """Yield every document of another tool with the policies that it means. Raises InputError for one that is no YAML."""
    tree = options.read(paths)
    options.tell_skipped(one for one in tree.skipped if one.matters)
    places = [place for place in finder.find(tree.blocks, tree.graph) if place.ref is not None]
    tops = [path for path in paths if path.is_dir()]
    images = [(_from_top(place.file.path, tops), place.ref) for place in places if place.ref]
    comments = [
        one for text in tree.every for one in renovate.comments(text.name, text.data.decode("utf-8", "replace"))
    ]
    names = [(top / name, name) for top in tops for name in (*renovate.NAMES, *dependabot.NAMES)]
    named_files = [(text, name) for path, name in names if path.is_file() and (text := files.read_text(path))]
    for text, name in named_files:
        named = [(_from_top(one.path, tops), parsed(renovate.named_by(one))) for one in comments]
        yield _of_file(text, name, [*images, *((place, ref) for place, ref in named if ref and name in renovate.NAMES)])
    for text in tree.every:
        yield from _of_manifest(text, places)
    is_ruled = any(name in renovate.NAMES for _, name in named_files)  # then its rules speak of what comments name, too
    for document in comments:
        wanted = list(renovate.commented(document))
        yield document, [] if is_ruled else wanted


def _from_top(path: str, tops: Sequence[Path]) -> str:
    return next((Path(path).relative_to(top).as_posix() for top in tops if Path(path).is_relative_to(top)), path)


def _of_file(text: Text, name: str, images: Sequence[tuple[str, ImageRef]]) -> tuple[Document, list[Wanted]]:
    is_renovate = name in renovate.NAMES
    blocks = documents(Text(json5.as_yaml(text.data), text.name) if is_renovate else text)
    document = Document(text.name, leaves(blocks[0]) if blocks else {})
    return document, list((renovate if is_renovate else dependabot).read(document, images))


def _of_manifest(text: Text, places: Sequence[Place]) -> Iterator[tuple[Document, list[Wanted]]]:
    words = (image_updater.PREFIX.encode(), b"argocd-image-updater.argoproj.io", b"keel.")
    if not any(word in text.data for word in words):
        return
    try:
        blocks: Sequence[Block] = documents(text)
    except InputError as error:
        terminal.say(f"{error}; left alone", "warning")
        return
    for block in blocks:
        document = Document(text.name, leaves(block))
        if document.value("kind") == "ImageUpdater":
            yield document, list(image_updater.resource(document))
        elif image_updater.is_annotated(document):
            yield document, list(image_updater.annotated(document))
        elif keel.is_annotated(document):
            here = (text.name, block.start)
            own = (one.ref for one in places if (one.resource.block.text.name, one.resource.block.start) == here)
            yield document, list(keel.annotated(document, dict.fromkeys(filter(None, own))))


def _chosen(every: Iterable[Wanted]) -> dict[str, Wanted]:
    """Return by image the first that wants it, as two policies for one image are an error; the others are told."""
    chosen: dict[str, Wanted] = {}
    for wanted in every:
        image = canonical(wanted.image)
        if not image:
            terminal.say(f"{wanted.path}:{wanted.line}: {wanted.image!r} is no image: no policy for it", "warning")
            continue
        first = chosen.setdefault(image, wanted)
        if (first.spec, first.require) != (wanted.spec, wanted.require):
            place = f"{first.path}:{first.line}"
            terminal.say(
                f"{wanted.path}:{wanted.line}: {wanted.image} has another policy from {place}: left", "warning"
            )
    return dict(sorted(chosen.items()))


def _policies(chosen: Mapping[str, Wanted]) -> list[dict[str, object]]:
    names: set[str] = set()
    policies: list[dict[str, object]] = []
    for image, wanted in chosen.items():
        name = image.rpartition("/")[2].replace("_", "-").replace(".", "-")
        if name in names:
            name = "-".join(image.replace("_", "-").replace(".", "-").split("/")[-2:])
        names.add(name)
        policies.append({"name": name, "image": wanted.image, **wanted.spec})
    return policies


def _require(chosen: Mapping[str, Wanted]) -> list[dict[str, object]]:
    """Return what is required of tags, one entry for all images of which the same is."""
    alike: dict[str, list[str]] = {}
    for image, wanted in chosen.items():
        if wanted.require:
            alike.setdefault(json.dumps(wanted.require, sort_keys=True), []).append(image)
    every = ((chosen[images[0]].require, images) for images in alike.values())
    return [require if len(images) == len(chosen) else {"images": images, **require} for require, images in every]


def _automation(chosen: Mapping[str, Wanted]) -> str:
    """Return the ImageAutomation. Raises ConfigError if krmfn itself would refuse it."""
    metadata = {"name": "images", "annotations": {"config.kubernetes.io/local-config": "true"}}
    require = _require(chosen)
    spec = {"onError": "keep", **({"require": require} if require else {}), "policies": _policies(chosen)}
    text = written({"apiVersion": API_VERSION, "kind": "ImageAutomation", "metadata": metadata, "spec": spec})
    load(documents(Text(text.encode(), "the adopted policies")))
    return text

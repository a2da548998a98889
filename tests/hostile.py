"""Hostile names and values, trees that are full of them, and every call of every verb that the command line knows."""

from __future__ import annotations

import gc
import io
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from unittest import mock
from xml.etree import ElementTree as ET

import click
import yaml

from krmfn import cli
from krmfn import function as krm_function
from tests.running import environment

PARTS = (
    "\n::error::x", "\r::warning::x", "\n##[error]x", "##vso[task.complete result=Failed;]", "\x1b[31m", "\x1b]0;x\x07", "\x9b2J", "\x85", "\u2028", "\u202e",
    "\u2066", "\u200b", "\ufeff", "\udcff", "\0", "\t", " ", "%0A", "%s", "{0}", "\\", "\\n", "'", '"', "`", "|", "<b>", "&", "#", "-", "--exec=x", "$(x)",
    "../", "é", "🚀", "a", "web", "[x](y)", "@acme", "*", "]]>", "<!--", "a" * 300,
)  # fmt: skip


def text(chance: random.Random) -> str:
    """Return one hostile text."""
    return "".join(chance.choices(PARTS, k=chance.randint(1, 5)))


def name(chance: random.Random, end: str = "") -> str:
    """Return a hostile text that a file system takes as a name: no NUL, no slash, 255 bytes at most."""
    raw = "".join(char for char in text(chance) if char not in "\0/").encode("utf-8", "surrogateescape")
    return os.fsdecode(raw[: 255 - len(end)]).strip(".") + end


def objects(chance: random.Random, *, is_configured: bool) -> Iterator[str]:
    """Yield documents with hostile names and values in every place; `is_configured` keeps policies such that krmfn takes them."""

    def odd() -> str:
        half = chance.random() < 0.005  # of a surrogate pair, which YAML has no way to write: the whole file is no YAML
        return json.dumps(text(chance).replace("\udcff", "\xff") + "\ud800" * half)

    def own(good: str) -> str:
        return good if is_configured else odd()

    for kind in ("Deployment", text(chance)):
        yield (
            f"apiVersion: apps/v1\nkind: {json.dumps(kind)}\nmetadata:\n  name: {odd()}\n  namespace: {odd()}\n  annotations:\n    {odd()}: {odd()}\n"
            f"    krmfn.dev/images: {json.dumps(json.dumps({text(chance): 'flux-system:web', 'web': text(chance)}))}\nspec:\n  template:\n    spec:\n      containers:\n"
            f'      - name: {odd()}\n        image: {odd()}\n      - name: web\n        image: ghcr.io/acme/web:1.2.0 # {{"$imagepolicy": "flux-system:web"}}\n'
            f"      - name: {odd()}\n        image: ghcr.io/acme/api:{odd()}\n      - name: c\n        image: {json.dumps('ghcr.io/acme/api:1' + text(chance))} # {{\"$imagepolicy\": {odd()}}}\n"
        )
    yield f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [{odd()}, ../{chance.randint(0, 9)}]\nimages: [{{name: {odd()}, newName: {odd()}, newTag: {odd()}}}]\n"
    yield f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web, namespace: flux-system}}\nspec: {{image: ghcr.io/acme/web, interval: {own('1m')}}}\n"
    yield (
        f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: web, namespace: flux-system, labels: {{{odd()}: {odd()}}}}}\n"
        f"spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: {own('1.x')}}}}}}}\nstatus: {{latestRef: {{name: {own('ghcr.io/acme/web')}, tag: {own('1.2.0')}}}}}\n"
    )
    yield (
        f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {{name: {own('apps')}, namespace: flux-system}}\nspec:\n"
        f"  sourceRef: {{kind: GitRepository, name: {odd()}}}\n  git: {{checkout: {{ref: {{branch: {odd()}}}}}, commit: {{author: {{email: {odd()}, name: {odd()}}}, messageTemplate: {odd()}}}, push: {{branch: {odd()}}}}}\n"
        f"  update: {{path: {own('.')}, strategy: {own('Setters')}}}\n"
    )
    yield (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec:\n  image: ghcr.io/acme/web\n  tags: [1.2.0, 1.3.0{'' if is_configured else ', ' + odd()}]\n"
    )
    yield (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {{name: {own('images')}}}\nspec:\n  images:\n"
        f"  - {{policy: {own('flux-system:web')}, image: {own('ghcr.io/acme/web')}, tag: {own('1.2.0')}, policyHash: {odd()}}}\n"
    )
    yield (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: {odd()}}}\nspec:\n  cases:\n"
        f"  - {{name: {odd()}, policy: {{semver: {{range: {own('1.x')}}}}}, tags: [1.0.0, {odd()}], expect: {{tag: {odd()}}}}}\n"
        f"  - {{name: {odd()}, policy: {{alphabetical: {{}}}}, tags: [{odd()}, a], expect: {{error: {odd()}}}}}\n"
    )
    yield f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {{name: {odd()}}}\nspec: {{policy: {own('flux-system:web')}, not: {own('1.9.9')}, because: {odd()}}}\n"
    yield (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: {odd()}}}\nspec:\n  policies:\n"
        f"  - {{name: {own('cache')}, image: {own('ghcr.io/acme/cache')}, policy: {{semver: {{range: {own('7.x')}}}}}}}\n{'' if is_configured else f'  {odd()}: {odd()}'}\n"
    )
    yield (
        f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    keel.sh/policy: {odd()}\n    argocd-image-updater.argoproj.io/image-list: {odd()}\n"
        f"    argocd-image-updater.argoproj.io/{name(chance)!r}: x\nspec: {{containers: [{{name: a, image: 'docker.io/library/redis:7.2.4'}}]}}\n"
    )
    yield f"image: redis:7.2.4 # {text(chance)}\n{odd()}: {odd()}\nkeel: {{policy: minor}}\n"


def tree(top: Path, seed: int, *, is_configured: bool) -> None:
    """Write a tree of files with hostile names, in folders with hostile names, that hold hostile values."""
    chance = random.Random(seed)
    folders = [top, *(top / (name(chance) or "x") for _ in range(3))]
    for folder in folders[1:]:
        folder.mkdir(parents=True, exist_ok=True)
    for number, document in enumerate(objects(chance, is_configured=is_configured)):
        place = chance.choice(folders) / name(chance, ".yaml")
        place.write_bytes((f"# {number}\n---\n" + document).encode("utf-8", "surrogateescape" if "\ud800" not in document else "replace"))
    (top / "renovate.json").write_text(json.dumps({text(chance): text(chance), "packageRules": [{"matchPackageNames": [text(chance)], "allowedVersions": text(chance), text(chance): 1}]}))
    (top / ".krmfnignore").write_text(f"x{text(chance)}\n".encode("utf-8", "replace").decode())


def dig(top: Path) -> None:
    """Make folders in folders until no call of the system takes the path of the file at their end."""
    place = os.open(top, os.O_RDONLY)
    for _ in range(22):
        os.mkdir("d" * 200, dir_fd=place)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    file = os.open("x" * 250 + ".yaml", os.O_WRONLY | os.O_CREAT, dir_fd=place)
    os.write(file, b"image: ghcr.io/acme/web:1.2.0\n")
    os.close(file)
    os.close(place)


class Call(NamedTuple):
    """One call of the command line: the verb, all arguments, and the output form."""

    verb: str
    arguments: tuple[str, ...]
    form: str = "text"


_WORDS = {"policy": ("web", "flux-system:web"), "what": ("flux-system:web@1.2.0", "web"), "kind": ("all", "policy"), "shell": ("bash",)}
"""Arguments that are no path; a hostile one is tried besides."""
_NEEDED = {
    "repository": ("--image", "ghcr.io/acme/web"), "policy": ("--image-ref", "web", "--select-semver", "1.x"),
    "update": ("--git-repo-ref", "flux-system", "--checkout-branch", "main", "--author-name", "a", "--author-email", "a@b"),
    "scan": ("--lane", "0", "--to", "scan"),
}  # fmt: skip
"""What `krmfn create image KIND` and `krmfn fleet` want besides a name."""
_NO_NETWORK = ("--source",)


def calls(chance: random.Random) -> Iterator[Call]:
    """Yield calls of every verb: plain, in every form of output, with every flag, and with a hostile value of every option and argument."""
    for verb in cli.COMMANDS:
        for words, command in _leaves((verb,), import_module(f"krmfn.commands.{verb}").command):
            yield from _of_command(verb, words, command, chance)


def _leaves(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name_of in command.list_commands(context):
        inner = command.get_command(context, name_of)
        assert inner is not None
        yield from _leaves((*words, name_of), inner)


def _of_command(verb: str, words: tuple[str, ...], command: click.Command, chance: random.Random) -> Iterator[Call]:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option)]
    usual = ["web" if one.name == "name" else _WORDS.get(one.name or "", (".",))[0] for one in arguments]
    words = (*words, *(_NEEDED.get(words[-1], ()) if verb in ("create", "fleet") else ()))
    yield Call(verb, (*words, *usual))
    for at in range(len(usual)):
        yield Call(verb, (*words, *usual[:at], argument(chance), *usual[at + 1 :]))
    for option in options:
        flag = max(option.opts, key=len)
        if isinstance(option.type, click.Choice):
            is_output = option.name in ("output", "form")
            for choice in option.type.choices:
                yield Call(verb, (*words, *usual, flag, str(choice)), str(choice) if is_output else "text")
        elif option.is_flag:
            yield Call(verb, (*words, *usual, flag))
        elif flag not in _NO_NETWORK:
            yield Call(verb, (*words, *usual, flag, argument(chance)))
            continue
        yield Call(verb, (*words, *usual, f"{flag}={argument(chance)}"))


def argument(chance: random.Random) -> str:
    """Return a hostile text that the system takes as an argument: no NUL, and bytes behind every surrogate."""
    return text(chance).replace("\0", "")


class Said(NamedTuple):
    """What a call printed, and how it ended."""

    code: int
    out: bytes
    err: bytes


def call(arguments: Sequence[str], cwd: Path, **more: str) -> Said:
    """Run the command line in this process with streams of bytes, as Python makes them."""
    return _run(lambda: cli.main(list(arguments)), cwd, b"", more)


def function(stdin: bytes, cwd: Path, **more: str) -> Said:
    """Run the function in this process."""
    try:
        return _run(lambda: krm_function.main([]), cwd, stdin, more)
    finally:
        gc.unfreeze()
        gc.enable()


def _run(main: Callable[[], int], cwd: Path, stdin: bytes, more: Mapping[str, str]) -> Said:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    here = Path.cwd()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as given, mock.patch.dict(os.environ, environment(**more), clear=True):
        given.buffer.write(stdin)
        given.seek(0)
        os.chdir(cwd)
        try:
            with mock.patch.multiple(sys, stdin=given, stdout=out, stderr=err):
                code = main()
        finally:
            os.chdir(here)
    return Said(code, _bytes(out), _bytes(err))


def _bytes(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    held = stream.buffer
    assert isinstance(held, io.BytesIO)
    return held.getvalue()


def check(said: Said, form: str = "text", codes: Sequence[int] = (0, 1, 2, 10)) -> None:
    """Assert that nothing printed acts upon a terminal, a CI system or a parser, and that nothing is a bug."""
    assert said.code in codes
    for printed in (said.out, said.err):
        shown = printed.decode()
        assert "Traceback" not in shown
        assert "this is a bug" not in shown, shown
        for line in shown.split("\n"):
            body = line.removesuffix("\r") if line.startswith(("+", "-", " ")) else line
            assert all(char.isprintable() or char == "\t" for char in body), repr(line)
            assert "##[" not in line, repr(line)
            assert "##vso[" not in line, repr(line)
            if line.lstrip().startswith("::"):
                assert form == "github", repr(line)
                assert line.startswith(("::error ", "::warning ", "::notice ")), repr(line)
    parse(said.out.decode(), form)


def parse(printed: str, form: str) -> None:
    """Assert that an output is what its form says."""
    if printed and form in ("json", "sarif"):
        json.loads(printed)
    elif printed and form == "junit":
        ET.fromstring(printed)
    elif printed and form == "yaml":
        list(yaml.compose_all(printed, yaml.CSafeLoader))


def every_file(top: Path, *but: Path) -> Mapping[str, bytes]:
    """Return every file below a folder by its path, and every link and device as empty; without some folders."""
    found = {}
    for folder, names, files in os.walk(top):
        names[:] = [one for one in names if Path(folder, one) not in but]
        for path in (Path(folder, one) for one in files):
            found[str(path)] = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    return found

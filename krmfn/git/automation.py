"""ImageUpdateAutomation as data: whose markers it moves, below which path, and how it commits and pushes.

Meaning: https://fluxcd.io/flux/components/image/imageupdateautomations/ (v1beta1, v1beta2, v1).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from krmfn.configuration.config import Config
from krmfn.configuration.flux import GROUP, key_of
from krmfn.configuration.objects import Object, Problems, listing, mapping, nearest, text
from krmfn.errors import ConfigError, InputError
from krmfn.model import PolicyKey
from krmfn.text.yamltext import Block

DEFAULT_MESSAGE = "Update from image update automation"
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_SIGNING = {"": "", "gpg": "openpgp", "ssh": "ssh"}


@dataclass(frozen=True, slots=True)
class Automation:
    """One ImageUpdateAutomation, checked. `signing` is git's name of the format, empty without a signingKey."""

    key: PolicyKey
    path: str = ""
    author_name: str = ""
    author_email: str = ""
    message_template: str = DEFAULT_MESSAGE
    values: tuple[tuple[str, str], ...] = ()
    signing: str = ""
    checkout_branch: str = ""
    push_branch: str = ""
    refspec: str = ""
    push_options: tuple[tuple[str, str], ...] = ()
    selector: Mapping[str, Any] | None = None
    is_suspended: bool = False

    @classmethod
    def read(cls, thing: Object, objects: Iterable[Object] = ()) -> Automation:
        """Read an automation; the branch of its GitRepository counts when that is among the objects. Raises ConfigError."""
        problems = Problems()
        made = _Reader(thing, tuple(objects), problems).read()
        if problems.found:
            raise ConfigError(problems.found)
        return made

    @property
    def branch(self) -> str:
        """The branch that is pushed to; empty when nothing names one."""
        return self.push_branch or self.checkout_branch

    def selects(self, labels: Mapping[str, Any]) -> bool:
        """Tell whether policySelector takes a policy with these labels; without one it takes every policy."""
        if self.selector is None:
            return True
        exact = mapping(self.selector.get("matchLabels"))
        return all(text(labels.get(name)) == text(value) and name in labels for name, value in exact.items()) and all(
            _holds(mapping(one), labels) for one in listing(self.selector.get("matchExpressions"))
        )

    def narrow(self, config: Config, objects: Iterable[Object]) -> Config:
        """Leave only the policies that this automation applies: its own namespace, and the selector."""
        labels = {
            key_of(thing.id): mapping(mapping(thing.data.get("metadata")).get("labels"))
            for thing in objects
            if thing.id.kind == "ImagePolicy" and thing.group == GROUP
        }
        mine = {
            key: policy
            for key, policy in config.policies.items()
            if key.namespace == self.key.namespace and self.selects(labels.get(key, {}))
        }
        dangling = {key: one for key, one in config.dangling.items() if key.namespace == self.key.namespace}
        return replace(config, policies=mine, dangling=dangling)

    def folder(self, root: Path) -> Path:
        """Answer the file or folder that `update.path` means; `..` never leads out of the root. Raises InputError."""
        inside = posixpath.normpath("/" + self.path).lstrip("/")
        place = root / inside
        if not place.exists():
            raise InputError(f"update.path {self.path}: there is no {inside} below it", name=str(root))
        return place

    def scope(self, blocks: Sequence[Block], root: Path) -> tuple[Block, ...]:
        """Answer the blocks whose files stand at or below `update.path`."""
        top = self.folder(root).resolve()
        return tuple(block for block in blocks if Path(block.text.name).resolve().is_relative_to(top))


def find(objects: Iterable[Object], name: str) -> Object:
    """Find the automation of this name, `name` or `namespace/name`; raises ConfigError with the names there are."""
    found = [thing for thing in objects if thing.id.kind == "ImageUpdateAutomation" and thing.group == GROUP]
    wanted, colon = name.replace("/", ":"), ":" in name.replace("/", ":")
    fits = [thing for thing in found if (str(key_of(thing.id)) if colon else thing.id.name) == wanted]
    if len(fits) == 1:
        return fits[0]
    names = [str(key_of(thing.id)) for thing in found]
    if fits:
        raise ConfigError([f"--automation {name}: there are {len(fits)}: {', '.join(names)}; write namespace/name"])
    known = f"; there {'are' if len(names) != 1 else 'is'} {', '.join(names) or 'none'}"
    raise ConfigError(
        [
            f"--automation {name}: no such ImageUpdateAutomation{nearest(name, [*names, *(thing.id.name for thing in found)]) or known}"
        ]
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, operator = text(expression.get("key")), text(expression.get("operator"))
    values = [text(value) for value in listing(expression.get("values"))]
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    return (text(labels.get(key)) in values and key in labels) == (operator == "In")


class _Reader:
    def __init__(self, thing: Object, objects: tuple[Object, ...], problems: Problems) -> None:
        self.thing, self.objects, self.problems = thing, objects, problems
        self.git = mapping(thing.spec.get("git"))
        self.commit = mapping(self.git.get("commit"))
        self.push = mapping(self.git.get("push"))

    def read(self) -> Automation:
        author = mapping(self.commit.get("author"))
        if not text(author.get("email")):
            self.wrong("spec.git.commit.author.email", "required: commits carry it")
        values = mapping(self.commit.get("messageTemplateValues"))
        return Automation(
            key_of(self.thing.id), self.path(), text(author.get("name")), text(author.get("email")),
            text(self.commit.get("messageTemplate")) or DEFAULT_MESSAGE,
            tuple(sorted((str(name), text(value)) for name, value in values.items())),
            self.signing(), self.branch(), text(self.push.get("branch")), self.refspec(),
            tuple((str(name), text(value)) for name, value in mapping(self.push.get("options")).items()),
            self.selector(), text(self.thing.spec.get("suspend")) == "true",
        )  # fmt: skip

    def wrong(self, path: str, message: str) -> None:
        self.problems.add(self.thing.id, path, message)

    def path(self) -> str:
        update = mapping(self.thing.spec.get("update"))
        strategy = text(update.get("strategy")) or "Setters"
        if strategy != "Setters":
            self.wrong("spec.update.strategy", f"unsupported update strategy: {strategy}")
        return text(update.get("path"))

    def signing(self) -> str:
        key = self.commit.get("signingKey")
        if not isinstance(key, dict):
            return ""
        kind = text(key.get("type")) or "gpg"
        if kind not in _SIGNING:
            self.wrong("spec.git.commit.signingKey.type", f"expected gpg or ssh, found {kind!r}")
        return _SIGNING.get(kind, "")

    def branch(self) -> str:
        ref = mapping(mapping(self.git.get("checkout")).get("ref"))
        if not ref:
            source = mapping(self.thing.spec.get("sourceRef"))
            namespace = text(source.get("namespace")) or self.thing.id.namespace
            wanted = (namespace, text(source.get("name")))
            repository = next(
                (
                    one
                    for one in self.objects
                    if one.id.kind == "GitRepository" and (one.id.namespace, one.id.name) == wanted
                ),
                None,
            )
            ref = mapping(repository.spec.get("ref")) if repository else {}
        return text(ref.get("branch"))

    def refspec(self) -> str:
        found = text(self.push.get("refspec"))
        if found.startswith("+"):
            self.wrong("spec.git.push.refspec", f"krmfn never forces a push: write {found[1:]}")
        return found

    def selector(self) -> Mapping[str, Any] | None:
        found = self.thing.spec.get("policySelector")
        if not isinstance(found, dict):
            return None
        for index, one in enumerate(listing(found.get("matchExpressions"))):
            operator = text(mapping(one).get("operator"))
            if operator not in _OPERATORS:
                place = f"spec.policySelector.matchExpressions[{index}].operator"
                self.wrong(
                    place, f"expected one of {', '.join(_OPERATORS)}, found {operator!r}{nearest(operator, _OPERATORS)}"
                )
        return found

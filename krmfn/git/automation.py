"""ImageUpdateAutomation as data: whose markers it moves, below which path, and how it commits and pushes.

Meaning: https://fluxcd.io/flux/components/image/imageupdateautomations/ (v1beta1, v1beta2, v1).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from krmfn.config.objects import GROUP, Object, Problems, key_of, listing, mapping, nearest, text
from krmfn.diagnostics import misconfigured
from krmfn.errors import ConfigError, InputError
from krmfn.git.names import branch_problem, refspec_problem, text_problem

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.model import PolicyKey
    from krmfn.yamledit.nodes import Block

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
    def read(cls, resource: Object, objects: Iterable[Object] = ()) -> Automation:
        """Read an automation; the branch of its GitRepository counts if that is among the objects. Raise ConfigError."""
        problems = Problems()
        automation = _Reader(resource, tuple(objects), problems).read()
        if problems.found:
            raise ConfigError(problems.found)
        return automation

    @property
    def branch(self) -> str:
        """The branch that is pushed to; empty when nothing names one."""
        return self.push_branch or self.checkout_branch

    def selects(self, labels: Mapping[str, Any]) -> bool:
        """Return True if policySelector takes a policy with these labels; without one it takes every policy."""
        if self.selector is None:
            return True
        exact = mapping(self.selector.get("matchLabels"))
        return all(text(labels.get(name)) == text(value) and name in labels for name, value in exact.items()) and all(
            _holds(mapping(one), labels) for one in listing(self.selector.get("matchExpressions"))
        )

    def narrow(self, config: Config, objects: Iterable[Object]) -> Config:
        """Return the configuration with only the policies that this automation applies: its own namespace, and the selector."""
        labels = {
            key_of(resource.id): mapping(mapping(resource.data.get("metadata")).get("labels"))
            for resource in objects
            if resource.id.kind == "ImagePolicy" and resource.group == GROUP
        }
        mine = {
            key: policy
            for key, policy in config.policies.items()
            if key.namespace == self.key.namespace and self.selects(labels.get(key, {}))
        }
        unresolved = {key: one for key, one in config.unresolved.items() if key.namespace == self.key.namespace}
        return config._replace(policies=mine, unresolved=unresolved)

    def folder(self, root: Path) -> Path:
        """Return the file or folder that `update.path` names; `..` never leads out of the root. Raise InputError."""
        inside = posixpath.normpath("/" + self.path).lstrip("/")
        place = root / inside
        if not posixpath.exists(place):
            raise InputError(f"update.path {self.path}: there is no {inside} below it", name=str(root))
        return place

    def scope(self, blocks: Sequence[Block], root: Path) -> tuple[Block, ...]:
        """Return the blocks whose files stand at or below `update.path`."""
        top = self.folder(root).resolve()
        return tuple(block for block in blocks if Path(block.text.name).resolve().is_relative_to(top))


def find(objects: Iterable[Object], name: str) -> Object:
    """Return the automation of this name, `name` or `namespace/name`. Raise ConfigError with the names there are."""
    automations = [one for one in objects if one.id.kind == "ImageUpdateAutomation" and one.group == GROUP]
    wanted, colon = name.replace("/", ":"), ":" in name.replace("/", ":")
    fits = [one for one in automations if (str(key_of(one.id)) if colon else one.id.name) == wanted]
    if len(fits) == 1:
        return fits[0]
    names = [str(key_of(one.id)) for one in automations]
    if fits:
        raise misconfigured(f"--automation {name}: there are {len(fits)}: {', '.join(names)}; write namespace/name")
    known = f"; there {'are' if len(names) != 1 else 'is'} {', '.join(names) or 'none'}"
    hint = nearest(name, [*names, *(one.id.name for one in automations)]) or known
    raise misconfigured(f"--automation {name}: no such ImageUpdateAutomation{hint}")


def _holds(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, operator = text(expression.get("key")), text(expression.get("operator"))
    values = [text(value) for value in listing(expression.get("values"))]
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    return (text(labels.get(key)) in values and key in labels) == (operator == "In")


class _Reader:
    def __init__(self, resource: Object, objects: tuple[Object, ...], problems: Problems) -> None:
        self.thing, self.objects, self.problems = resource, objects, problems
        self.git = mapping(resource.spec.get("git"))
        self.commit = mapping(self.git.get("commit"))
        self.push = mapping(self.git.get("push"))

    def read(self) -> Automation:
        author = mapping(self.commit.get("author"))
        if not text(author.get("email")):
            self.wrong("spec.git.commit.author.email", "required: commits carry it")
        values = mapping(self.commit.get("messageTemplateValues"))
        self.check_texts(author, values)
        return Automation(
            key_of(self.thing.id), self.path(), text(author.get("name")), text(author.get("email")),
            text(self.commit.get("messageTemplate")) or DEFAULT_MESSAGE,
            tuple(sorted((str(name), text(value)) for name, value in values.items())),
            self.signing(), self.branch(), self.checked_branch(text(self.push.get("branch")), "spec.git.push.branch"), self.refspec(),
            tuple((str(name), text(value)) for name, value in mapping(self.push.get("options")).items()),
            self.selector(), text(self.thing.spec.get("suspend")) == "true",
        )  # fmt: skip

    def check_texts(self, author: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Note every text that git would not take, or that would mean something else to it."""
        commit = "spec.git.commit"
        texts = [(f"{commit}.author.{name}", text(author.get(name)), False) for name in ("name", "email")]
        texts.append((f"{commit}.messageTemplate", text(self.commit.get("messageTemplate")), True))
        texts += [(f"{commit}.messageTemplateValues.{name}", text(value), True) for name, value in values.items()]
        for name, value in mapping(self.push.get("options")).items():
            texts += [(f"spec.git.push.options.{name}", text(part), False) for part in (name, value)]
        for path, value, lines in texts:
            if problem := text_problem(value, lines=lines):
                self.wrong(path, problem)

    def checked_branch(self, name: str, path: str) -> str:
        problem = branch_problem(name) if name else ""
        if problem:
            self.wrong(path, f"{name!r} {problem}")
        return name

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
        return self.checked_branch(text(ref.get("branch")), "spec.git.checkout.ref.branch")

    def refspec(self) -> str:
        refspec = text(self.push.get("refspec"))
        if refspec and (problem := refspec_problem(refspec)):
            self.wrong("spec.git.push.refspec", problem)
        return refspec

    def selector(self) -> Mapping[str, Any] | None:
        selector = self.thing.spec.get("policySelector")
        if not isinstance(selector, dict):
            return None
        for index, one in enumerate(listing(selector.get("matchExpressions"))):
            operator = text(mapping(one).get("operator"))
            if operator not in _OPERATORS:
                place = f"spec.policySelector.matchExpressions[{index}].operator"
                self.wrong(
                    place, f"expected one of {', '.join(_OPERATORS)}, found {operator!r}{nearest(operator, _OPERATORS)}"
                )
        return selector

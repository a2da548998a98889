"""ImageUpdateAutomation as data: whose markers it moves, below which path, and how it commits and pushes.

Meaning: https://fluxcd.io/flux/components/image/imageupdateautomations/ (v1beta1, v1beta2, v1).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        return _Reader(resource, objects).read()

    @property
    def branch(self) -> str:
        """The branch that is pushed to; empty when nothing names one."""
        return self.push_branch or self.checkout_branch

    def selects(self, labels: Mapping[str, Any]) -> bool:
        """Return True if policySelector takes a policy with these labels; without one it takes every policy."""
        if self.selector is None:
            return True
        # a label of matchLabels is an expression whose operator is In (meta/v1 LabelSelector)
        exact = mapping(self.selector.get("matchLabels")).items()
        expressions: list[Any] = [{"key": name, "operator": "In", "values": [value]} for name, value in exact]
        expressions += listing(self.selector.get("matchExpressions"))
        return all(_holds(mapping(expression), labels) for expression in expressions)

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
        unresolved = {key: why for key, why in config.unresolved.items() if key.namespace == self.key.namespace}
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
    automations = [each for each in objects if each.id.kind == "ImageUpdateAutomation" and each.group == GROUP]
    wanted, colon = name.replace("/", ":"), ":" in name.replace("/", ":")
    fits = [each for each in automations if (str(key_of(each.id)) if colon else each.id.name) == wanted]
    if len(fits) == 1:
        return fits[0]
    names = [str(key_of(each.id)) for each in automations]
    if fits:
        raise misconfigured(f"--automation {name}: there are {len(fits)}: {', '.join(names)}; write namespace/name")
    known = f"; there {'are' if len(names) != 1 else 'is'} {', '.join(names) or 'none'}"
    hint = nearest(name, [*names, *(each.id.name for each in automations)]) or known
    raise misconfigured(f"--automation {name}: no such ImageUpdateAutomation{hint}")


def _holds(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, operator = text(expression.get("key")), text(expression.get("operator"))
    values = [text(value) for value in listing(expression.get("values"))]
    if operator in ("Exists", "DoesNotExist"):
        return (key in labels) == (operator == "Exists")
    return (text(labels.get(key)) in values and key in labels) == (operator == "In")


class _Reader:
    """Reads one automation by the paths of its fields, and notes what is wrong with them."""

    def __init__(self, resource: Object, objects: Iterable[Object]) -> None:
        self.resource, self.objects, self.problems = resource, objects, Problems()

    def read(self) -> Automation:
        if not text(self.mapping("git.commit.author").get("email")):
            self.wrong("git.commit.author.email", "required: commits carry it")
        automation = Automation(
            key_of(self.resource.id),
            author_name=self.text("git.commit.author.name"),
            author_email=self.text("git.commit.author.email"),
            message_template=self.text("git.commit.messageTemplate", _lines_problem) or DEFAULT_MESSAGE,
            values=tuple(
                sorted(
                    (str(name), self.checked(f"git.commit.messageTemplateValues.{name}", value, _lines_problem))
                    for name, value in self.mapping("git.commit.messageTemplateValues").items()
                )
            ),
            push_options=tuple(
                (self.checked(f"git.push.options.{name}", name), self.checked(f"git.push.options.{name}", value))
                for name, value in self.mapping("git.push.options").items()
            ),
            path=self.path(),
            signing=self.signing(),
            checkout_branch=self.checked("git.checkout.ref.branch", self.checkout().get("branch"), _branch_problem),
            push_branch=self.text("git.push.branch", _branch_problem),
            refspec=self.text("git.push.refspec", refspec_problem),
            selector=self.selector(),
            is_suspended=text(self.resource.spec.get("suspend")) == "true",
        )
        if self.problems.found:
            raise ConfigError(self.problems.found)
        return automation

    def mapping(self, path: str) -> Mapping[str, Any]:
        """Return the mapping at a path below the spec, an empty one if there is none."""
        value = self.resource.spec
        for name in path.split("."):
            value = mapping(value.get(name))
        return value

    def text(self, path: str, problem_of: Callable[[str], str] = text_problem) -> str:
        parent, _, name = path.rpartition(".")
        return self.checked(path, self.mapping(parent).get(name), problem_of)

    def checked(self, path: str, value: Any, problem_of: Callable[[str], str] = text_problem) -> str:
        """Return a text, and note why git would not take it, or would take it for something else."""
        written = text(value)
        if written and (problem := problem_of(written)):
            self.wrong(path, problem)
        return written

    def wrong(self, path: str, message: str) -> None:
        self.problems.add(self.resource.id, f"spec.{path}", message)

    def path(self) -> str:
        update = self.mapping("update")
        strategy = text(update.get("strategy")) or "Setters"
        if strategy != "Setters":
            self.wrong("update.strategy", f"unsupported update strategy: {strategy}")
        return text(update.get("path"))

    def signing(self) -> str:
        key = self.mapping("git.commit").get("signingKey")
        if not isinstance(key, dict):
            return ""
        kind = text(key.get("type")) or "gpg"
        if kind not in _SIGNING:
            self.wrong("git.commit.signingKey.type", f"expected gpg or ssh, found {kind!r}")
        return _SIGNING.get(kind, "")

    def checkout(self) -> Mapping[str, Any]:
        """Return the reference that is checked out: the automation's own, or else that of its GitRepository."""
        source = self.mapping("sourceRef")
        wanted = text(source.get("namespace")) or self.resource.id.namespace, text(source.get("name"))
        repositories = (source for source in self.objects if source.id.kind == "GitRepository")
        repository = next((source for source in repositories if (source.id.namespace, source.id.name) == wanted), None)
        return self.mapping("git.checkout.ref") or mapping(repository.spec.get("ref") if repository else None)

    def selector(self) -> Mapping[str, Any] | None:
        selector = self.resource.spec.get("policySelector")
        if not isinstance(selector, dict):
            return None
        for index, expression in enumerate(listing(selector.get("matchExpressions"))):
            operator = text(mapping(expression).get("operator"))
            if operator not in _OPERATORS:
                expected = f"expected one of {', '.join(_OPERATORS)}, found {operator!r}{nearest(operator, _OPERATORS)}"
                self.wrong(f"policySelector.matchExpressions[{index}].operator", expected)
        return selector


def _lines_problem(value: str) -> str:
    return text_problem(value, lines=True)


def _branch_problem(name: str) -> str:
    problem = branch_problem(name)
    return f"{name!r} {problem}" if problem else ""

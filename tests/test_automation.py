"""ImageUpdateAutomation as data: which policies and files one takes, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.config.plain import read
from krmfn.errors import ConfigError, InputError
from krmfn.git.automation import DEFAULT_MESSAGE, Automation, find
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.config.objects import Object

HEAD = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {name: apps, namespace: flux-system}\nspec:\n"
COMMIT = "  git: {commit: {author: {email: flux@acme.example}}}\n"


def thing(spec: str, head: str = HEAD) -> Object:
    return next(one for block in documents(Text((head + spec).encode())) for one in read(block))


def automation(spec: str, *objects: Object) -> Automation:
    return Automation.read(thing(spec), objects)


def test_what_is_left_out_has_flux_defaults():
    made = automation(COMMIT)
    assert (made.message_template, made.path, made.branch, made.signing) == (DEFAULT_MESSAGE, "", "", "")
    assert made.selects({})


SELECTORS: dict[str, tuple[str, dict[str, str], bool]] = {
    "a label": ("{matchLabels: {team: web}}", {"team": "web"}, True),
    "another value": ("{matchLabels: {team: web}}", {"team": "db"}, False),
    "no label": ("{matchLabels: {team: web}}", {}, False),
    "two labels": ("{matchLabels: {a: x, b: y}}", {"a": "x"}, False),
    "an empty value": ("{matchLabels: {a: ''}}", {}, False),
    "an empty selector": ("{}", {"a": "x"}, True),
    "In": ("{matchExpressions: [{key: a, operator: In, values: [x, y]}]}", {"a": "y"}, True),
    "In, absent": ("{matchExpressions: [{key: a, operator: In, values: [x]}]}", {}, False),
    "NotIn": ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {"a": "x"}, False),
    "NotIn, absent": ("{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}", {}, True),
    "Exists": ("{matchExpressions: [{key: a, operator: Exists}]}", {"a": ""}, True),
    "DoesNotExist": ("{matchExpressions: [{key: a, operator: DoesNotExist}]}", {"a": ""}, False),
    "both": ("{matchLabels: {a: x}, matchExpressions: [{key: b, operator: Exists}]}", {"a": "x"}, False),
}


@pytest.mark.parametrize("case", SELECTORS)
def test_a_selector_takes_policies_as_kubernetes_does(case: str):
    selector, labels, expected = SELECTORS[case]
    assert automation(f"{COMMIT}  policySelector: {selector}\n").selects(labels) is expected


WRONG = {
    "no author": ("  interval: 1m\n", "spec.git.commit.author.email: required"),
    "another strategy": (COMMIT + "  update: {strategy: foo}\n", "unsupported update strategy: foo"),
    "an operator that is none": (
        COMMIT + "  policySelector: {matchExpressions: [{key: a, operator: NotIN}]}\n", "found 'NotIN'; did you mean NotIn?",
    ),
    "a key that is none": ("  git: {commit: {author: {email: a@b}, signingKey: {type: x509}}}\n", "expected gpg or ssh, found 'x509'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(case: str):
    spec, said = WRONG[case]
    with pytest.raises(ConfigError) as caught:
        automation(spec)
    assert said in str(caught.value)
    assert str(caught.value).startswith("ImageUpdateAutomation flux-system/apps: spec.")


def test_every_problem_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        automation("  update: {strategy: foo}\n")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(("kind", "signing"), [("", "openpgp"), (", type: gpg", "openpgp"), (", type: ssh", "ssh")])
def test_a_signing_key_has_the_formats_of_git(kind: str, signing: str):
    spec = f"  git: {{commit: {{author: {{email: a@b}}, signingKey: {{secretRef: {{name: key}}{kind}}}}}}}\n"
    assert automation(spec).signing == signing


def test_the_branch_of_the_git_repository_counts_when_none_is_named():
    head = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: repo, namespace: flux-system}\nspec:\n"
    repository = thing("  ref: {branch: trunk}\n", head)
    assert automation(COMMIT + "  sourceRef: {kind: GitRepository, name: repo}\n", repository).branch == "trunk"
    assert automation(COMMIT + "  sourceRef: {kind: GitRepository, name: other}\n", repository).branch == ""


PATHS = {"": ".", ".": ".", "./apps": "apps", "/apps": "apps", "../../apps": "apps", "apps/../../..": "."}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_stays_in_the_repository(tmp_path: Path, path: str):
    (tmp_path / "apps").mkdir()
    assert automation(f"{COMMIT}  update: {{path: '{path}'}}\n").folder(tmp_path) == tmp_path / PATHS[path]


@given(st.text(alphabet="./ab", max_size=20))
def test_no_path_leaves_the_repository(path: str):
    top = Path("/nonexistent/repository")
    made = Automation(automation(COMMIT).key, path)
    if (top.parent / path).exists():
        return
    try:
        assert made.folder(top).is_relative_to(top)
    except InputError as error:
        assert "there is no" in str(error)  # noqa: PT017 - either is right


def test_a_path_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(InputError, match=r"update.path ./apps: there is no apps below it"):
        automation(COMMIT + "  update: {path: ./apps}\n").folder(tmp_path)


NAMES: dict[str, str | None] = {
    "apps": None,
    "flux-system/apps": None,
    "flux-system:apps": None,
    "app": "did you mean apps?",
    "x": "there is flux-system:apps",
}


@pytest.mark.parametrize("name", NAMES)
def test_an_automation_is_found_by_name(name: str):
    one: Any = thing(COMMIT)
    said = NAMES[name]
    if said is None:
        assert find([one], name) is one
        return
    with pytest.raises(ConfigError) as caught:
        find([one], name)
    assert said in str(caught.value)

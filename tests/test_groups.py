"""Groups: policies that take the same version at the same time, or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from krmfn import pipeline
from krmfn.config.floor import read_floor
from krmfn.config.settings import overridden
from krmfn.errors import RegistryError
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests.lists import Tags, images, lock, locked, messages, pod, policy, relocked, resource_list, run

if TYPE_CHECKING:
    from krmfn.outcome import Outcome

WEB, API = "ghcr.io/acme/web", "ghcr.io/acme/api"
SEMVER = 'semver: {range: ">=0.0.1"}'


def group(by: str = "version", members: Sequence[str] = ("flux:web", "flux:api"), more: str = "") -> str:
    return (
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec:\n"
        f"  groups: [{{name: shop, policies: {json.dumps(members)}, by: {by}}}]\n{more}"
    )


def shop(web: str, api: str, web_rule: str = SEMVER, api_rule: str = SEMVER) -> tuple[str, ...]:
    """Write two policies with their fields."""
    return (
        policy(web_rule), policy(api_rule, name="api", image=API), pod(f"{WEB}:{web}"), pod(f"{API}:{api}", name="api", setter="flux:api"),
    )  # fmt: skip


def after(*documents: str, tags: Tags, **env: str) -> tuple[list[str], Outcome]:
    outcome = run(resource_list(*documents), tags, **env)
    assert not outcome.is_error, outcome.results
    return [one.rpartition(":")[2] for one in images(outcome)], outcome


VERSION, ALPHABETICAL = "version: {within: major}", "alphabetical: {}"
TABLE: list[Any] = [
    ("all may take the best", "version", SEMVER, "1.0.0 1.0.0", ["1.0.0", "1.1.0"], ["1.0.0", "1.1.0"], "1.1.0 1.1.0"),
    ("the highest that both have", "version", SEMVER, "1.0.0 1.0.0", ["1.0.0", "1.1.0", "1.2.0"], ["1.0.0", "1.1.0"], "1.1.0 1.1.0"),
    ("a laggard holds", "version", SEMVER, "1.0.0 1.0.0", ["1.0.0", "1.1.0"], ["1.0.0"], "1.0.0 1.0.0"),
    ("a v does not count", "version", SEMVER, "1.0.0 v1.0.0", ["1.0.0", "1.1.0"], ["v1.0.0", "v1.1.0", "v1.2.0"], "1.1.0 v1.1.0"),
    ("zeros at the end and variants do not count", "version", VERSION, "1.59 1.59.0-r1", ["1.59", "1.60"], ["1.59.0-r1", "1.60.0-r1", "1.60.0-r2"], "1.60 1.60.0-r2"),
    ("ten is no one", "version", VERSION, "1.1 1.1", ["1.1", "1.10"], ["1.1", "1.2"], "1.1 1.1"),
    ("a prerelease counts", "version", 'semver: {range: ">=0.0.1-0"}', "1.0.0 1.0.0", ["1.0.0", "1.1.0-rc.1"], ["1.0.0", "1.1.0-rc.2"], "1.0.0 1.0.0"),
    ("the same prerelease", "version", 'semver: {range: ">=0.0.1-0"}', "1.0.0 1.0.0", ["1.0.0", "1.1.0-rc.1"], ["1.0.0", "1.1.0-rc.1"], "1.1.0-rc.1 1.1.0-rc.1"),
    ("apart, and united by a version", "version", SEMVER, "1.1.0 1.0.0", ["1.1.0", "1.2.0"], ["1.0.0", "1.2.0"], "1.2.0 1.2.0"),
    ("apart, and united by what the other runs", "version", SEMVER, "1.1.0 1.0.0", ["1.1.0"], ["1.0.0", "1.1.0"], "1.1.0 1.1.0"),
    ("apart, and never down", "version", SEMVER, "1.2.0 1.0.0", ["1.1.0", "1.2.0"], ["1.0.0", "1.1.0"], "1.2.0 1.0.0"),
    ("apart, and nothing unites them", "version", SEMVER, "1.2.0 1.0.0", ["1.2.0", "1.3.0"], ["1.0.0", "1.0.5"], "1.2.0 1.0.0"),
    ("what runs outside of a policy is no bound", "version", SEMVER, "latest 1.0.0", ["1.1.0", "latest"], ["1.0.0", "1.1.0"], "1.1.0 1.1.0"),
    ("a tag without a version", "version", ALPHABETICAL, "main-a main-a", ["main-a", "main-b"], ["main-a", "main-b"], "main-a main-a"),
    ("by tag the whole text", "tag", ALPHABETICAL, "main-a main-a", ["main-a", "main-b", "main-d"], ["main-a", "main-b", "main-c"], "main-b main-b"),
    ("by tag a v counts", "tag", SEMVER, "1.0.0 1.0.0", ["1.0.0", "1.1.0"], ["1.0.0", "v1.1.0"], "1.0.0 1.0.0"),
    ("another variant of the same version", "version", VERSION, "1.0-r1 1.0", ["1.0-r1", "1.0-r2"], ["1.0"], "1.0-r2 1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("by", "rule", "current", "web", "api", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_group_moves_to(by, rule, current, web, api, expected):
    of_web, of_api = current.split()
    moved, _ = after(*shop(of_web, of_api, rule, rule), group(by), tags=Tags({WEB: web, API: api}))
    assert moved == expected.split()


LAGGARD = Tags({WEB: ["1.0.0", "1.1.0"], API: ["1.0.0"]})
NEEDS = "1.1.0: group shop waits for flux:api: it needs a tag of 1.1; the best by semver >=0.0.1 is 1.0.0"


def test_who_holds_a_group_and_what_would_free_it_is_told():
    _, outcome = after(*shop("1.0.0", "1.0.0"), group(), lock(), tags=LAGGARD)
    said = messages(outcome, "info")[0]
    assert said == f"{WEB}: {NEEDS}; 1.0.0 may run (policy flux:web)"
    assert {one["policy"]: (one["tag"], one.get("passedOver")) for one in locked(outcome)} == {
        "flux:api": ("1.0.0", None), "flux:web": ("1.0.0", NEEDS)
    }  # fmt: skip


HOLD = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: hold}\nspec:\n"
NEW = {WEB: ["1.0.0", "1.1.0"], API: ["1.0.0", "1.1.0"]}
SUSPENDED = policy(SEMVER, name="api", image=API, more="  suspend: true\n")
HOLDERS = [
    ("a hold until a day", (HOLD + '  policy: "flux:api"\n  not: 1.1.0\n  until: 2026-12-01\n',), "1.1.0: held (until 2026-12-01T00:00Z)", "2026-12-01T00:00Z"),
    ("a hold on a tag", (HOLD + '  policy: "flux:api"\n  tag: 1.0.0\n',), "1.1.0: held, on 1.0.0", ""),
    ("a rule", (group(more="  require: [{policies: ['flux:api'], minimumReleaseAge: 3 days}]\n").replace("name: rules", "name: more").replace("  groups", "  # groups"),), "1.1.0: too young for all that is known", ""),
]  # fmt: skip


@pytest.mark.parametrize(("more", "why", "eligible"), [row[1:] for row in HOLDERS], ids=[row[0] for row in HOLDERS])
def test_what_keeps_a_member_keeps_the_group(more, why, eligible):
    moved, outcome = after(*shop("1.0.0", "1.0.0"), group(), *more, tags=Tags(NEW), KRMFN_NOW="2026-11-26T00:00:00Z")
    assert moved == ["1.0.0", "1.0.0"]
    (said,) = (one for one in outcome.results if one.message.startswith(f"{WEB}: 1.1.0: group shop waits for flux:api: {why}"))
    assert said.eligible_at == eligible


def test_a_suspended_member_holds_the_group():
    web, _, *pods = shop("1.0.0", "1.0.0")
    moved, outcome = after(web, SUSPENDED, *pods, group(), tags=Tags(NEW))
    assert moved == ["1.0.0", "1.0.0"]
    assert any("waits for flux:api: it is suspended" in one for one in messages(outcome, "info"))


def test_a_member_whose_registry_is_away_holds_the_group():
    away = Tags({WEB: NEW[WEB]}, {API: RegistryError("unavailable", API, "no route to host")})
    moved, outcome = after(*shop("1.0.0", "1.0.0"), group(), tags=away, KRMFN_ON_ERROR="keep")
    assert moved == ["1.0.0", "1.0.0"]
    assert any("waits for flux:api: ghcr.io/acme/api: no route to host" in one for one in messages(outcome, "info"))


def test_members_that_are_apart_are_told():
    _, outcome = after(*shop("1.2.0", "1.0.0"), group(), tags=Tags({WEB: ["1.2.0"], API: ["1.0.0"]}))
    assert messages(outcome, "warning") == [
        "group shop: its members are apart (flux:api at 1.0.0, flux:web at 1.2.0); they stay until there is a version that all of them may take"
    ]


def test_a_member_without_a_field_has_to_have_the_version_too():
    web, api, pod_of_web, _ = shop("1.0.0", "1.0.0")
    moved, _ = after(web, api, pod_of_web, group(), tags=LAGGARD)
    assert moved == ["1.0.0"]


def test_frozen_takes_what_the_lock_holds_and_says_when_that_is_apart():
    record = relocked(*shop("1.0.0", "1.0.0"), tags=LAGGARD)
    moved, outcome = after(*shop("1.0.0", "1.0.0"), group(), record, tags=Tags({}), KRMFN_MODE="frozen")
    assert moved == ["1.1.0", "1.0.0"]
    assert any("are apart" in one for one in messages(outcome, "warning"))


IN_BUILD = 'metadata: {name: %s, annotations: {config.kubernetes.io/index: "0", kustomize.config.k8s.io/id: "1"}}'


def test_a_build_goes_on_from_the_lock():
    documents = [one.replace("kind: Pod\nmetadata: {name: web}", "kind: Pod\n" + IN_BUILD % "web") for one in shop("1.0.0", "1.0.0")]
    record = relocked(*shop("1.0.0", "1.0.0"), group(), tags=Tags(NEW))
    tags = Tags({WEB: [*NEW[WEB], "1.2.0"], API: NEW[API]})
    assert after(*documents, group(), record, tags=tags)[0] == ["1.1.0", "1.1.0"]
    assert after(*documents, group(), record, tags=Tags({**tags._tags, API: [*NEW[API], "1.2.0"]}))[0] == ["1.2.0", "1.2.0"]


MISTAKES = [
    (group(members=("flux:web", "flux:ap")), "spec.groups[0].policies[1]: no policy flux:ap is configured; did you mean flux:api?"),
    (group(members=("flux:web", "flux:web")), "spec.groups[0].policies: expected two policies or more"),
    (group(by="versoin"), "spec.groups[0].by: expected one of version, tag, found 'versoin'; did you mean version?"),
    (group() + "---\n" + group().replace("rules", "more").replace("name: shop", "name: other"), "spec.groups[0].policies[0]: policy flux:web stands in group shop too: keep one"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "expected"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_mistakes_are_told_with_what_to_write(document, expected):
    outcome = run(resource_list(*shop("1.0.0", "1.0.0"), document), LAGGARD)
    assert any(expected in one for one in messages(outcome, "error")), outcome.results


NUMBERS = st.integers(0, 5)
TAGS = st.sets(st.tuples(NUMBERS, st.sampled_from(["", "-r1", "-r2"])), max_size=6)
RULES = {"semver": SEMVER, "version": VERSION, "patch": "version: {within: patch}", "old": 'semver: {range: "<1.3.0"}'}


def spelt(number: int, variant: str, head: str) -> str:
    return f"{head}1.{number}.0{variant}"


@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(st.tuples(st.sampled_from(["", "v"]), NUMBERS, TAGS, st.sampled_from(sorted(RULES)), st.sets(NUMBERS, max_size=2)), min_size=2, max_size=3),
    st.booleans(),
)  # fmt: skip
@example(members=[("", 0, {(1, ""), (2, ""), (3, "")}, "semver", set()), ("v", 0, {(1, ""), (2, ""), (4, "")}, "semver", {2})], is_together=True)
def test_a_group_moves_nothing_that_would_stay_alone_and_never_parts_its_members(members, is_together):
    """Versions are 1.N.0, with variants; some are held."""
    documents, tags, currents = [], {}, []
    for index, (head, number, offered, rule, held) in enumerate(members):
        image, name = f"ghcr.io/acme/m{index}", f"m{index}"
        number = members[0][1] if is_together else number  # noqa: PLW2901
        currents.append(number)
        # `semver` takes a variant for a prerelease, so that only policies of the shape get some
        more = {(one, variant if rule in ("version", "patch") else "") for one, variant in offered} | {(number, "")}
        tags[image] = sorted(spelt(one, variant, head) for one, variant in more)
        documents += [policy(RULES[rule], name=name, image=image), pod(f"{image}:{spelt(number, '', head)}", name=name, setter=f"flux:{name}")]
        documents += [
            HOLD.replace("name: hold", f"name: hold-{index}-{one}") + f'  policy: "flux:{name}"\n  not: {spelt(one, "", head)}\n' for one in held
        ]

    def numbers(*more: str) -> list[int]:
        moved, _ = after(*documents, *more, tags=Tags(tags), KRMFN_ON_ERROR="keep")
        return [int(tag.split(".")[1]) for tag in moved]

    alone, united = numbers(), numbers(group(members=[f"flux:m{index}" for index in range(len(members))]))
    outside = [rule == "old" and before > 2 for before, (*_, rule, _) in zip(currents, members, strict=True)]
    for before, free, now, is_outside in zip(currents, alone, united, outside, strict=True):
        assert now == before or (now <= free and (before < now or is_outside))
    if is_together or united != currents:
        assert len(set(united)) == 1


def floored(tree: Sequence[str], *rules: str, tags: Tags) -> list[str]:
    """Return what a tree comes to under rules from outside."""
    floor = read_floor(documents(Text("---\n".join(rules).encode())))
    outcome = pipeline.run(Text(resource_list(*tree)), lambda _: tags, lambda made: overridden(made, {}), floor)
    assert not outcome.is_error, outcome.results
    return [one.rpartition(":")[2] for one in images(outcome)]


OUTSIDE = (*shop("1.0.0", "1.0.0")[:2], group())
RENAMED = (policy(SEMVER), policy(SEMVER, name="other", image=API), pod(f"{WEB}:1.0.0"), pod(f"{API}:1.0.0", name="api", setter="flux:other"))
ESCAPES = [
    ("leaves the group out", shop("1.0.0", "1.0.0")),
    ("has a group by itself", (*shop("1.0.0", "1.0.0"), policy(name="third", image="ghcr.io/acme/third"), group(members=("flux:web", "flux:third")))),
    ("renames a member", RENAMED),
]  # fmt: skip


@pytest.mark.parametrize("tree", [row[1] for row in ESCAPES], ids=[row[0] for row in ESCAPES])
def test_under_rules_from_outside_their_group_holds_when_a_tree(tree):
    tags = Tags({WEB: ["1.0.0", "1.1.0"], API: ["1.0.0"], "ghcr.io/acme/third": ["1.1.0"]})
    assert floored(tree, *OUTSIDE, tags=tags) == ["1.0.0", "1.0.0"]
    assert floored(tree[:4] if "third" in "".join(tree) else tree, *OUTSIDE[:2], tags=tags) == ["1.1.0", "1.0.0"]

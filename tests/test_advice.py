"""Advice is safe to follow: markers and annotations that krmfn proposes let an update change the version and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.config.loading import load
from krmfn.inventory import annotate
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text, apply
from tests.lists import IMAGE, Tags, digest, items, messages, policy, resource_list, run

TAGS = Tags({IMAGE: ["1.2.0", "1.3.0"]})
OLD, NEW = digest("old"), digest(f"{IMAGE}:1.3.0")
VERSIONS = {"1.2.0": "1.3.0", OLD: NEW, f"{IMAGE}:1.2.0": f"{IMAGE}:1.3.0", f"{IMAGE}:1.2.0@{OLD}": f"{IMAGE}:1.3.0@{NEW}"}
VERSIONS |= {f"1.2.0@{OLD}": f"1.3.0@{NEW}", f"--image={IMAGE}:1.2.0": f"--image={IMAGE}:1.3.0"}

NAMES = st.sampled_from(
    [
        {"repository": IMAGE},
        {"registry": "ghcr.io", "repository": "acme/web"},
        {"image": IMAGE},
        {"registry": "ghcr.io", "image": "acme/web"},
        {"hub": "ghcr.io/acme", "image": "web"},
        {"repository": "ghcr.io/acme", "image": "web"},
        {"name": IMAGE},
        {"imageName": IMAGE},
        {"webImage": IMAGE},
    ]
)
TAIL = st.sampled_from(
    [
        {"tag": "1.2.0"},
        {"imageTag": "1.2.0"},
        {"version": "1.2.0"},
        {"webImageTag": "1.2.0"},
        {"tag": "1.2.0", "digest": OLD},
        {"tag": f"1.2.0@{OLD}"},
        {"digest": OLD},
        {"tag": "1.2.0", "digest": ""},
        {"tag": "1.2.0", "pullPolicy": "Always", "version": "7.0.0"},
    ]
)
WHOLE = st.sampled_from(
    [
        {"image": f"{IMAGE}:1.2.0"},
        {"containers": [{"name": "web", "image": f"{IMAGE}:1.2.0@{OLD}"}, {"name": "web", "image": "other:1.2.0"}]},
        {"containers": [{"args": [f"--image={IMAGE}:1.2.0", "--port=1.2.0"]}]},
        {"images": [f"{IMAGE}:1.2.0", "other:1.2.0"]},
        {"env": [{"name": "WEB_IMAGE", "value": f"{IMAGE}:1.2.0"}]},
        {"parameters": [{"name": "image.repository", "value": IMAGE}, {"name": "image.tag", "value": "1.2.0"}]},
        {"parameters": [{"name": "web.image", "value": f"{IMAGE}:1.2.0"}]},
        {"web.image.repository": IMAGE, "web.image.tag": "1.2.0"},
        {"chart": f"oci://{IMAGE}", "version": "1.2.0"},
    ]
)
PAIRS = st.builds(lambda names, tail, more: {**names, **tail, **more}, NAMES, TAIL, st.sampled_from([{}, {"other": "1.2.0", "app": IMAGE}]))
SPECS = st.builds(lambda key, value: {key: value}, st.sampled_from(["sidecar", "image", "values", "web"]), PAIRS | WHOLE)


def leaves(node: Any, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """Yield every scalar of plain data with its path."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def resource(spec: dict[str, Any], annotations: dict[str, str] | None = None) -> str:
    metadata = {"name": "web", **({"annotations": annotations} if annotations else {})}
    return yaml.safe_dump({"apiVersion": "acme.example.org/v1", "kind": "Proxy", "metadata": metadata, "spec": spec}, sort_keys=False)


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[object, object]:
    """Return what was written for what."""
    old, new = dict(leaves(before)), dict(leaves(after))
    assert old.keys() == new.keys()
    return {old[path]: new[path] for path in old if old[path] != new[path]}


def updated(text: str, reflection: str) -> dict[str, Any]:
    outcome = run(resource_list(policy(reflection=reflection), text), TAGS)
    assert not outcome.is_error, messages(outcome, "error")
    return dict(items(outcome)[-1]["spec"])


def is_safe(spec: dict[str, Any], after: dict[str, Any]) -> None:
    for old, new in changed(spec, after).items():
        assert new == VERSIONS.get(str(old)) or (old == "" and new == NEW) or new == f"{VERSIONS.get(str(old))}@{NEW}", (old, new)


@settings(max_examples=150, deadline=None)
@given(SPECS, st.sampled_from(["Never", "IfNotPresent"]))
def test_markers_that_are_put_let_an_update_change_the_version_alone(spec: dict[str, Any], reflection: str):
    text = resource(spec)
    rules = load(documents(Text(policy(reflection=reflection).encode())))
    made = annotate.with_markers(documents(Text(text.encode(), "web.yaml")), list(rules.policies.values()))
    marked = apply(text.encode(), [edit for _, edit in made.edits]).decode()
    assert yaml.safe_load(marked) == yaml.safe_load(text)
    after = updated(marked, reflection)
    is_safe(spec, after)
    if made.made:
        assert changed(spec, after), "the markers do nothing"


@settings(max_examples=150, deadline=None)
@given(SPECS, st.sampled_from(["Never", "IfNotPresent"]))
def test_the_annotation_of_an_unbound_policy_lets_an_update_change_the_version_alone(spec: dict[str, Any], reflection: str):
    outcome = run(resource_list(policy(reflection=reflection), resource(spec)), TAGS)
    assert items(outcome)[-1]["spec"] == spec, "Flux's objects bind by markers and annotations"
    (advice,) = messages(outcome, "warning")
    if proposed := re.search(r"krmfn\.dev/images: '(\{.*?\})'", advice):
        after = updated(resource(spec, {"krmfn.dev/images": proposed[1]}), reflection)
        assert changed(spec, after), f"{proposed[1]} does nothing"
        is_safe(spec, after)
        assert json.loads(proposed[1])


def test_the_advice_of_a_sidecar_in_two_fields():
    text = "apiVersion: acme.example.org/v1\nkind: Proxy\nmetadata: {name: web}\nspec:\n  sidecar:\n    image: ghcr.io/acme/web\n    tag: 1.2.0\n"
    rules = load(documents(Text(policy().encode())))
    made = annotate.with_markers(documents(Text(text.encode(), "web.yaml")), list(rules.policies.values()))
    marked = apply(text.encode(), [edit for _, edit in made.edits]).decode()
    assert marked.endswith(
        '    image: ghcr.io/acme/web # {"$imagepolicy": "flux:web:name"}\n    tag: 1.2.0 # {"$imagepolicy": "flux:web:tag"}\n'
    )


@pytest.mark.parametrize("value", [f"{IMAGE}:${{TAG}}", "${IMAGE}:1.2.0", "${IMAGE}", f"{IMAGE}:1.2.0-${{ARCH}}"])
def test_nothing_is_advised_for_a_variable(value: str):
    spec = {"containers": [{"name": "web", "image": value}]}
    text = resource(spec)
    rules = load(documents(Text(policy().encode())))
    assert annotate.with_markers(documents(Text(text.encode(), "web.yaml")), list(rules.policies.values())).edits == []
    outcome = run(resource_list(policy(), text), TAGS)
    assert "krmfn.dev/images" not in "".join(messages(outcome, "warning"))

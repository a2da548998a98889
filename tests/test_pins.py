"""The form of a field is kept: pins, tags with digests, flags and schemes; and what has no known form is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from krmfn.errors import RegistryError
from tests.lists import (
    IMAGE,
    Tags,
    digest,
    down,
    images,
    items,
    lock,
    locked,
    messages,
    pod,
    policy,
    relocked,
    resource_list,
    run,
)

OLD = digest("old")
NEW = digest(f"{IMAGE}:1.3.0")
TAGS = Tags({IMAGE: ["1.0.0", "1.2.0", "1.3.0"]})
HELM = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\n"


def values(outcome):
    """Return the spec of the last item that came out."""
    return items(outcome)[-1]["spec"]


def field(value, suffix=""):
    """Write a resource with one marked field."""
    return f'kind: X\nmetadata: {{name: x}}\nspec:\n  field: {value} # {{"$imagepolicy": "flux:web{suffix}"}}\n'


FORMS = [
    ("a pinned image", "", f"{IMAGE}:1.2.0@{OLD}", f"{IMAGE}:1.3.0@{NEW}"),
    ("a digest alone gains its tag", "", f"{IMAGE}@{OLD}", f"{IMAGE}:1.3.0@{NEW}"),
    ("another image's pin", "", f"ghcr.io/acme/other:1.3.0@{OLD}", f"{IMAGE}:1.3.0@{NEW}"),
    ("a flag", "", f"--image={IMAGE}:1.2.0", f"--image={IMAGE}:1.3.0"),
    ("a pinned flag", "", f"--image={IMAGE}:1.2.0@{OLD}", f"--image={IMAGE}:1.3.0@{NEW}"),
    ("a flag of another image", "", "--image=nginx:1.2.0", f"--image={IMAGE}:1.3.0"),
    ("an empty flag", "", "--image=", f"--image={IMAGE}:1.3.0"),
    ("a variable", "", f"SIDECAR_IMAGE={IMAGE}:1.2.0", f"SIDECAR_IMAGE={IMAGE}:1.3.0"),
    ("docker://", "", f"docker://{IMAGE}:1.2.0", f"docker://{IMAGE}:1.3.0"),
    ("a flag with oci://", "", f"--from=oci://{IMAGE}:1.2.0@{OLD}", f"--from=oci://{IMAGE}:1.3.0@{NEW}"),
    ("text behind", "", f"{IMAGE}:1.2.0,linux/amd64", f"{IMAGE}:1.3.0,linux/amd64"),
    ("a command", "", f"docker run --rm {IMAGE}:1.2.0 serve --port=80", f"docker run --rm {IMAGE}:1.3.0 serve --port=80"),
    ("JSON", "", f"""'["--image={IMAGE}:1.2.0"]'""", f'["--image={IMAGE}:1.3.0"]'),
    ("blanks in quotes", "", f"' {IMAGE}:1.2.0 '", f" {IMAGE}:1.3.0 "),
    ("a tag", ":tag", "1.2.0", "1.3.0"),
    ("a pinned tag", ":tag", f"1.2.0@{OLD}", f"1.3.0@{NEW}"),
    ("latest, pinned", ":tag", f"latest@{OLD}", f"1.3.0@{NEW}"),
    ("a tag in a flag", ":tag", "--version=1.2.0", "--version=1.3.0"),
    ("a pinned tag in a flag", ":tag", f"--version=1.2.0@{OLD}", f"--version=1.3.0@{NEW}"),
    ("a tag in a variable", ":tag", "TAG='1.2.0'", "TAG='1.3.0'"),
    ("an image under :tag", ":tag", f"docker.io/x/y {IMAGE}:1.2.0", f"docker.io/x/y {IMAGE}:1.3.0"),
    ("an image under :tag, whole", ":tag", f"{IMAGE}:1.2.0@{OLD}", f"{IMAGE}:1.3.0@{NEW}"),
    ("a name", ":name", "ghcr.io/acme/old", IMAGE),
    ("a name behind oci://", ":name", "oci://ghcr.io/acme/old", f"oci://{IMAGE}"),
    ("a name in a flag", ":name", "--repository=acme/old", f"--repository={IMAGE}"),
    ("a digest", ":digest", OLD, NEW),
    ("a digest in a flag", ":digest", f"--digest={OLD}", f"--digest={NEW}"),
    ("a digest behind @", ":digest", f"'@{OLD}'", f"@{NEW}"),
    ("hex alone", ":digest", OLD[7:], NEW[7:]),
    ("an image under :digest", ":digest", f"{IMAGE}@{OLD}", f"{IMAGE}@{NEW}"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "old", "new"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
@pytest.mark.parametrize("how", ["marker", "annotation", "target"])
def test_a_field_keeps_its_form_however_it_is_bound(suffix, old, new, how):
    documents = [policy(), field(old, suffix)]
    if how != "marker":
        documents[1] = documents[1].partition(" # {")[0] + "\n"
    if how == "annotation":
        documents[1] = documents[1].replace(
            "{name: x}", f"""{{name: x, annotations: {{krmfn.dev/images: '{{"$.spec.field": "flux:web{suffix}"}}'}}}}"""
        )
    if how == "target":
        documents.insert(0, (
            "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images}\nspec:\n"
            f"  targets: [{{policy: 'flux:web', part: {suffix[1:] or 'image'}, path: $.spec.field}}]\n"
        ))  # fmt: skip
    outcome = run(resource_list(*documents), TAGS)
    assert not outcome.is_error, outcome.results
    assert values(outcome)["field"] == new
    again = run(outcome.text, TAGS)
    assert values(again)["field"] == new


REFUSED = [
    ("", "${IMAGE}"),
    ("", f"{IMAGE}:${{TAG}}"),
    ("", "IMAGE_PLACEHOLDER"),
    ("", "--log-level=debug"),
    ("", f"--a={IMAGE}:1.2.0 --b={IMAGE}:1.0.0"),
    ("", "ENC[AES256_GCM,data:x]"),
    (":tag", "^1.2"),
    (":tag", "'>=1.2.0 <2'"),
    (":tag", "${TAG}"),
    (":tag", "ghcr.io/acme/other:1.2.0"),
    (":tag", OLD),
    (":name", "ghcr.io/acme/other:1.2.0"),
    (":name", "Not A Name"),
    (":digest", "1.2.0"),
    (":digest", f"1.2.0@{OLD}"),
    (":digest", f"{IMAGE}:1.2.0@{OLD}"),
]


@pytest.mark.parametrize(("suffix", "value"), REFUSED)
def test_what_has_no_known_form_is_refused_with_advice(suffix, value):
    data = resource_list(policy(reflection="Always"), field(value, suffix))
    outcome = run(data, TAGS)
    (said,) = messages(outcome, "error")
    assert outcome.text.startswith(data)
    assert "which would be lost; expected a" in said
    assert "or remove the binding" in said


PAIRS = [
    ("Helm values", HELM + "spec:\n  image:\n    repository: ghcr.io/acme/web\n    tag: TAG\n    digest: PIN\n"),
    (
        "Helm values with a sha",
        HELM + "spec:\n  image:\n    repository: ghcr.io/acme/web\n    tag: TAG\n    sha: HEX\n",
    ),
    ("in flow", HELM + "spec: {image: {repository: ghcr.io/acme/web, digest: 'PIN',\n  tag: TAG\n  }}\n"),
    ("prefixed keys", "kind: X\nspec:\n  imageTag: TAG\n  imageDigest: PIN\n"),
    ("an image that the chart names", HELM + "spec:\n  values:\n    image:\n      tag: TAG\n      digest: PIN\n"),
    (
        "an OCIRepository",
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web}\nspec:\n  ref:\n    tag: TAG\n    digest: PIN\n",
    ),
    (
        "a kustomization",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n- name: web\n  newTag: TAG\n  digest: PIN\n",
    ),
]


def pair(template, tag, pin, *, marked=()):
    """Fill a template in, with markers behind the fields that are named."""

    def end(part):
        return f' # {{"$imagepolicy": "flux:web:{part}"}}' if part in marked else ""

    return (
        template.replace("TAG", tag + end("tag"))
        .replace("PIN", pin + end("digest"))
        .replace("HEX", pin[7:] + end("digest"))
    )


@pytest.mark.parametrize("template", [row[1] for row in PAIRS], ids=[row[0] for row in PAIRS])
@pytest.mark.parametrize("reflection", ["Never", "IfNotPresent", "Always"])
@pytest.mark.parametrize("marked", [("tag",), ("tag", "digest")], ids=" ".join)
def test_a_digest_beside_a_tag_moves_with_it(template, reflection, marked):
    if "digest" in marked and "'PIN'" in template:
        return  # a comment cannot stand in the middle of a flow mapping's line
    data = resource_list(policy(reflection=reflection), pair(template, "1.2.0", OLD, marked=marked))
    outcome = run(data, TAGS)
    assert not outcome.is_error, outcome.results
    expected = data.replace(b"ag: 1.2.0", b"ag: 1.3.0").replace(OLD[7:].encode(), NEW[7:].encode())
    assert outcome.text.startswith(expected)
    assert run(expected, TAGS).text == expected


@pytest.mark.parametrize("template", [row[1] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_a_pin_of_the_chosen_tag_is_never_touched_under_never(template):
    tags = Tags({IMAGE: ["1.3.0"]})
    data = resource_list(
        policy(),
        pair(template, "1.3.0", OLD, marked=("tag",)),
        pod(f"{IMAGE}:1.3.0@{OLD}"),
        field(f"1.3.0@{OLD}", ":tag"),
    )
    assert run(data, tags).text == data
    assert tags.asked == [IMAGE]


def test_each_pair_of_a_resource_looks_at_its_own_tag():
    half = '  {}:\n    repository: ghcr.io/acme/web\n    tag: {} # {{"$imagepolicy": "flux:web:tag"}}\n    digest: {} # {{"$imagepolicy": "flux:web:digest"}}\n'
    there = digest("pushed long ago")
    outcome = run(
        resource_list(policy(), HELM + "spec:\n" + half.format("a", "1.2.0", OLD) + half.format("b", "1.3.0", there)),
        TAGS,
    )
    spec = values(outcome)
    assert spec["b"]["digest"] == there
    assert (spec["a"]["tag"], spec["a"]["digest"]) == ("1.3.0", NEW)


def test_a_digest_in_hexadecimal_moves_with_the_tag_beside_it():
    old, new = (
        HELM + f"spec:\n  image:\n    repository: ghcr.io/acme/web\n    tag: {tag}\n    sha256: {digest.removeprefix('sha256:')}\n"
        for tag, digest in (("1.2.0", OLD), ("1.3.0", NEW))
    )
    outcome = run(resource_list(inline("Never"), old), TAGS)
    assert outcome.text.startswith(resource_list(inline("Never"), new)), outcome.results


OCI = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web}\nspec:\n  url: oci://ghcr.io/acme/web\n"
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n"
BY_NAME = [
    ("a tag and a digest", HELM + "spec:\n  image:\n    repository: ghcr.io/acme/web\n    tag: 1.2.0\n    digest: PIN\n"),
    ("prefixed keys", HELM + "spec:\n  webImage: ghcr.io/acme/web\n  webImageTag: 1.2.0\n  webImageDigest: PIN\n"),
    ("a digest alone", HELM + "spec:\n  image:\n    repository: ghcr.io/acme/web\n    digest: PIN\n"),
    ("an OCIRepository", OCI + "  ref:\n    tag: 1.2.0\n    digest: PIN\n"),
    ("an OCIRepository by digest", OCI + "  ref:\n    digest: PIN\n"),
    ("a kustomization", KUSTOMIZATION + "- name: ghcr.io/acme/web\n  newTag: 1.2.0\n  digest: PIN\n"),
    ("a kustomization by digest", KUSTOMIZATION + "- name: web\n  newName: ghcr.io/acme/web\n  digest: PIN\n"),
    (
        "one by tag and one by digest",
        KUSTOMIZATION + "- name: a\n  newName: ghcr.io/acme/web\n  newTag: 1.3.0\n- name: ghcr.io/acme/web\n  digest: PIN\n",
    ),
    (
        "text inside text",
        "kind: ConfigMap\ndata:\n  values.yaml: |\n    image:\n      repository: ghcr.io/acme/web\n      tag: 1.2.0\n      digest: PIN\n",
    ),
]


@pytest.mark.parametrize("template", [row[1] for row in BY_NAME], ids=[row[0] for row in BY_NAME])
@pytest.mark.parametrize("reflection", ["Never", "IfNotPresent", "Always"])
def test_a_digest_in_a_field_of_its_own_is_written_by_image_name(template, reflection):
    data = resource_list(inline(reflection), template.replace("PIN", OLD))
    outcome = run(data, TAGS)
    assert not outcome.is_error, outcome.results
    expected = data.replace(b"ag: 1.2.0", b"ag: 1.3.0").replace(b"Tag: 1.2.0", b"Tag: 1.3.0")
    expected = expected.replace(OLD.encode(), NEW.encode())
    assert outcome.text.startswith(expected)
    assert run(expected, TAGS).text.startswith(expected)


@pytest.mark.parametrize("template", [row[1] for row in BY_NAME], ids=[row[0] for row in BY_NAME])
def test_what_would_leave_an_old_digest_beside_a_new_tag_is_not_written(template):
    data = resource_list(inline("Never"), template.replace("PIN", OLD))
    assert run(data, TAGS, KRMFN_KEEP_PINS="false").text.startswith(data)


@pytest.mark.parametrize("template", [row[1] for row in BY_NAME[2:7:2]], ids=[row[0] for row in BY_NAME[2:7:2]])
def test_a_digest_alone_has_no_version_to_move_on_from(template):
    rule = automation(f"policies: [{{name: web, image: {IMAGE}, policy: {{version: {{}}}}}}]")
    data = resource_list(rule, template.replace("PIN", OLD))
    outcome = run(data, TAGS)
    assert not outcome.is_error, outcome.results
    assert outcome.text.startswith(data)


STRAY = [
    ("other keys", "spec:\n  version: 1.2.0 # TAG\n  digest: PIN\n"),
    ("no image beside", "spec:\n  tag: 1.2.0 # TAG\n  digest: PIN\n"),
    ("an image and a digest", "spec:\n  image: ghcr.io/acme/web:1.2.0 # IMG\n  digest: PIN\n"),
    ("an alias", "x: &pin PIN\nspec:\n  repository: ghcr.io/acme/web\n  tag: 1.2.0 # TAG\n  digest: *pin\n"),
]


@pytest.mark.parametrize("template", [row[1] for row in STRAY], ids=[row[0] for row in STRAY])
def test_a_digest_beside_a_tag_in_an_unknown_form_is_refused(template):
    marked = template.replace("TAG", '{"$imagepolicy": "flux:web:tag"}').replace("IMG", '{"$imagepolicy": "flux:web"}')
    document = "kind: X\n" + marked.replace("PIN", OLD)
    data = resource_list(policy(), document)
    outcome = run(data, TAGS)
    (said,) = messages(outcome, "error")
    assert "this digest pins 1.2.0 beside it, in no form that is known" in said
    assert "bind it too, as flux:web:digest, or remove it" in said
    assert outcome.text.startswith(data)
    current = run(resource_list(policy(), document.replace("1.2.0", "1.3.0")), TAGS)
    assert not current.is_error


STALE = [
    ("a second digest", "spec:\n  image:\n    repository: ghcr.io/acme/web\n    tag: 1.2.0\n    digest: PIN\n    digestChroot: PIN\n"),
    ("digests by provider", "spec:\n  image:\n    repository: ghcr.io/acme/web\n    tag: 1.2.0\n    genericDigest: PIN\n    awsDigest: PIN\n"),
    ("a digest beside an image", "spec:\n  image: ghcr.io/acme/web:1.2.0\n  imageDigest: PIN\n"),
    ("a sum beside an address", "spec:\n  image:\n    url: ghcr.io/acme/web:1.2.0\n    sha256: PIN\n"),
]


@pytest.mark.parametrize("template", [row[1] for row in STALE], ids=[row[0] for row in STALE])
@pytest.mark.parametrize("keep", ["true", "false"])
def test_a_tag_beside_a_digest_that_would_go_stale_is_not_written_by_name(template, keep):
    data = resource_list(inline("Never"), HELM + template.replace("PIN", OLD))
    outcome = run(data, TAGS, KRMFN_KEEP_PINS=keep)
    assert not outcome.is_error, outcome.results
    assert outcome.text.startswith(data)
    (warning,) = messages(outcome, "warning")
    assert "would not move along" in warning


def automation(*lines):
    return "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images}\nspec:\n" + "".join(
        f"  {line}\n" for line in lines
    )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (field(f"{IMAGE}:1.2.0@{OLD}"), f"{IMAGE}:1.3.0"),
        (field(f"{IMAGE}:1.3.0@{OLD}"), f"{IMAGE}:1.3.0"),
        (field(f"1.2.0@{OLD}", ":tag"), "1.3.0"),
        (field(f"--image={IMAGE}:1.2.0@{OLD}"), f"--image={IMAGE}:1.3.0"),
    ],
)
def test_keep_pins_false_obeys_flux(document, expected):
    outcome = run(resource_list(automation("keepPins: false"), policy(), document), TAGS)
    assert values(outcome)["field"] == expected


def test_keep_pins_false_leaves_the_digest_beside_a_tag_alone():
    beside = pair(PAIRS[0][1], "1.2.0", OLD, marked=("tag",))
    kept = run(resource_list(policy(), beside), TAGS, KRMFN_KEEP_PINS="false")
    assert values(kept)["image"] == {"repository": IMAGE, "tag": "1.3.0", "digest": OLD}


def inline(reflection):
    return automation(
        f"policies: [{{name: web, image: {IMAGE}, policy: {{semver: {{range: '*'}}}}, digestReflectionPolicy: {reflection}}}]"
    )


@pytest.mark.parametrize(
    ("reflection", "then"), [("Never", "old"), ("IfNotPresent", "old"), ("Always", f"{IMAGE}:1.3.0")]
)
def test_an_image_bound_by_name_that_pins_the_chosen_tag_moves_under_always_alone(reflection, then):
    data = resource_list(inline(reflection), pod(f"{IMAGE}:1.3.0@{OLD}").partition(" # {")[0])
    assert images(run(data, TAGS))[0] == f"{IMAGE}:1.3.0@{digest(then)}"


def test_of_two_digests_that_are_pinned_for_one_tag_none_is_taken_at_random():
    pods = [pod(f"{IMAGE}:1.3.0@{digest(name)}", name=name) for name in ("a", "b")]
    for order in (pods, pods[::-1]):
        outcome = run(resource_list(policy(reflection="IfNotPresent"), *order, pod(f"{IMAGE}:1.2.0", name="c")), TAGS)
        assert images(outcome)[2] == f"{IMAGE}:1.3.0@{NEW}"


class NoDigest(Tags):
    """Lists, and fails for digests."""

    def __init__(self, failure):
        super().__init__({IMAGE: ["1.2.0", "1.3.0"]})
        self.failure = failure

    def digest(self, repository, tag):
        raise RegistryError(self.failure, repository.image.canonical, f"no digest of {tag}")


MIXED = [
    HELM + 'spec:\n  tag: 1.2.0 # {"$imagepolicy": "flux:web:tag"}\n'
    f'  image: {IMAGE}:1.2.0@{OLD} # {{"$imagepolicy": "flux:web"}}\n',
    pod(f"{IMAGE}:1.2.0"),
]  # fmt: skip


@pytest.mark.parametrize("failure", ["unavailable", "rate-limited", "not-found"])
def test_without_a_digest_a_pinned_resource_stays_whole_and_others_move(failure):
    outcome = run(resource_list(policy(), *MIXED), NoDigest(failure))
    assert not outcome.is_error
    assert items(outcome)[2]["spec"] == {"tag": "1.2.0", "image": f"{IMAGE}:1.2.0@{OLD}"}
    assert images(outcome) == [f"{IMAGE}:1.3.0"]
    (said,) = messages(outcome, "warning")
    assert "kept as it is: the field is pinned, and there is no digest of tag 1.3.0 to pin" in said


@pytest.mark.parametrize(
    ("failure", "reflection"),
    [
        ("denied", "Never"),
        ("integrity", "Never"),
        ("limit", "Never"),
        ("unavailable", "IfNotPresent"),
        ("unavailable", "Always"),
    ],
)
def test_a_refused_digest_and_one_that_the_policy_asks_for_are_errors(failure, reflection):
    data = resource_list(policy(reflection=reflection), MIXED[0])
    outcome = run(data, NoDigest(failure))
    assert outcome.is_error
    assert items(outcome)[2]["spec"]["image"] == f"{IMAGE}:1.2.0@{OLD}"
    assert "failed fetching digest of ghcr.io/acme/web:1.3.0" in messages(outcome, "error")[0]


def test_the_lock_learns_the_digest_that_a_pin_needs_and_frozen_takes_it():
    documents = policy(), pod(f"{IMAGE}:1.2.0@{OLD}")
    record = relocked(*documents, tags=TAGS)
    frozen = run(resource_list(*documents, record), down(), KRMFN_MODE="frozen")
    assert images(frozen) == [f"{IMAGE}:1.3.0@{NEW}"]
    again = run(resource_list(policy(), pod(f"{IMAGE}:1.3.0@{NEW}"), record), TAGS)
    assert locked(again)[0]["digest"] == NEW
    assert messages(again, "info") == []


def test_frozen_without_the_digest_is_an_error_that_says_fetch():
    bare = relocked(policy(), pod(f"{IMAGE}:1.2.0"), tags=TAGS)
    data = resource_list(policy(), pod(f"{IMAGE}:1.2.0@{OLD}"), bare)
    outcome = run(data, down(), KRMFN_MODE="frozen")
    assert "the lock holds no digest of tag 1.3.0: run krmfn fetch on the package" in messages(outcome, "error")[0]
    away = run(data, down())
    assert (away.is_error, images(away)) == (False, [f"{IMAGE}:1.2.0@{OLD}"])
    assert any("the lock holds none" in one for one in messages(away, "warning"))


def test_a_lock_that_cannot_learn_the_digest_keeps_its_entry():
    before = relocked(policy(), pod(f"{IMAGE}:1.2.0"), tags=Tags({IMAGE: ["1.2.0"]}))
    outcome = run(resource_list(policy(), pod(f"{IMAGE}:1.2.0@{OLD}"), before), NoDigest("unavailable"))
    assert locked(outcome)[0]["tag"] == "1.2.0"


FORM = st.sampled_from(
    [
        ("", "{image}:{tag}"), ("", "--image={image}:{tag}"), ("", "oci://{image}:{tag}"), ("", "A=docker://{image}:{tag}"),
        ("", "run {image}:{tag} now"), (":tag", "{tag}"), (":tag", "--tag={tag}"), (":tag", "{image}:{tag}"),
    ]
)  # fmt: skip
VERSION = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
VARIANT = st.sampled_from(["", "-alpine", "-alpine3.19", "-rc1", "-rc.2-slim"])
TAG = st.builds(lambda v, version, end: v + version + end, st.sampled_from(["", "v"]), VERSION, VARIANT)
RULE = st.sampled_from(
    ['semver: {range: "*"}', 'semver: {range: ">=0-0"}', 'semver: {range: "1.x"}', "alphabetical: {}"]
)


def numbers(tag):
    return tuple(int(part) for part in tag.lstrip("v").partition("-")[0].split("."))


@settings(max_examples=300, deadline=None)
@given(
    FORM,
    TAG,
    st.lists(TAG, min_size=1, max_size=6, unique=True),
    RULE,
    st.sampled_from(["Never", "IfNotPresent", "Always"]),
    st.booleans(),
)
def test_an_update_keeps_the_form_never_loses_a_digest_and_never_gets_older(form, now, tags, rule, reflection, pinned):
    suffix, template = form
    tail = f"@{OLD}" if pinned else ""
    old = template.format(image=IMAGE, tag=now + tail)
    outcome = run(resource_list(policy(rule, reflection), field(f"'{old}'", suffix)), Tags({IMAGE: tags}))
    new = values(outcome)["field"]
    if outcome.is_error:
        assert new == old
        return
    before, _, after = template.format(image=IMAGE, tag="\0").partition("\0")
    assert new.startswith(before)
    assert new.endswith(after)
    tag, _, pin = new[len(before) : len(new) - len(after)].partition("@")
    if pinned:
        assert pin == (digest(f"{IMAGE}:{tag}") if tag != now else pin or None)
    elif suffix:
        assert pin == ""
    if new != old and "alphabetical" not in rule:
        assume(not ("1.x" in rule and numbers(now)[0] != 1))  # the range left it out
        assume(now.count(".") < 2 or "-rc" not in now)  # a prerelease that the policy reads and the range leaves out
        both = min(len(numbers(now)), len(numbers(tag)))
        assert numbers(tag)[:both] >= numbers(now)[:both]


def test_an_empty_lock_is_what_tests_start_from():
    assert yaml.safe_load(lock())["spec"]["images"] == []

"""Binding: which fields are found, which are left, and what is said about those that are left."""

import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from krmfn import pipeline
from krmfn.access import Listing
from krmfn.config import loading
from krmfn.errors import InputError
from krmfn.kubernetes import forms
from krmfn.model import PolicyKey
from krmfn.plan import bind, decision, needed, rewrite
from krmfn.plan.current import Deployed
from krmfn.plan.records import Guarded, Judged, Pins
from krmfn.plan.resolve import StaticTags
from krmfn.plan.target import parse_setter
from krmfn.yamledit import prefilter
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests.running import run

TAGS = StaticTags(
    {"ghcr.io/acme/web": {"1.0.0": "", "1.2.0": ""}, "docker.io/library/nginx": {"1.25.0": "", "1.27.1": ""}}
)
POLICIES = """\
- apiVersion: krmfn.dev/v1alpha1
  kind: ImageAutomation
  metadata: {name: images, namespace: apps}
  spec:
    policies:
    - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: "1.x"}}}
    - {name: nginx, image: nginx, policy: {semver: {range: "1.x"}}}
"""
FLUX = """\
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImageRepository
  metadata: {name: web, namespace: flux-system}
  spec: {image: ghcr.io/acme/web}
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImagePolicy
  metadata: {name: web, namespace: flux-system}
  spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: "1.x"}}}
"""


def update(items, policies=POLICIES):
    """Run on items; answer the outcome."""
    text = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n" + policies + textwrap.dedent(items)
    return pipeline.run(Text(text.encode()), lambda _: TAGS)


def changed(items, policies=POLICIES):
    """Run on items; answer what changed, by path."""
    outcome = update(items, policies)
    assert not outcome.is_error, outcome.results
    return {one.field.path: one.field.proposed for one in outcome.results if one.field and one.field.proposed}


def said(items, policies=POLICIES, but=("unbound-policy",)):
    """Run on items; answer (severity, code, message) of what there is to say besides changes."""
    found = []
    for one in update(items, policies).results:
        code = one.code
        if code not in but and not (one.severity == "info" and one.field and one.field.proposed):
            found.append((one.severity, code, one.message))
    return found


SHAPES = {
    "Pod": ("v1", "Pod", "spec"),
    "Deployment": ("apps/v1", "Deployment", "spec.template.spec"),
    "StatefulSet": ("apps/v1", "StatefulSet", "spec.template.spec"),
    "DaemonSet": ("apps/v1", "DaemonSet", "spec.template.spec"),
    "ReplicaSet": ("apps/v1", "ReplicaSet", "spec.template.spec"),
    "ReplicationController": ("v1", "ReplicationController", "spec.template.spec"),
    "Job": ("batch/v1", "Job", "spec.template.spec"),
    "CronJob": ("batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec"),
    "PodTemplate": ("v1", "PodTemplate", "template.spec"),
    "Rollout": ("argoproj.io/v1alpha1", "Rollout", "spec.template.spec"),
    "Knative Service": ("serving.knative.dev/v1", "Service", "spec.template.spec"),
    "unknown": ("example.com/v1", "Thing", "spec.podTemplate"),
}
FIELDS = {
    "containers": ("containers: [{name: a, image: nginx:1.25.0}]", "containers[0].image"),
    "initContainers": ("initContainers: [{name: a, image: nginx:1.25.0}]", "initContainers[0].image"),
    "ephemeralContainers": ("ephemeralContainers: [{name: a, image: nginx:1.25.0}]", "ephemeralContainers[0].image"),
    "image volumes": ("volumes: [{name: a, image: {reference: nginx:1.25.0}}]", "volumes[0].image.reference"),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_is_found_by_name_in_every_shape(shape, field):
    version, kind, path = SHAPES[shape]
    inner, below = FIELDS[field]
    for step in reversed(path.split(".")):
        inner = f"{step}: {{{inner}}}"
    found = changed(f"- {{apiVersion: {version}, kind: {kind}, metadata: {{name: x}}, {inner}}}\n")
    assert found == {f"{path}.{below}": "nginx:1.27.1"}


IMAGE_KEYS = ("image", "my-image", "my_image", "my.image", "Image", "myImage", "MY_IMAGE", "imageName", "image_ref", "image.url", "my-image-name")


@pytest.mark.parametrize("key", IMAGE_KEYS)
def test_an_image_is_found_by_every_key_that_ends_so(key):
    """Nothing else of the list makes krmfn read the item: the key alone has to."""
    item = f"- apiVersion: example.com/v1\n  kind: Thing\n  metadata:\n    name: a\n  spec:\n    {key}: nginx:1.25.0\n"
    (value,) = changed(item).values()
    assert value == "nginx:1.27.1"


SPELLINGS = ("nginx:1.25.0", "docker.io/nginx:1.25.0", "docker.io/library/nginx:1.25.0", "index.docker.io/library/nginx:1.25.0", "library/nginx:1.25.0")  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_image_is_found_however_its_repository_is_spelled(spelling):
    (value,) = changed(f"- {{kind: Pod, spec: {{containers: [{{name: a, image: '{spelling}'}}]}}}}\n").values()
    assert value == spelling.replace("1.25.0", "1.27.1")


def test_other_images_with_a_like_name_are_left():
    images = (
        "nginx-unprivileged:1.25.0",
        "ghcr.io/nginx:1.25.0",
        "acme/nginx:1.25.0",
        "nginx/nginx:1.25.0",
        "${IMAGE}",
        "",
    )
    lines = "".join(f'  - {{name: a, image: "{image}"}}\n' for image in images)
    assert changed(f"- kind: Pod\n  spec:\n    containers:\n{textwrap.indent(lines, '  ')}") == {}


def test_an_image_field_outside_of_containers_counts_when_it_is_a_full_reference():
    assert changed("- {kind: Prometheus, spec: {image: 'nginx:1.25.0', baseImage: nginx:1.25.0, from: 'nginx:1.25.0'}}\n") == {
        "spec.image": "nginx:1.27.1",
        "spec.baseImage": "nginx:1.27.1",
    }
    assert changed("- {kind: Chart, spec: {image: nginx}}\n") == {}


def test_a_container_without_a_tag_gets_one():
    assert list(changed("- {kind: Pod, spec: {containers: [{name: a, image: nginx}]}}\n").values()) == ["nginx:1.27.1"]


def test_image_fields_that_are_no_text_are_left():
    kept = "- {kind: MariaDB, spec: {initContainers: [{image: {name: nginx}}, {image: [nginx:1.25.0]}, {image: null}], containers: null}}\n"
    assert changed(kept) == {}
    assert said(kept) == []


def test_metadata_holds_no_images():
    assert changed("- {kind: Pod, metadata: {annotations: {image: 'nginx:1.25.0'}}}\n") == {}


def test_a_secret_is_not_written_by_name():
    assert changed("- {kind: Secret, apiVersion: v1, data: {image: 'nginx:1.25.0'}}\n") == {}


CRD = """\
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: things.example.com, annotations: {krmfn.dev/images: '{"$.spec.image": "apps:nginx"}'}}
  spec:
    image: nginx:1.25.0 # {"$imagepolicy": "apps:nginx"}
    containers: [{name: a, image: 'nginx:1.25.0'}]
"""


def test_definitions_are_never_touched():
    assert changed(CRD) == {}
    listed = (
        "- kind: List\n  apiVersion: v1\n  items:\n  - {kind: Pod, spec: {containers: [{name: a, image: 'nginx:1.25.0'}]}}\n"
        + textwrap.indent(CRD, "  ")
    )
    assert changed(listed) == {"items[0].spec.containers[0].image": "nginx:1.27.1"}


@pytest.mark.parametrize("kind", ["List", "DeploymentList"])
def test_members_of_lists_are_resources_of_their_own(kind):
    outcome = update(f"""\
        - apiVersion: v1
          kind: {kind}
          items:
          - {{kind: Pod, metadata: {{name: one}}, spec: {{containers: [{{name: a, image: 'nginx:1.25.0'}}]}}}}
          - kind: List
            items:
            - {{kind: Pod, metadata: {{name: two}}, spec: {{containers: [{{name: a, image: 'nginx:1.25.0'}}]}}}}
        """)
    found = [(one.resource.name, one.field.path) for one in outcome.results if one.field]
    assert found == [
        ("one", "items[0].spec.containers[0].image"),
        ("two", "items[1].items[0].spec.containers[0].image"),
    ]


def test_a_resource_that_is_merely_called_list_is_one_resource():
    assert changed("- {kind: AllowList, spec: {image: 'nginx:1.25.0'}, items: [{kind: Pod}]}\n") == {
        "spec.image": "nginx:1.27.1"
    }


def test_an_alias_is_updated_at_its_anchor_once():
    outcome = update("""\
        - kind: Pod
          x-image: &image nginx:1.25.0
          spec:
            containers:
            - {name: a, image: *image}
            - {name: b, image: *image}
        """)
    assert b"&image nginx:1.27.1" in outcome.text
    assert sum(1 for one in outcome.results if one.field) == 1


def test_a_key_that_is_given_twice_is_left_and_said():
    twice = (
        "- kind: Pod\n  spec:\n    containers:\n    - name: a\n      image: nginx:1.25.0\n      image: nginx:1.25.0\n"
    )
    assert changed(twice) == {}
    assert {code for _, code, _ in said(twice)} == {"doubtful"}


TWO = POLICIES + "    - {name: other, image: docker.io/library/nginx, policy: {semver: {range: 1.25.x}}}\n"


def test_two_policies_for_one_image_are_an_error_that_names_both():
    (error,) = said("- {kind: Pod, spec: {containers: [{name: a, image: nginx:1.25.0}]}}\n", TWO)
    assert error[:2] == ("error", "two-policies")
    assert "apps:nginx and apps:other" in error[2]


def test_two_policies_for_one_image_are_fine_where_one_is_named():
    pod = """\
        - kind: Pod
          metadata: {annotations: {krmfn.dev/images: '{"b": "apps:nginx"}'}}
          spec:
            containers:
            - name: a
              image: nginx:1.20.0 # {"$imagepolicy": "apps:other"}
            - name: b
              image: nginx:1.20.0
        """
    assert changed(pod, TWO) == {
        "spec.containers[0].image": "docker.io/library/nginx:1.25.0",
        "spec.containers[1].image": "nginx:1.27.1",
    }


def test_marker_and_annotation_that_disagree_are_an_error_that_names_both():
    (error,) = said("""\
        - kind: Pod
          metadata: {annotations: {krmfn.dev/images: '{"a": "apps:web"}'}}
          spec:
            containers:
            - name: a
              image: nginx:1.25.0 # {"$imagepolicy": "apps:nginx"}
        """)
    assert error[:2] == ("error", "two-policies")
    assert "marker says apps:nginx, annotation says apps:web" in error[2]


def test_marker_and_annotation_that_agree_are_one_binding():
    assert changed("""\
        - kind: Pod
          metadata: {annotations: {krmfn.dev/images: '{"a": "apps:nginx"}'}}
          spec:
            containers:
            - name: a
              image: nginx:1.25.0 # {"$imagepolicy": "apps:nginx"}
        """) == {"spec.containers[0].image": "nginx:1.27.1"}


def test_a_field_whose_marker_names_another_policy_is_not_bound_by_its_image():
    pod = '- kind: Pod\n  spec:\n    containers:\n    - name: a\n      image: nginx:1.25.0 # {"$imagepolicy": "apps:ngnix"}\n'
    assert changed(pod) == {}
    assert said(pod) == [
        (
            "warning",
            "unknown-policy",
            "marker names policy apps:ngnix, which is not configured; did you mean apps:nginx?",
        )
    ]


@pytest.mark.parametrize("how", ["marker", "annotation", "target"])
@pytest.mark.parametrize(("key", "flag"), [("args", "--web-image="), ("command", "--image="), ("args", "IMAGE="), ("args", "docker://")])
def test_a_word_of_a_field_that_is_bound_is_not_bound_by_its_image_too(how, key, flag):
    marker = ' # {"$imagepolicy": "apps:nginx"}' if how == "marker" else ""
    note = "{krmfn.dev/images: '{\"$.spec.containers[0].KEY[1]\": \"apps:nginx\"}'}" if how == "annotation" else "{}"
    rule = "    targets: [{policy: nginx, select: {kind: Pod}, path: '$.spec.containers[0].KEY[1]'}]\n" if how == "target" else ""
    pod = (
        f"- kind: Pod\n  apiVersion: v1\n  metadata: {{name: a, annotations: {note}}}\n  spec:\n    containers:\n"
        f"    - name: a\n      {key}:\n      - run\n      - {flag}nginx:1.25.0{marker}\n"
    )
    policies = POLICIES.replace("  spec:\n    policies:", f"  spec:\n{rule}    policies:".replace("KEY", key), 1)
    assert list(changed(pod.replace("KEY", key), policies).values()) == [f"{flag}nginx:1.27.1"]


def test_a_word_of_a_field_whose_marker_names_another_policy_is_left():
    pod = '- kind: Pod\n  spec:\n    containers:\n    - name: a\n      args:\n      - --image=nginx:1.25.0 # {"$imagepolicy": "apps:ngnix"}\n'
    assert changed(pod) == {}


NAMES = {
    "misspelt": ("flux-system:wbe", "unknown-policy", "did you mean flux-system:web?"),
    "in another namespace": ("apps:web", "unknown-policy", "did you mean flux-system:web?"),
    "with a wrong suffix": ("flux-system:web:tags", "bad-setter", "did you mean flux-system:web:tag?"),
    "with an upper-case suffix": ("flux-system:web:TAG", "bad-setter", "names no policy"),
    "without a namespace": ("web", "bad-setter", "expected namespace:name"),
    "without a namespace and of a known name": ("web", "bad-setter", "did you mean flux-system:web?"),
    "of a part without a namespace": ("web:tag", "unknown-policy", "did you mean flux-system:web:tag?"),
    "of a part without a namespace and misspelt": (
        "wbe:digest",
        "unknown-policy",
        "did you mean flux-system:web:digest?",
    ),
    "without a name": ("flux-system:", "bad-setter", "expected namespace:name"),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_marker_that_names_no_policy_is_told_even_when_nothing_else_changes(case):
    setter, code, part = NAMES[case]
    pod = f'- kind: Pod\n  spec:\n    image: "x" # {{"$imagepolicy": "{setter}"}}\n'
    ((severity, found, message),) = said(pod, FLUX)
    assert (severity, found) == ("warning", code)
    assert part in message


@pytest.mark.parametrize("case", NAMES)
def test_an_annotation_that_names_no_policy_is_told(case):
    setter, code, part = NAMES[case]
    ((severity, found, message),) = said(
        f"""- {{kind: Pod, metadata: {{annotations: {{krmfn.dev/images: '{{"a": "{setter}"}}'}}}}}}\n""", FLUX
    )
    assert (severity, found) == ("warning", code)
    assert part in message


def test_a_marker_of_a_suspended_policy_is_no_mistake():
    suspended = FLUX.replace("policy: {semver", "suspend: true, policy: {semver")
    assert (
        said(
            '- kind: Pod\n  spec:\n    image: "x" # {"$imagepolicy": "flux-system:web"}\n',
            suspended,
            but=("unbound-policy", "note"),
        )
        == []
    )


def test_markers_say_nothing_where_no_policy_is_configured():
    assert said('- kind: Pod\n  spec:\n    image: "x" # {"$imagepolicy": "flux-system:web"}\n', "") == []


BROKEN = {
    "no JSON": ("[web", "expected JSON"),
    "a list": ('["web"]', "expected JSON"),
    "no JSONPath": ('{"$.spec[": "flux-system:web"}', "is not a JSONPath"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_annotation_that_cannot_be_read_is_an_error(case):
    text, part = BROKEN[case]
    ((severity, code, message),) = said(
        f"- {{kind: Pod, metadata: {{annotations: {{krmfn.dev/images: '{text}'}}}}}}\n", FLUX
    )
    assert (severity, code) == ("error", "bad-annotation")
    assert part in message


def test_an_annotation_for_no_container_gets_the_nearest_name():
    pod = """- {kind: Pod, metadata: {annotations: {krmfn.dev/images: '{"wep": "flux-system:web"}'}}, spec: {containers: [{name: web, image: x}]}}\n"""
    assert said(pod, FLUX) == [
        (
            "warning",
            "idle-annotation",
            "annotation krmfn.dev/images: there is no container with an image named wep; did you mean web?",
        )
    ]


def test_an_annotation_reaches_what_no_comment_can():
    thing = """\
        - kind: HelmRelease
          metadata:
            annotations:
              krmfn.dev/images: '{"$.spec.values.image.tag": "flux-system:web:tag", "$.spec.values.image.repository": "flux-system:web:name", "$..sidecar": "flux-system:web"}'
          spec: {values: {image: {repository: old, tag: "1.0"}, deep: [{sidecar: x}]}}
        """
    assert changed(thing, FLUX) == {
        "spec.values.image.repository": "ghcr.io/acme/web",
        "spec.values.image.tag": "1.2.0",
        "spec.values.deep[0].sidecar": "ghcr.io/acme/web:1.2.0",
    }


def test_an_annotation_escaped_as_json_allows_is_read():
    pod = '- {"kind": "Pod", "metadata": {"annotations": {"krmfn.dev\\/images": "{\\"a\\": \\"flux-system:web\\"}"}}, "spec": {"containers": [{"name": "a", "image": "ghcr.io\\/acme\\/web:1.0.0"}]}}\n'
    assert changed(pod, FLUX) == {"spec.containers[0].image": "ghcr.io/acme/web:1.2.0"}


def targets(*rules):
    return POLICIES + "    bind: [markers]\n    targets:\n" + "".join(f"    - {rule}\n" for rule in rules)


ROLLOUT = "- {apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: r, labels: {team: a}}, spec: {values: {tag: old}, containers: [{name: web, image: old}, {name: log, image: old}]}}\n"
SELECTED = {
    "by path": ("{path: $.spec.values.tag, policy: nginx, part: tag}", {"spec.values.tag": "1.27.1"}),
    "by container": ("{containers: [web], policy: nginx}", {"spec.containers[0].image": "nginx:1.27.1"}),
    "by filter": (
        "{path: \"$.spec.containers[?(@.name == 'log')].image\", policy: nginx}",
        {"spec.containers[1].image": "nginx:1.27.1"},
    ),
    "by kind": (
        "{select: {kind: Rollout, group: argoproj.io, version: v1alpha1}, containers: [web], policy: nginx, part: name}",
        {"spec.containers[0].image": "nginx"},
    ),
    "by label": (
        "{select: {labels: {team: a}}, containers: [web], policy: nginx}",
        {"spec.containers[0].image": "nginx:1.27.1"},
    ),
    "by another label": ("{select: {labels: {team: b}}, containers: [web], policy: nginx}", {}),
    "by another name": ("{select: {name: q}, containers: [web], policy: nginx}", {}),
}


@pytest.mark.parametrize("case", SELECTED)
def test_a_target_selects(case):
    rule, expected = SELECTED[case]
    assert changed(ROLLOUT, targets(rule)) == expected


def test_a_target_that_comes_to_nothing_is_told():
    found = said(
        ROLLOUT,
        targets("{select: {name: q}, containers: [web], policy: nginx}", "{path: $.spec.nothing, policy: nginx}"),
    )
    assert [(code, message) for _, code, message in found] == [
        (
            "idle-target",
            "target $.spec.nothing of policy apps:nginx binds no field: no resource that it selects has it",
        ),
        ("idle-target", "target web of policy apps:nginx binds no field: no resource that it selects has it"),
    ]


def test_a_target_without_a_kind_passes_configuration_over():
    assert changed(ROLLOUT, targets("{path: $..image, policy: nginx}")) == {
        "spec.containers[0].image": "nginx:1.27.1", "spec.containers[1].image": "nginx:1.27.1"
    }  # fmt: skip


def test_a_target_on_a_mapping_is_told():
    ((severity, code, message),) = said(ROLLOUT, targets("{path: $.spec.values, policy: nginx}"))
    assert (severity, code) == ("warning", "no-scalar")
    assert "spec.values" in message


def test_markers_of_a_policy_that_leaves_them_out_are_told():
    policies = POLICIES + "    bind: [images]\n"
    found = said('- kind: Pod\n  spec:\n    x: "x" # {"$imagepolicy": "apps:web"}\n', policies)
    assert [code for _, code, _ in found] == ["left-out"]


def only_unbound(items, policies=FLUX):
    return [one.message for one in update(items, policies).results if one.code == "unbound-policy"]


KUSTOMIZED = """\
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    name: shop
    namespace: apps
    annotations: {kustomize.config.k8s.io/id: "1"}
  spec: {template: {spec: {containers: [{name: log, image: other}, {name: main, image: ghcr.io/acme/web:1.0.0}]}}}
"""


def test_an_unbound_policy_under_kustomize_gets_the_exact_annotation():
    (message,) = only_unbound(KUSTOMIZED)
    assert "kustomize strips comments" in message
    assert "container main of Deployment apps/shop holds ghcr.io/acme/web" in message
    assert """krmfn.dev/images: '{"main": "flux-system:web"}'""" in message


def test_the_advice_that_an_unbound_policy_gives_works():
    advice = only_unbound(KUSTOMIZED)[0].partition("krmfn.dev/images: '")[2].partition("'")[0]
    annotated = KUSTOMIZED.replace('id: "1"}', f"""id: "1", krmfn.dev/images: '{advice}'}}""")
    assert changed(annotated, FLUX) == {"spec.template.spec.containers[1].image": "ghcr.io/acme/web:1.2.0"}
    assert only_unbound(annotated) == []


UNBOUND = {
    "runs": ("- {kind: Pod, spec: {containers: [{name: a, image: ghcr.io/acme/web:1.0.0}]}}\n", 'write the marker # {"$imagepolicy": "flux-system:web"} behind it'),
    "is spelled by Helm values": ("- {kind: HelmRelease, spec: {values: {image: {repository: ghcr.io/acme/web, tag: 1.0.0}}}}\n", '"$.spec.values.image.tag": "flux-system:web:tag"'),
    "is nowhere": ("- {kind: Pod, spec: {}}\n", "no image field names ghcr.io/acme/web"),
    "has a marker that is not read": ('- kind: Pod\n  spec:\n    # {"$imagepolicy": "flux-system:web"}\n    image: ghcr.io/acme/web:1.0.0\n', "is not read: "),
}  # fmt: skip


@pytest.mark.parametrize("case", UNBOUND)
def test_an_unbound_policy_says_why_when_its_image(case):
    items, part = UNBOUND[case]
    (message,) = only_unbound(items)
    assert part in message


@pytest.mark.parametrize("items", [
    '- kind: Pod\n  spec:\n    x: ghcr.io/acme/web:1.2.0 # {"$imagepolicy": "flux-system:web"}\n',
    """- {kind: Pod, metadata: {annotations: {krmfn.dev/images: '{"a": "flux-system:web"}'}}, spec: {containers: [{name: a, image: ghcr.io/acme/web:1.2.0}]}}\n""",
], ids=["marker", "annotation"])  # fmt: skip
def test_a_policy_whose_fields_are_current_is_not_unbound(items):
    assert changed(items, FLUX) == {}
    assert only_unbound(items) == []


def test_only_policies_that_fields_need_are_asked():
    blocks = documents(
        Text(
            b'kind: Pod\nspec:\n  x: y # {"$imagepolicy": "apps:web"}\n---\nkind: Pod\nspec:\n  image: "other/nginx:1"\n'
        )
    )
    rules = loading.load(documents(Text(textwrap.dedent(POLICIES.replace("- api", "  api")).encode())))
    assert needed.wanted(blocks, rules) == {PolicyKey("apps", "web")}


UGLY_IMAGES = [
    "image: nginx:1.25.0", "image: &a nginx:1.25.0", "image: !!str nginx:1.25.0", '"image": "nginx:1.25.0"', "image:\n      nginx:1.25.0",
    "image:\n      # comment\n      'nginx:1.25.0'", "image: |-\n      nginx:1.25.0", "image : nginx:1.25.0", '"im\\x61ge": nginx:1.25.0',
    '"image": "docker.io\\/nginx:1.25.0"', "? image\n    : nginx:1.25.0", "{image: nginx:1.25.0}", "image: {reference: nginx:1.25.0}", "image:\n      reference: nginx:1.25.0",
]  # fmt: skip


@pytest.mark.parametrize("line", UGLY_IMAGES)
def test_an_image_is_found_however_its_line_is_written(line):
    assert (
        len(
            changed(
                f"- kind: Pod\n  spec:\n    containers:\n  # c\n    -\n      {line.replace(chr(10), chr(10) + '  ')}\n"
            )
        )
        == 1
    )


def test_setters_have_four_forms():
    assert [str(parse_setter(text)) for text in ("a:b", "a:b:tag", "a:b:name", "a:b:digest")] == [
        "a:b",
        "a:b:tag",
        "a:b:name",
        "a:b:digest",
    ]
    assert [parse_setter(text) for text in ("", "a", "a:", "a:b:c", "a:b:tag:tag", "a::tag")] == [None] * 6


VALUES = (
    "nginx:1.27.1",
    "nginx:1.25.0",
    "docker.io/library/nginx:1.27.1",
    "ghcr.io/acme/web:1.2.0",
    "1.2.0",
    "other:1",
    "${x}",
    "nginx",
)
SETTERS = ("apps:nginx", "apps:web", "apps:web:tag", "apps:nope", "apps:nginx:tags", "apps%3Anginx")
QUOTES = (
    "{}",
    '"{}"',
    "'{}'",
    "&x {}",
    "!!str {}",
    "|-\n        {}",
    ">\n        {}",
    "{}\n        more",
    '"{}\\\n        "',
)
KEYS = (
    "image: ",
    '"image": ',
    "image : ",
    "image:\n        ",
    "? image\n      : ",
    '"im\\x61ge": ',
    "imagePullPolicy: ",
    "x: ",
    "tag: ",
    "image: {{reference: ",
    "- ",
    "# image: ",
)
COMMENTS = (
    "", ' # {{"$imagepolicy": "{}"}}', ' #{{"$imagepolicy":"{}"}}', ' # {{"\\u0024imagepolicy": "{}"}}', " # note",
    ' # {{"$ref": "#/definitions/io.k8s.cli.setters.{}"}}', '\n      # {{"$imagepolicy": "{}"}}', ' # x {{"$imagepolicy": "{}"}}',
)  # fmt: skip


@st.composite
def line_of_yaml(draw):
    key, quote = draw(st.sampled_from(KEYS)), draw(st.sampled_from(QUOTES))
    value = quote.format(draw(st.sampled_from(VALUES)))
    comment = draw(st.sampled_from(COMMENTS)).format(draw(st.sampled_from(SETTERS)))
    return "      " + key.replace("{{", "{") + value + ("}" if "{{" in key else "") + comment + "\n"


CURRENT = (
    "image: nginx:1.27.1", 'image: "nginx:1.27.1" # note', "image: 'nginx:1.27.1'", "name: nginx", "imagePullPolicy: Always",
    'image: nginx:1.27.1 # {"$imagepolicy": "apps:nginx"}', 'tag: "1.2.0" # {"$imagepolicy": "apps:web:tag"}', "image: other:1",
    'image: docker.io/library/nginx:1.27.1 # {"$imagepolicy": "apps:nginx"}', "- image: nginx:1.27.1", "args: [a, 'b']", "image: nginx",
)  # fmt: skip
MUTATIONS = (
    "",
    " ",
    "\n",
    "\n  ",
    "#",
    ":",
    ": ",
    "-",
    "- ",
    "'",
    '"',
    "\\",
    "&",
    "*",
    "!",
    "|",
    ">",
    "{",
    "}",
    "[",
    "]",
    ",",
    "x",
    "\t",
    "\r",
    "?",
    "%",
    "image: ",
    "nginx:1.25.0",
)


@st.composite
def nearly_current(draw):
    """Lines that are right, but for one place where something is put in or taken away."""
    text = "".join(
        f"      {line}\n" for line in draw(st.lists(st.sampled_from(CURRENT), min_size=1, max_size=4, unique=True))
    )
    at = draw(st.integers(0, len(text)))
    return [text[:at] + draw(st.sampled_from(MUTATIONS)) + text[at + draw(st.integers(0, 1)) :]]


@st.composite
def key_of_an_image(draw):
    """A field that a row of the finder takes by its key alone."""
    key = draw(st.from_regex(forms._IMAGE_KEY, fullmatch=True, alphabet=st.sampled_from("aZ09_.-$/ " + "imageIMAGEnNrRuUlLtT")))
    return [f"      {key}: nginx:{draw(st.sampled_from(['1.25.0', '1.27.1']))}\n"]


RULES = loading.load(documents(Text(textwrap.dedent(POLICIES.replace("- api", "  api")).encode())))


def expected():
    wanted = list(RULES.policies.values())
    listings = {policy.repository: Listing(tuple(TAGS.tags(policy.repository).tags)) for policy in wanted}
    choices = decision.decide(wanted, listings, {}, None)
    return choices, bind.expected(RULES, choices)


CHOICES, EXPECTED = expected()


@settings(max_examples=600, deadline=None)
@given(st.lists(line_of_yaml(), min_size=1, max_size=3) | nearly_current() | nearly_current() | key_of_an_image())
@example(["      my-image: nginx:1.25.0\n"])
@example(['      image: nginx:1.27.1\n        more # {"$imagepolicy": "apps:nginx"}\n'])
@example(["      image: nginx:1.27.1\n", "      image : nginx:1.25.0\n"])
def test_the_value_filter_never_hides_anything(lines):
    text = "kind: Pod\nspec:\n  containers:\n    -\n" + "".join(lines)
    try:
        (block,) = documents(Text(text.encode()))
    except (InputError, ValueError):  # much of what is drawn is no YAML, or two documents
        return
    binder = bind.Binder(RULES, ())
    claims, images = binder.claims, binder.images
    assert images is not None
    is_seen = prefilter.may_change(block.raw, EXPECTED, binder.needles) or images.may_name(block)
    if is_seen or not isinstance(block.root, yaml.MappingNode):
        return
    binder.look(block)
    changes, _ = rewrite.rewrite(Deployed(claims.targets, RULES.policies), Judged(CHOICES), Pins({}), Guarded(), RULES.settings)
    assert changes == ()
    assert [one for one in claims.results if one.code != "doubtful"] == []  # current twice needs no word
    claims.policies.clear()
    found = frozenset(target.setter.policy for target in claims.targets)
    binder.skip(block.raw)
    assert found <= claims.policies
    assert found <= needed.wanted([block], RULES)


@pytest.mark.parametrize("key", ["web", "$.spec.containers[0].image"])
def test_an_annotation_of_an_unknown_policy_keeps_other_policies_off_its_field(key):
    entry = f'{{"{key}": "apps:wbe"}}'
    item = f"""\
- apiVersion: v1
  kind: Pod
  metadata: {{name: web, annotations: {{krmfn.dev/images: '{entry}'}}}}
  spec: {{containers: [{{name: web, image: "ghcr.io/acme/web:1.0.0"}}, {{name: b, image: "ghcr.io/acme/web:1.0.0"}}]}}
"""
    assert changed(item) == {"spec.containers[1].image": "ghcr.io/acme/web:1.2.0"}
    assert "apps:wbe, which is not configured; did you mean apps:web?" in said(item)[0][2]


@pytest.mark.parametrize(
    ("value", "marker", "said"),
    [
        ("docker.io/library/nginx", "apps:nginx:name", "nginx: docker.io/library/nginx -> nginx (policy"),
        ("nginx:1.25.0", "apps:nginx", "nginx: 1.25.0 -> 1.27.1 (policy"),
        ("|\n      nginx:1.25.0", "apps:nginx", "nginx: 1.25.0 -> 1.27.1 (policy"),
        ("nginx", "apps:nginx", "nginx: latest -> 1.27.1 (policy"),
    ],
    ids=["a name", "an image", "a block", "no tag"],
)
def test_a_change_tells_the_part_that_changes(value, marker, said):
    head, _, tail = value.partition("\n")
    item = f'- kind: X\n  spec:\n    a: {head} # {{"$imagepolicy": "{marker}"}}\n' + (f"{tail}\n" if tail else "")
    assert next(one.message for one in update(item).results if one.field and one.field.proposed).startswith(said)


VARIED = {
    "${REG}/web:1.2.0": "${REG}/web:1.3.0",
    "$(REG)/acme/web:1.2.0": "$(REG)/acme/web:1.3.0",
    f"ghcr.io/${{ORG}}/web:1.2.0@sha256:{'a' * 64}": f"ghcr.io/${{ORG}}/web:1.3.0@sha256:{'b' * 64}",
}
"""References with variables and a plain version, and what they become where they are bound."""
REFUSED = ("${REG}/other:1.2.0", "ghcr.io/acme/web:${TAG}", "ghcr.io/acme/web:${TAG:-1.2.0}", "${IMAGE}")


@pytest.mark.parametrize("is_plain", [True, False])
@pytest.mark.parametrize("how", ["marker", "annotation", "target", "name"])
def test_a_variable_stays_and_a_plain_version_is_written_unless_by_name(tmp_path: Path, how: str, is_plain: bool):
    marker = ' # {"$imagepolicy": "apps:web"}' * (how == "marker")
    notes = """annotations: {krmfn.dev/images: '{"main": "apps:web"}'}""" if how == "annotation" else "labels: {}"
    target = "targets: [{policy: web, select: {kind: Pod}, containers: [main]}]" if how == "target" else "targets: []"
    (tmp_path / "krmfn.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images, namespace: apps}\nspec:\n"
        f"  policies: [{{name: web, image: ghcr.io/acme/web, policy: {{semver: {{range: 1.x}}}}}}]\n  {target}\n---\n"
        "apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {name: web}\n"
        f"spec: {{image: ghcr.io/acme/web, tags: [1.2.0, {{name: 1.3.0, digest: 'sha256:{'b' * 64}'}}]}}\n"
    )
    pod = f"---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  {notes}\nspec:\n  containers:\n  - name: main\n    image: IMAGE{marker}\n"
    values = VARIED if is_plain else REFUSED
    before, after = ("".join(pod.replace("IMAGE", value) for value in side) for side in (values, VARIED.values()))
    (tmp_path / "pods.yaml").write_text(before)
    done = run(["krmfn", "update", tmp_path])
    is_written = is_plain and how != "name"
    assert (tmp_path / "pods.yaml").read_text() == (after if is_written else before)
    refused = 0 if is_plain or how == "name" else len(REFUSED)
    assert done.stderr.count("would be lost") == refused, done.stderr
    assert done.returncode == (1 if refused else 0)

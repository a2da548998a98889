"""Configuration: what is accepted, what is refused, and that every problem is told at once."""

import pytest

from krmfn.access import ITEM, Mirror
from krmfn.config import loading, records
from krmfn.config.settings import Settings, overridden
from krmfn.errors import ConfigError
from krmfn.model import Part, PolicyKey
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text


def load(items="", function_config="", finish=records.no_change):
    blocks = documents(Text(items.encode()))
    own = documents(Text(function_config.encode()))
    return loading.load(blocks, own[0] if own else None, finish)


def automation(spec, name="images", more=""):
    lines = "\n".join(f"  {line}" for line in spec.strip("\n").splitlines())
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: {name}{more}}}\nspec:\n{lines}\n"


def flat(**data):
    lines = "".join(f"  {key}: '{value}'\n" for key, value in data.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: function-input}}\ndata:\n{lines}"


WEB = "policies:\n- {name: web, image: ghcr.io/acme/web, policy: {semver: {range: ^1.2}}}"
REFUSED = {
    "an own kind of another version is not passed over": (
        automation(WEB).replace("v1alpha1", "v1"), ["ImageAutomation images: apiVersion: expected krmfn.dev/v1alpha1, found krmfn.dev/v1"],
    ),
    "an order that is none is no ascending one": (
        flat(image="a/b", numerical="descending"), ["data.numerical: invalid policy: invalid order argument provided: 'DESCENDING'"],
    ),
    "a limit that is no number is refused": (flat(image="a/b", newest="many"), ["data.newest: expected a whole number"]),
    "a pattern of a flat map is named by its key": (flat(image="a/b", semver="1.x", pattern="("), ["data.pattern: failed to filter tags"]),
    "a digest policy that may not write digests": (
        automation("policies:\n- {name: web, image: a/b, policy: {digest: {}}, digestReflectionPolicy: Never}"),
        ["spec.policies[0].digestReflectionPolicy: policy digest writes nothing but digests"],
    ),
    "a target of an unknown policy names the object": (
        automation("policies:\n- {name: web, image: a/b, policy: {alphabetical: {}}}\ntargets:\n- {policy: wbe, containers: [a]}"),
        ["ImageAutomation images: spec.targets[0].policy: no policy default:wbe is configured; did you mean default:web?"],
    ),
    "an unknown field gets the nearest name": (
        automation("policeis: []"), ["spec.policeis: unknown field; did you mean policies?"],
    ),
    "an unknown member of a policy gets the nearest name": (
        automation("policies:\n- {name: web, image: a/b, policy: {semvre: {range: 1.x}}}"),
        ["spec.policies[0].policy.semvre: unknown field; did you mean semver?"],
    ),
    "an image with a tag is no repository": (
        automation("policies:\n- {name: web, image: 'ghcr.io/acme/web:1', policy: {semver: {range: 1.x}}}"),
        ["spec.policies[0].image: image 'ghcr.io/acme/web:1' should not include a tag; remove ':1'"],
    ),
    "an image with a scheme is no repository": (
        automation("policies:\n- {name: web, image: 'https://ghcr.io/acme/web', policy: {alphabetical: {}}}"),
        ["image 'https://ghcr.io/acme/web' should not include URL scheme; remove 'https://'"],
    ),
    "a bad range names the constraint": (
        automation("policies:\n- {name: web, image: a/b, policy: {semver: {range: '>=1 <<2'}}}"),
        ['spec.policies[0].policy.semver.range: invalid policy: improper constraint: ">=1 <<2"'],
    ),
    "problems of several policies are told together": (
        automation("policies:\n- {name: a, image: a/B, policy: {semver: {range: nope}}}\n- {nam: c}"),
        ["policies[0].policy.semver.range", "policies[0].image", "policies[1].nam: unknown field", "policies[1].image: required"],
    ),
    "a target of an unknown policy gets the nearest name": (
        automation(WEB + "\ntargets:\n- {policy: wbe, path: $.spec.image}"),
        ["spec.targets[0].policy: no policy default:wbe is configured; did you mean default:web?"],
    ),
    "a target needs a path or containers": (
        automation(WEB + "\ntargets:\n- {policy: web}"), ["spec.targets[0]: expected exactly one of path, containers"],
    ),
    "a target's path must be a JSONPath": (
        automation(WEB + "\ntargets:\n- {policy: web, path: '$.spec['}"), ["'$.spec[' is not a JSONPath"],
    ),
    "a wrong value of a setting names what is known": (
        automation("onError: fial"), ["spec.onError: expected one of fail, keep, found 'fial'; did you mean fail?"],
    ),
    "a policy of the same name with other rules names both": (
        automation(WEB + "\n- {name: web, image: ghcr.io/acme/web, policy: {semver: {range: ^2}}}"),
        ["policy default:web is defined twice"],
    ),
    "a kind of another group is no functionConfig": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n", ["functionConfig is apps/v1 Deployment; krmfn reads"],
    ),
    "a misspelt own kind gets the nearest name": (
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomaton\nmetadata: {name: x}\n", ["did you mean ImageAutomation?"],
    ),
    "a misspelt key of the ConfigMap gets the nearest name": (
        flat(image="ghcr.io/acme/web", semvre="^1"), ["data.semvre: unknown key; did you mean semver?"],
    ),
    "the ConfigMap takes one policy": (
        flat(image="ghcr.io/acme/web", semver="^1", numerical="asc"), ["data: expected one policy, found semver, numerical"],
    ),
    "the ConfigMap's policy needs an image": (flat(semver="^1"), ["data.image: required"]),
    "a key twice is refused": (
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nspec: {mode: check, mode: frozen}\n", ["mode"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function_config", "messages"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_function_config_is_refused(function_config, messages):
    with pytest.raises(ConfigError) as caught:
        load(function_config=function_config)
    for message in messages:
        assert any(message in str(problem) for problem in caught.value.problems), caught.value.problems


def test_inline_policies_bind_in_every_way_and_live_in_default():
    policy = load(function_config=automation(WEB)).policies[PolicyKey("default", "web")]
    assert policy.bind == {"markers", "annotations", "images"}
    assert (policy.repository.image.canonical, policy.rules.described) == ("ghcr.io/acme/web", "semver ^1.2")


def test_the_namespace_of_a_policy_is_its_own_then_the_automations():
    spec = "policies:\n- {name: a, image: x/a, policy: {alphabetical: {}}}\n- {name: b, namespace: own, image: x/b, policy: {alphabetical: {}}}"
    found = load(function_config=automation(spec, more=", namespace: team"))
    assert set(found.policies) == {PolicyKey("team", "a"), PolicyKey("own", "b")}


def test_the_automation_given_as_function_config_wins_over_those_among_the_items():
    other = automation("policies:\n- {name: db, image: acme/db, policy: {numerical: {}}}", name="other")
    found = load(items=other, function_config=automation(WEB))
    assert set(found.policies) == {PolicyKey("default", "web")}
    assert PolicyKey("default", "db") in found.declared


def test_an_automation_among_the_items_serves_when_no_function_config_is_given():
    assert set(load(items=automation(WEB)).policies) == {PolicyKey("default", "web")}


def test_the_function_config_that_is_also_an_item_counts_once():
    found = load(items=automation(WEB), function_config=automation(WEB))
    assert set(found.policies) == {PolicyKey("default", "web")}


def test_the_flat_config_map_makes_one_policy():
    given = flat(
        image="ghcr.io/acme/web", semver=">=1.2.0", pattern="^v(?P<v>.*)$", extract="$v", name="app", bind="images"
    )
    policy = load(function_config=given).policies[PolicyKey("default", "app")]
    assert policy.rules.described == "semver >=1.2.0"
    assert policy.bind == {"images"}
    assert policy.rules.filter is not None


def test_the_flat_config_map_names_its_policy_after_the_image():
    assert set(load(function_config=flat(image="ghcr.io/acme/web", semver="*")).policies) == {
        PolicyKey("default", "web")
    }


def test_an_empty_function_input_is_no_config():
    empty = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: function-input}\ndata: {}\n"
    assert load(function_config=empty) == load()


def test_a_config_map_of_somebody_else_is_passed_over_with_a_word():
    found = load(function_config=flat(k1="v1"))
    assert not found.policies
    assert "none of its keys (k1)" in found.asides[0]


def test_settings_are_read():
    spec = (
        "mode: check\nonError: keep\nonDowngrade: fail\nimmutableTags: true\nupdate: {annotate: true}\n"
        "source: {layout: {path: ./images}}\nmirrors: [{from: docker.io, to: mirror.example/hub}]\n"
        "realmHosts: [auth.example]\n" + WEB
    )
    found = load(function_config=automation(spec))
    assert found.settings == Settings(
        "check", "keep", "fail", True, True, "./images", (Mirror("docker.io", "mirror.example/hub"),), ("auth.example",),
        layout_provenance=ITEM,
    )  # fmt: skip
    assert found.policies[PolicyKey("default", "web")].repository.access.realm_hosts == ("auth.example",)


def test_the_environment_wins_over_the_configuration():
    found = load(
        function_config=automation("mode: check"), finish=lambda given: overridden(given, {"KRMFN_MODE": "frozen"})
    )
    assert found.settings.mode == "frozen"


def test_a_wrong_value_in_the_environment_is_refused():
    with pytest.raises(ConfigError, match=r"KRMFN_MODE: expected one of update, check, frozen, found 'frozne'"):
        load(finish=lambda given: overridden(given, {"KRMFN_MODE": "frozne"}))


def test_targets_select_by_container_or_path():
    spec = (
        WEB
        + "\ntargets:\n- {policy: web, containers: [app], select: {kind: Deployment, labels: {a: b}}}\n- {policy: 'default:web', path: $.spec.tag, part: tag}"
    )
    first, second = load(function_config=automation(spec)).targets
    assert (first.containers, first.select.kind, first.select.labels) == (("app",), "Deployment", (("a", "b"),))
    assert (second.path, second.part) == ("$.spec.tag", Part.TAG)


def test_equal_rules_have_equal_hashes_and_other_rules_others():
    def hash_of(rules):
        return (
            load(function_config=automation(f"policies:\n- {{name: web, image: {rules}}}"))
            .policies[PolicyKey("default", "web")]
            .hash
        )

    same = hash_of("nginx, policy: {semver: {range: ^1}}")
    assert same == hash_of("docker.io/library/nginx, policy: {semver: {range: ^1}}")
    assert same != hash_of("nginx, policy: {semver: {range: ^2}}")
    assert same != hash_of("nginx, policy: {semver: {range: ^1}}, digestReflectionPolicy: Always")


SNAPSHOT = "apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {name: web}\nspec:\n"


def test_tags_of_a_snapshot_are_text_whatever_they_look_like():
    found = load(
        items=SNAPSHOT
        + "  image: acme/web\n  tags: [1.10, 1e3, 20230101, {name: 1.0, created: '2026-11-02T10:00:00Z'}]\n"
    )
    snapshot = found.snapshots["docker.io/acme/web"]
    assert list(snapshot.tags) == ["1.10", "1e3", "20230101", "1.0"]
    assert snapshot.created == {"1.0": "2026-11-02T10:00:00Z"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("  image: acme/web\n  tags: ['1 0']\n", "'1 0' is not a tag"),
        ("  image: acme/web\n  tags: [{name: a, digest: 'sha256:12'}]\n", "'sha256:12' is not a digest"),
        ("  image: acme/web\n  tags: [{nmae: a}]\n", "spec.tags[0].nmae: unknown field; did you mean name?"),
        ("  image: acme/Web\n  tags: []\n", "repository names are lower case"),
        ("  tags: []\n", "spec.image: required"),
    ],
)
def test_a_wrong_snapshot_is_refused(spec, message):
    with pytest.raises(ConfigError) as caught:
        load(items=SNAPSHOT + spec)
    assert message in str(caught.value)


def test_two_snapshots_of_one_repository_are_refused():
    one = SNAPSHOT + "  image: acme/web\n  tags: ['1']\n"
    with pytest.raises(ConfigError, match=r"second TagSnapshot of docker\.io/acme/web"):
        load(items=f"{one}---\n{one}")


def test_a_suspended_policy_takes_its_targets_with_it():
    found = load(
        automation("policies:\n- {name: web, image: a/b, suspend: true}\ntargets:\n- {policy: web, containers: [web]}")
    )
    assert found.targets == ()
    assert [note.message for note in found.notes] == ["policy default:web is suspended: skipped"]


def test_an_empty_bind_leaves_nothing_but_targets():
    found = load(automation("policies:\n- {name: web, image: a/b, policy: {alphabetical: {}}, bind: []}"))
    assert found.policies[PolicyKey("default", "web")].bind == frozenset()


def test_a_digest_policy_of_flux_form_writes_digests():
    text = """\
kind: List
items:
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImageRepository
  metadata: {name: web}
  spec: {image: ghcr.io/acme/web}
- apiVersion: image.toolkit.fluxcd.io/v1
  kind: ImagePolicy
  metadata: {name: web}
  spec: {imageRepositoryRef: {name: web}, policy: {digest: {}}}
"""
    assert load(text).policies[PolicyKey("default", "web")].digest_reflection == "Always"


def test_a_function_config_with_settings_alone_keeps_the_policies_of_the_items():
    found = load(automation(f"{WEB}\nonError: keep\nmode: update"), automation("mode: check", name="settings"))
    assert list(found.policies) == [PolicyKey("default", "web")]
    assert (found.settings.mode, found.settings.on_error) == ("check", "keep")


def test_an_automation_without_any_policy_is_told():
    assert load("", automation("onError: keep")).asides == (
        "ImageAutomation images has no policies, and there are none elsewhere: nothing is chosen",
    )
    assert load("", automation(WEB)).asides == ()


def objects(count: int) -> str:
    """Return so many policies, and as many of everything that can name one that is not there."""
    lines = ["apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: a}\nspec:\n  policies:"]
    lines += [f"  - {{name: p{number}, image: ghcr.io/acme/a{number}, policy: {{semver: {{range: 1.x}}}}}}" for number in range(count)]
    lines += ["  targets:", *(f"  - {{policy: 'q{number}x', select: {{kind: X{number}}}, fieldPaths: [spec.image]}}" for number in range(count))]
    lines += ["  groups:", *(f"  - {{name: g{number}, policies: ['q{number}x', 'r{number}']}}" for number in range(count))]
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_thousands_of_wrong_names_are_told_in_no_time():
    """A hint for each took minutes: every name was compared with every other, and every problem with those before it."""
    with pytest.raises(ConfigError) as told:
        load(objects(3000))
    hints = [one for one in told.value.problems if "did you mean" in one.message]
    assert 0 < len(hints) < 100 < len(told.value.problems)

"""Flux's objects as they are: spec fields, cross-namespace access, Secrets, status."""

import base64
import json
from pathlib import Path

import pytest

from krmfn.config import loading
from krmfn.config.flux import Unresolved
from krmfn.errors import ConfigError
from krmfn.model import LatestRef, PolicyKey
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text

TABLE = Path(__file__).parent.parent / "fixtures" / "tables" / "flux_policy.json"
WEB = PolicyKey("flux-system", "web")


def load(*objects):
    """Load objects given as plain data: JSON is YAML."""
    text = "\n---\n".join(one if isinstance(one, str) else json.dumps(one) for one in objects)
    return loading.load(documents(Text(text.encode())))


def repository(name="web", namespace="flux-system", version="v1", **spec):
    return {
        "apiVersion": f"image.toolkit.fluxcd.io/{version}", "kind": "ImageRepository",
        "metadata": {"name": name, "namespace": namespace}, "spec": {"image": "ghcr.io/acme/web", **spec},
    }  # fmt: skip


def policy(name="web", namespace="flux-system", version="v1", status=None, ref=None, **spec):
    spec = {"imageRepositoryRef": ref or {"name": "web"}, "policy": {"semver": {"range": "1.x"}}, **spec}
    made = {
        "apiVersion": f"image.toolkit.fluxcd.io/{version}", "kind": "ImagePolicy",
        "metadata": {"name": name, "namespace": namespace}, "spec": {k: v for k, v in spec.items() if v is not ...},
    }  # fmt: skip
    return made | ({"status": status} if status else {})


def rows(kind):
    found = [row for row in json.loads(TABLE.read_text())["cases"] if row["kind"] == kind]
    assert found, f"no rows of kind {kind}"
    return [pytest.param(row, id=row["id"]) for row in found]


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
def test_every_served_version_reads_alike(version):
    found = load(repository(version=version), policy(version=version))
    assert found.policies[WEB].rules.described == "semver 1.x"
    assert found.policies[WEB].bind == {"markers", "annotations"}


def test_unknown_fields_are_tolerated():
    assert WEB in load(repository(someday=1), policy(whatever={"a": 1})).policies


@pytest.mark.parametrize("row", rows("repository_access"))
def test_cross_namespace_access_follows_the_acl(row):
    ref = row.get("imageRepositoryRef") or {"name": "test-repo", "namespace": row["repository"]["namespace"]}
    access = {"accessFrom": row["repository"]["accessFrom"]} if row["repository"]["accessFrom"] else {}
    found = load(
        repository("test-repo", row["repository"]["namespace"], **access),
        policy("p", row["policy_namespace"], ref=ref),
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": row["policy_namespace"], "labels": row["policy_namespace_labels"]},
        },
    )
    key = PolicyKey(row["policy_namespace"], "p")
    assert (key in found.unresolved) is row["expected_error"]
    assert (key in found.policies) is not row["expected_error"]
    if row["expected_error"]:
        assert found.unresolved[key].cause is Unresolved.DENIED


def test_without_the_namespace_object_access_is_let_through_with_a_warning():
    selectors = {"accessFrom": {"namespaceSelectors": [{"matchLabels": {"team": "a"}}]}}
    found = load(repository(**selectors), policy(namespace="apps", ref={"name": "web", "namespace": "flux-system"}))
    assert PolicyKey("apps", "web") in found.policies
    assert "accessFrom was not checked" in found.notes[0].message


@pytest.mark.parametrize("row", rows("crd_validation"))
def test_what_the_api_server_refuses_is_refused(row):
    spec = {"imageRepositoryRef": ..., "policy": ..., **row["spec"]}
    if row.get("expected_error_contains"):
        with pytest.raises(ConfigError) as caught:
            load(repository("foo"), policy(**spec))
        assert row["expected_error_contains"] in str(caught.value)
    else:
        assert WEB in load(repository("foo"), policy(**spec)).policies


@pytest.mark.parametrize("row", rows("parse_image_reference"))
def test_image_references_are_taken_as_flux_takes_them(row):
    found = load(repository(image=row["image"], insecure=row["insecure"]), policy())
    if row["expected_error"]:
        assert "should not include a tag" in found.unresolved[WEB].why
    else:
        made = found.policies[WEB].repository
        assert (made.image.flux_canonical, made.access.insecure) == (row["expected"], row["insecure"])


def test_a_bad_reference_stops_only_the_policies_that_need_it():
    found = load(
        repository(image="ghcr.io/O/app"), repository("db", image="acme/db"), policy(), policy("db", ref={"name": "db"})
    )
    assert "repository names are lower case" in found.unresolved[WEB].why
    assert found.unresolved[WEB].cause is Unresolved.NOT_READY
    assert set(found.policies) == {PolicyKey("flux-system", "db")}
    assert found.notes == ()


def test_a_bad_reference_that_no_policy_needs_is_told_itself():
    found = load(repository(image="ghcr.io/O/app"), repository("db", image="acme/db"), policy(ref={"name": "db"}))
    assert [(one.code, str(one.resource)) for one in found.notes] == [
        ("dangling-policy", "ImageRepository flux-system/web")
    ]


def test_a_bad_reference_in_a_status_stops_only_its_policy():
    found = load(policy(status={"latestRef": {"name": "ghcr.io/O/app", "tag": "1"}}))
    assert "status.latestRef.name: 'ghcr.io/O/app'" in found.unresolved[WEB].why


def test_problems_in_files_name_file_and_line():
    text = json.dumps(repository()) + "\n---\n" + json.dumps(policy(policy={"semver": {"range": "nope"}}))
    with pytest.raises(ConfigError) as caught:
        loading.load(documents(Text(text.encode(), "clusters/web.yaml")))
    assert str(caught.value.problems[0]).startswith(
        "clusters/web.yaml:3: ImagePolicy flux-system/web: spec.policy.semver.range: "
    )


def test_always_needs_an_interval():
    with pytest.raises(
        ConfigError, match=r"spec\.interval must be set when spec.digestReflectionPolicy is set to 'Always'"
    ):
        load(repository(), policy(digestReflectionPolicy="Always"))


def test_a_suspended_policy_is_skipped_with_a_word():
    found = load(repository(), policy(suspend=True))
    assert not found.policies
    assert found.notes[0].message == "policy flux-system:web is suspended: skipped"
    assert WEB in found.declared


def test_a_policy_without_policy_takes_the_newest_and_says_so():
    found = load(repository(), policy(policy=...))
    assert found.policies[WEB].rules.needs_created
    assert "takes the newest image (Flux refuses this)" in found.notes[0].message


def test_a_missing_repository_dangles_and_names_the_nearest():
    found = load(repository(), policy(ref={"name": "wbe"}))
    assert "flux-system/wbe is not among the items; did you mean flux-system/web?" in found.unresolved[WEB].why


@pytest.mark.parametrize(
    "status",
    [
        {"latestRef": {"name": "ghcr.io/acme/web", "tag": "1.2.0"}},
        {"latestImage": "ghcr.io/acme/web:1.2.0"},
    ],
    ids=["v1 latestRef", "v1beta1 latestImage"],
)
def test_the_status_of_the_cluster_stands_in_for_the_repository(status):
    found = load(policy(status=status)).policies[WEB]
    assert found.latest == LatestRef("ghcr.io/acme/web", "1.2.0")
    assert found.repository.image.canonical == "ghcr.io/acme/web"


def test_a_list_from_kubectl_is_unpacked():
    whole = {"apiVersion": "v1", "kind": "List", "items": [repository(), policy()]}
    assert set(load(whole).policies) == {WEB}


def test_the_exclusion_list_of_the_repository_counts():
    assert [one.text for one in load(repository(exclusionList=["-rc"]), policy()).policies[WEB].rules.exclude] == [
        "-rc"
    ]


def test_timeouts_are_at_least_a_second():
    assert load(repository(timeout="10ms"), policy()).policies[WEB].repository.access.timeout_seconds == 1.0
    with pytest.raises(ConfigError, match="expected a duration such as 30s, found 'soon'"):
        load(repository(timeout="soon"), policy())


def secret(name, **data):
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "flux-system"}, "data": coded}


def test_secrets_of_the_same_namespace_reach_the_access_and_nothing_else():
    given = (
        repository(secretRef={"name": "login"}, certSecretRef={"name": "tls"}, proxySecretRef={"name": "proxy"}),
        policy(),
        secret("login", **{".dockerconfigjson": '{"auths": {"canary": {}}}'}),
        secret("tls", **{"ca.crt": "canary-ca", "tls.crt": "canary-crt", "tls.key": "canary-key"}),
        secret("proxy", address="http://canary:8080", username="canary-user", password="canary-password"),
    )
    found = load(*given)
    access = found.policies[WEB].repository.access
    assert access.docker_configs == ('{"auths": {"canary": {}}}',)
    assert (access.ca_pem, access.client_cert_pem, access.client_key_pem) == ("canary-ca", "canary-crt", "canary-key")
    assert (access.proxy_address, access.proxy_password) == ("http://canary:8080", "canary-password")
    assert "canary" not in repr(found.policies)


def test_a_secret_of_another_namespace_is_not_taken():
    other = secret("login", **{".dockerconfigjson": "{}"})
    other["metadata"]["namespace"] = "elsewhere"
    assert (
        load(repository(secretRef={"name": "login"}), policy(), other).policies[WEB].repository.access.docker_configs
        == ()
    )


def test_a_secret_that_is_not_among_the_items_is_noted():
    given = repository(secretRef={"name": "login"}, certSecretRef={"name": "tls"})
    (missing,) = load(given, policy(), secret("tls")).policies.values()
    assert missing.repository.access.missing_secrets == ("flux-system/login (secretRef)",)
    assert missing.repository == load(repository(), policy()).policies[WEB].repository, "asked once"


def test_a_secret_that_is_no_base64_is_told_without_its_value():
    broken = secret("login")
    broken["data"] = {".dockerconfigjson": "%%canary%%"}
    with pytest.raises(ConfigError) as caught:
        load(repository(secretRef={"name": "login"}), policy(), broken)
    assert "key .dockerconfigjson is not base64" in str(caught.value)
    assert "canary" not in str(caught.value)


KUSTOMIZATION = """
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  imagePolicies:
  - name: web
    identifier: v
    policy: {semver: {range: '>=1.0.0'}}
    github: {image: ghcr.io/acme/web, policy: {tags: {regex: '^v1'}}, ignoreTags: ['-rc']}
  - name: pin
    policy: {type: Digest}
    dockerhub: {image: nginx}
  - name: last
    policy: {type: Alphabetical}
    oci: {image: quay.io/acme/last}
"""


def test_image_policies_inside_a_kustomization_are_read():
    found = load(KUSTOMIZATION).policies
    web = found[PolicyKey("flux-system", "web")]
    assert (web.rules.described, [one.text for one in web.rules.allow]) == ("semver >=1.0.0", ["^v1"])
    assert web.rules.filter is not None
    assert found[PolicyKey("flux-system", "pin")].rules.pins_current
    assert found[PolicyKey("flux-system", "pin")].digest_reflection == "Always"
    assert found[PolicyKey("flux-system", "last")].rules.described == "alphabetical asc"


def test_an_image_policy_of_a_kustomization_names_exactly_one_registry_kind():
    text = KUSTOMIZATION.replace("    dockerhub: {image: nginx}\n", "")
    with pytest.raises(ConfigError, match="expected exactly one of aws, gcr, oci, dockerhub, azure, github, found 0"):
        load(text)

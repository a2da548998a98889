"""`verify` and `provenance` of `require`, against registries: what is signed is chosen, and its digest is what is written."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from krmfn.cli import main
from krmfn.sources.layout import LayoutSource
from tests import signing
from tests.asking import asking
from tests.lists import images, lock, locked, messages, pod, policy, relocked, resource_list, run
from tests.registry_server import Registry, Request
from tests.running import call, environment
from tests.signing import BUNDLE, SIGN, SLSA_02, SLSA_1, Signer

if TYPE_CHECKING:
    from krmfn.outcome import Outcome
    from tests.image_store import Images

SIGNER, STRANGER = Signer(), Signer("ed25519")
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
FORMS = ("tag", "api", "fallback")
"""A `.sig` or `.att` tag; a bundle by the referrers API; a bundle by the tag that stands in for the API."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        server.add("acme/web", ["1.0.0", "1.1.0", "1.2.0"])
        for number, tag in enumerate(["1.1.0", "1.2.0"]):
            server.add("acme/web", [tag], created=f"2026-02-0{number + 1}T00:00:00Z")
        yield server


def manifest_of(store: Images, layers: list[dict[str, Any]]) -> str:
    return str(store.put(signing.MANIFEST, signing.manifest(layers))["digest"])


def attach(registry: Registry, tag: str, form: str, *, signer: Signer = SIGNER, kind: str = SIGN, of: str = "", **built: Any) -> None:
    """Sign a tag's digest, or attest its provenance, and put that beside it."""
    digest = of or registry.tags["acme/web"][tag]
    predicate = signing.built(kind, **built) if kind != SIGN else {}
    tags = registry.tags["acme/web"]
    name = digest.replace(":", "-")
    if form == "tag":
        if kind == SIGN:
            data = json.dumps(signing.simple(digest)).encode()
            put = registry.put(PAYLOAD, data)
            put["annotations"] = {"dev.cosignproject.cosign/signature": signing.text(signer.sign(data))}
        else:
            put = registry.put(ENVELOPE, signing.envelope(signer, signing.statement(digest, kind, predicate)))
        tags[name + (".sig" if kind == SIGN else ".att")] = manifest_of(registry, [put])
        return
    refer(registry, digest, signing.bundle(signing.envelope(signer, signing.statement(digest, kind, predicate))), form)


def refer(registry: Registry, digest: str, bundle: Mapping[str, Any], form: str) -> None:
    """Let a bundle refer to a digest, by the API or by the tag that stands in for it."""
    put = registry.put(BUNDLE, bundle)
    entry = {"mediaType": signing.MANIFEST, "digest": manifest_of(registry, [put]), "size": 1, "artifactType": BUNDLE}
    if form == "fallback":
        registry.tags["acme/web"][digest.replace(":", "-")] = str(registry.put(signing.INDEX, {"schemaVersion": 2, "mediaType": signing.INDEX, "manifests": [entry]})["digest"])
        return
    there = referrers(registry)
    there.setdefault(digest, []).append(entry)


def referrers(registry: Registry) -> dict[str, list[Any]]:
    """Give a registry the referrers API; return what it serves."""
    served: dict[str, list[Any]] = registry.__dict__.setdefault("referring", {})
    if not served:

        def act(request: Request) -> None:
            digest = request.path.rpartition("/")[2]
            index = {"schemaVersion": 2, "mediaType": signing.INDEX, "manifests": served.get(digest, [])}
            request.plain(200, json.dumps(index).encode(), {"Content-Type": signing.INDEX})

        registry.misbehave("other", act)
        served["sha256:none"] = []
    return served


def secret(*signers: Signer, name: str = "cosign-keys") -> str:
    members = "".join(f"  k{number}.pub: {base64.b64encode(one.pem).decode()}\n" for number, one in enumerate(signers))
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ndata:\n{members}"


VERIFY = "verify: [{provider: cosign, secretRef: {name: cosign-keys}}]"


def require(*lines: str) -> str:
    body = "\n      ".join(lines)
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: rules}}\nspec:\n  require:\n    - {body}\n"


def web(registry: Registry) -> str:
    return f"{registry.address}/acme/web"


def package(registry: Registry, *more: str, rules: tuple[str, ...] = (VERIFY,), current: str = "1.0.0", reflection: str = "Never", keys: str = "") -> bytes:
    rule = policy(image=web(registry), reflection=reflection).replace("interval: 5m}", "interval: 5m, insecure: true}")
    return resource_list(rule, pod(f"{web(registry)}:{current}"), require(*rules), keys or secret(SIGNER), *more)


def update(registry: Registry, *more: str, **given: Any) -> Outcome:
    with asking() as source:
        return run(package(registry, *more, **given), source)


def pinned(registry: Registry, tag: str) -> str:
    return f"{web(registry)}:{tag}@{registry.tags['acme/web'][tag]}"


def asked(registry: Registry) -> list[str]:
    """Return the requests besides those for tags, in short."""
    shown = []
    for one in registry.seen:
        name = one.path.rpartition("/")[2]
        kind = registry.blobs.get(name, ("", b""))[0].rpartition(".")[2]
        if one.endpoint == "other":
            shown.append("referrers")
        elif one.endpoint not in ("ping", "tags"):
            tail = name[-4:] if name.endswith((".sig", ".att")) else "sha256-" if name.startswith("sha256-") else ""
            shown.append(f"{one.method} {tail or kind or name}")
    return shown


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reflection", ["Never", "IfNotPresent", "Always"])
def test_the_best_that_is_signed_is_chosen_and_its_digest_written(registry: Registry, form: str, reflection: str):
    attach(registry, "1.1.0", form)
    attach(registry, "1.2.0", form, signer=STRANGER)
    outcome = update(registry, lock(), reflection=reflection)
    assert images(outcome) == [pinned(registry, "1.1.0")]
    (said,) = (one for one in messages(outcome, "info") if "may run" in one)
    assert "1.2.0: no signature that counts" in said
    assert "was not signed by a key that is named" in said
    assert "1.1.0 may run" in said
    (entry,) = locked(outcome)
    assert (entry["tag"], entry["digest"]) == ("1.1.0", registry.tags["acme/web"]["1.1.0"])


@pytest.mark.parametrize(
    ("form", "requests"),
    [
        ("tag", ["HEAD 1.2.0", "referrers", "GET sha256-", "GET .sig", "GET v1+json"]),
        ("api", ["HEAD 1.2.0", "referrers", "GET v1+json", "GET 3+json"]),
        ("fallback", ["HEAD 1.2.0", "referrers", "GET sha256-", "GET v1+json", "GET 3+json"]),
    ],
)
def test_no_more_is_asked_than_the_form_takes(registry: Registry, form: str, requests: list[str]):
    attach(registry, "1.2.0", form)
    assert images(update(registry)) == [pinned(registry, "1.2.0")]
    assert asked(registry) == requests


def test_a_registry_is_asked_once_whether_it_has_referrers(registry: Registry):
    attach(registry, "1.0.0", "tag")
    assert images(update(registry, current="0.9.0")) == [pinned(registry, "1.0.0")]
    assert asked(registry).count("referrers") == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [SLSA_02, SLSA_1])
def test_provenance_is_required(registry: Registry, form: str, kind: str):
    attach(registry, "1.2.0", form, kind=kind, source="https://github.com/evil/web")
    attach(registry, "1.1.0", form, kind=kind)
    rules = (VERIFY, 'provenance: {builder: "https://github.com/slsa-framework/**", source: "https://github.com/acme/*"}')
    outcome = update(registry, rules=rules)
    assert images(outcome) == [pinned(registry, "1.1.0")]
    assert any("was built from 'https://github.com/evil/web" in one or "was built from 'git+https://github.com/evil/web" in one for one in messages(outcome, "info"))


def test_any_key_of_any_entry_suffices_and_all_requirements_must_be_met(registry: Registry):
    attach(registry, "1.2.0", "tag", signer=STRANGER)
    either = "verify: [{secretRef: {name: cosign-keys}}, {secretRef: {name: other}}]"
    assert images(update(registry, secret(STRANGER, name="other"), rules=(either,))) == [pinned(registry, "1.2.0")]
    both = (VERIFY + "\n    - verify: [{secretRef: {name: other}}]",)
    assert images(update(registry, secret(STRANGER, name="other"), rules=both)) == [f"{web(registry)}:1.0.0"]


@pytest.mark.parametrize(("current", "kept"), [("1.0.0", "1.0.0"), ("1.0.0@{}", "1.0.0@{}")])
def test_what_runs_is_never_rolled_back(registry: Registry, current: str, kept: str):
    old = registry.tags["acme/web"]["1.0.0"]
    outcome = update(registry, current=current.format(old))
    assert images(outcome) == [f"{web(registry)}:{kept.format(old)}"]
    assert any("no signature by k0.pub of Secret cosign-keys; 1.0.0 may run" in one for one in messages(outcome, "info"))


def test_a_tag_that_was_pushed_again_is_verified_anew(registry: Registry):
    attach(registry, "1.2.0", "tag")
    old = registry.tags["acme/web"]["1.2.0"]
    registry.add("acme/web", ["1.2.0"], created="2026-06-01T00:00:00Z")
    outcome = update(registry, current=f"1.2.0@{old}", reflection="Always")
    assert images(outcome) == [f"{web(registry)}:1.2.0@{old}"]
    assert any("its digest stays" in one for one in messages(outcome, "warning"))
    attach(registry, "1.2.0", "tag")
    assert images(update(registry, current=f"1.2.0@{old}", reflection="Always")) == [pinned(registry, "1.2.0")]


ON_UNVERIFIED = {"next": "1.1.0", "keep": "1.0.0", "fail": ""}


@pytest.mark.parametrize("choice", ON_UNVERIFIED)
def test_what_follows_when_the_best_is_not_signed(registry: Registry, choice: str):
    attach(registry, "1.1.0", "tag")
    outcome = update(registry, rules=(VERIFY, f"onUnverified: {choice}"))
    if choice == "fail":
        assert outcome.is_error
        assert any("no signature by k0.pub of Secret cosign-keys" in one for one in messages(outcome, "error"))
    else:
        assert not outcome.is_error
        assert images(outcome)[0].startswith(f"{web(registry)}:{ON_UNVERIFIED[choice]}")


@pytest.mark.parametrize("choice", ["next", "keep"])
def test_a_registry_that_is_away_is_never_passed_over(registry: Registry, choice: str):
    attach(registry, "1.1.0", "tag")
    attach(registry, "1.2.0", "tag")
    registry.misbehave("other", lambda request: request.error(503, "UNAVAILABLE", "come back later"))
    outcome = update(registry, rules=(VERIFY, f"onUnverified: {choice}"))
    assert images(outcome) == [f"{web(registry)}:1.0.0"]
    assert not outcome.is_error
    (said,) = (one for one in messages(outcome, "warning") if "cannot be judged" in one)
    assert "1.2.0" in said


def test_content_that_is_not_what_its_digest_says_never_counts(registry: Registry):
    attach(registry, "1.2.0", "tag")
    name = next(digest for digest, (kind, _) in registry.blobs.items() if kind == PAYLOAD)
    registry.blobs[name] = (PAYLOAD, registry.blobs[name][1] + b" ")
    outcome = update(registry)
    assert images(outcome) == [f"{web(registry)}:1.0.0"]
    assert any("has another digest" in one for one in messages(outcome, "info"))


def test_the_digest_of_another_image_cannot_be_lent_a_signature(registry: Registry):
    """The signature of 1.1.0 beside the digest of 1.2.0: right for its own digest alone."""
    attach(registry, "1.1.0", "tag")
    tags = registry.tags["acme/web"]
    tags[tags["1.2.0"].replace(":", "-") + ".sig"] = tags[tags["1.1.0"].replace(":", "-") + ".sig"]
    outcome = update(registry)
    assert images(outcome) == [pinned(registry, "1.1.0")]
    assert any("was made for another digest" in one for one in messages(outcome, "info"))


def values(tag_field: str, more: str = "") -> str:
    return (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  values:\n    image:\n"
        f'      repository: REPOSITORY\n      tag: {tag_field} # {{"$imagepolicy": "flux:web:tag"}}\n{more}'
    )


def chart(version: str) -> str:
    return (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: chart}\nspec:\n  chart:\n    spec:\n"
        f'      version: {version} # {{"$imagepolicy": "flux:web:version"}}\n'
    )


def released(outcome: Outcome) -> Mapping[str, str]:
    import yaml

    every = yaml.load(outcome.text, yaml.BaseLoader)["items"]
    image: Mapping[str, str] = next(one for one in every if one["kind"] == "HelmRelease")["spec"]["values"]["image"]
    return image


def test_fields_that_take_a_tag_alone_are_one_error_that_says_what_to_do(registry: Registry):
    attach(registry, "1.2.0", "tag")
    outcome = update(registry, values("1.0.0"), chart("1.0.0"))
    assert outcome.is_error
    (said,) = messages(outcome, "error")
    assert "2 fields take a tag alone, so the digest that was verified would be lost" in said
    assert "HelmRelease web: spec.values.image.tag (policy flux:web)" in said
    assert "HelmRelease chart: spec.chart.spec.version (policy flux:web)" in said
    assert "TAG@DIGEST" in said
    assert "allowTagOnly" in said
    assert registry.seen == []
    permitted = update(registry, values("1.0.0"), rules=(VERIFY, "allowTagOnly: true"))
    assert released(permitted)["tag"] == "1.2.0"
    assert any("allowTagOnly permits that" in one for one in messages(permitted, "warning"))


def test_allow_tag_only_of_one_requirement_does_not_speak_for_another(registry: Registry):
    assert update(registry, values("1.0.0"), rules=(f"{VERIFY}\n      allowTagOnly: true\n    - {VERIFY}",)).is_error


def test_a_digest_moves_with_the_tag_beside_it_alone(registry: Registry):
    """The other tag of the same resource would be written without any."""
    attach(registry, "1.2.0", "tag")
    old = registry.tags["acme/web"]["1.0.0"]
    beside = f'      digest: {old} # {{"$imagepolicy": "flux:web:digest"}}\n'
    other = '    sidecar:\n      tag: 1.0.0 # {"$imagepolicy": "flux:web:tag"}\n'
    outcome = update(registry, values("1.0.0", beside + other))
    (said,) = messages(outcome, "error")
    assert "1 field takes a tag alone" in said
    assert "spec.values.sidecar.tag" in said


SHOWN = {
    "a variable": values("${TAG}"),
    "a variable in an image": pod("REPOSITORY:${TAG}", name="other"),
    "a range": (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web}\n"
        "spec:\n  url: oci://REPOSITORY\n  ref: {semver: '>=1.0.0'}\n"
    ),
    "a range that shadows a tag": (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: web}\n"
        "spec:\n  url: oci://REPOSITORY\n  ref: {semver: '>=1.0.0', tag: 1.0.0}\n"
    ),
    "a tag without a repository": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {tag: 1.0.0}\n",
    "another image": pod("ghcr.io/other/web:1.0.0", name="other"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_the_cluster_chooses_is_not_bound_and_never_an_error(registry: Registry, case: str):
    """The same rules bind the images around it."""
    attach(registry, "1.2.0", "tag")
    inline = f"  policies: [{{name: web, image: {web(registry)}, policy: {{semver: {{range: '>=1.0.0'}}}}}}]\n"
    rules = require(VERIFY).replace("spec:\n", f"spec:\n{inline}", 1)
    beside = SHOWN[case].partition(" # {")[0].replace("REPOSITORY", web(registry)).rstrip() + "\n"
    with asking() as source:
        mine = pod(f"{web(registry)}:1.0.0").partition(" # {")[0] + "\n"
        outcome = run(resource_list(mine, beside, rules, secret(SIGNER)), source)
    assert not outcome.is_error, messages(outcome, "error")
    assert images(outcome)[0] == pinned(registry, "1.2.0")
    assert beside.splitlines()[-1].strip().encode() in outcome.text


@pytest.mark.parametrize("keep", ["true", "false"])
def test_keep_pins_false_does_not_lose_the_digest_of_a_tag(registry: Registry, keep: str):
    attach(registry, "1.2.0", "tag")
    old = registry.tags["acme/web"]["1.0.0"]
    rules = require(VERIFY).replace("spec:\n", f"spec:\n  keepPins: {keep}\n", 1)
    rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
    with asking() as source:
        outcome = run(resource_list(rule, values(f"1.0.0@{old}"), rules, secret(SIGNER)), source)
    assert released(outcome)["tag"] == f"1.2.0@{registry.tags['acme/web']['1.2.0']}"


def test_a_tag_with_its_digest_in_one_field_or_two_takes_what_was_verified(registry: Registry):
    attach(registry, "1.2.0", "tag")
    digest = registry.tags["acme/web"]["1.2.0"]
    old = registry.tags["acme/web"]["1.0.0"]
    assert released(update(registry, values(f"1.0.0@{old}")))["tag"] == f"1.2.0@{digest}"
    beside = f'      digest: {old} # {{"$imagepolicy": "flux:web:digest"}}\n'
    image = released(update(registry, values("1.0.0", beside)))
    assert (image["tag"], image["digest"]) == ("1.2.0", digest)


def test_keep_pins_false_does_not_lose_what_was_verified(registry: Registry):
    attach(registry, "1.2.0", "tag")
    old = registry.tags["acme/web"]["1.0.0"]
    rules = require(VERIFY).replace("spec:\n", "spec:\n  keepPins: false\n", 1)
    rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
    with asking() as source:
        outcome = run(resource_list(rule, pod(f"{web(registry)}:1.0.0@{old}"), rules, secret(SIGNER)), source)
    assert images(outcome) == [pinned(registry, "1.2.0")]


@pytest.fixture
def recorded(registry: Registry) -> tuple[tuple[str, ...], str]:
    """What a run was given, and the lock that it left."""
    attach(registry, "1.2.0", "tag")
    rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
    documents = (rule, pod(f"{web(registry)}:1.0.0"), require(VERIFY), secret(SIGNER))
    with asking() as source:
        record = relocked(*documents, tags=source, KRMFN_NOW="2026-06-01T00:00:00Z")
    registry.seen.clear()
    return documents, record


def frozen(documents: tuple[str, ...], record: str, **more: str) -> Outcome:
    with asking() as source:
        return run(resource_list(*documents, record), source, **{"KRMFN_MODE": "frozen", **more})


def test_the_lock_tells_who_signed_and_when_that_was_verified(recorded: tuple[tuple[str, ...], str], registry: Registry):
    documents, record = recorded
    (entry,) = yaml.safe_load(record)["spec"]["images"]
    assert (entry["verifiedBy"], entry["verifiedAt"]) == ("k0.pub of Secret cosign-keys", "2026-06-01T00:00Z")
    assert entry["digest"] == registry.tags["acme/web"]["1.2.0"]
    with asking() as source:  # a later run that decides the same changes nothing
        again = run(resource_list(*documents, record), source, KRMFN_NOW="2026-07-01T00:00:00Z")
    assert locked(again) == yaml.safe_load(record)["spec"]["images"]


def test_frozen_takes_the_digest_that_was_verified_and_asks_nobody(recorded: tuple[tuple[str, ...], str], registry: Registry):
    documents, record = recorded
    assert images(frozen(documents, record)) == [pinned(registry, "1.2.0")]
    assert registry.seen == []
    assert frozen((*documents[:3], secret(STRANGER)), record).is_error  # other keys, other rules


RULES = {
    "provenance too": require(VERIFY, 'provenance: {builder: "**"}'),
    "a second requirement": require(f"{VERIFY}\n    - verify: [{{secretRef: {{name: cosign-keys}}}}]\n      pullable: true"),
    "a minimum age": require(VERIFY, "minimumReleaseAge: 1 day"),
}


@pytest.mark.parametrize("rules", RULES)
def test_frozen_with_other_rules_is_an_error_that_names_them(recorded: tuple[tuple[str, ...], str], rules: str):
    documents, record = recorded
    outcome = frozen((*documents[:2], RULES[rules], documents[3]), record)
    assert outcome.is_error
    assert any("rulesHash" in one or "require" in one for one in messages(outcome, "error")), messages(outcome, "error")


def forged(record: str, **fields: str) -> str:
    """Return a lock as somebody wrote it who wants another image to run."""
    document = yaml.safe_load(record)
    document["spec"]["images"][0].update(fields)
    return str(yaml.safe_dump(document, sort_keys=False))


@pytest.mark.parametrize("is_away", [False, True], ids=["the registry answers", "the registry does not list"])
@pytest.mark.parametrize("tag", ["1.1.0", "1.2.0"])
def test_a_verdict_that_is_forged_in_the_lock_gets_nothing_outside_of_frozen(
    recorded: tuple[tuple[str, ...], str], registry: Registry, tag: str, is_away: bool
):
    """The lock claims that the stranger's image was verified, under the right rules."""
    documents, record = recorded
    registry.add("acme/web", ["evil"], created="2026-09-09T00:00:00Z")
    evil = registry.tags["acme/web"].pop("evil")
    lie = forged(record, tag=tag, digest=evil, verifiedBy="k0.pub of Secret cosign-keys")
    if is_away:
        registry.misbehave("tags", lambda request: request.error(503, "UNAVAILABLE", "come back later"))
    with asking() as source:
        outcome = run(resource_list(*documents, lie), source)
    assert evil not in images(outcome)[0]
    assert images(outcome) == [f"{web(registry)}:1.0.0" if is_away else pinned(registry, "1.2.0")]
    if is_away:
        assert any("proves no signature of tag" in one for one in messages(outcome, "warning"))


MISTAKES = {
    "verify: []": "nothing is required",
    "verify: [{provider: notation}]": "cosign",
    "verify: [{provider: cosign}]": "expected secretRef",
    "verify: [{secretRef: {name: lost}}]": "Secret lost is not among the items",
    "verify: [{matchOIDCIdentity: []}]": "nobody is named",
    "verify: [{matchOIDCIdentity: [{issuer: a}]}]": "subject",
    "verify: [{matchOIDCIdentity: [{issuer: '', subject: b}]}]": "issuer has to be named",
    "verify: [{matchOIDCIdentity: [{issuer: 'a(', subject: b}]}]": "missing closing",
    "verify: [{matchOIDCIdentity: [{issuer: a, subject: 'b\\Q'}]}]": "missing closing",
    "verify: [{secretRef: {name: cosign-keys}, matchOIDCIdentity: [{issuer: a, subject: b}]}]": "an entry for each",
    "verify: [{secretRef: {name: cosign-keys}, trustedRootSecretRef: {name: root}}]": "write matchOIDCIdentity",
    "verify: [{matchOIDCIdentity: [{issuer: a, subject: b}], trustedRootSecretRef: {name: lost}}]": "Secret lost is not among the items",
    "verify: [{matchOIDCIdentity: [{issuer: a, subject: b}], trustedRootSecretRef: {name: cosign-keys}}]": "no member trusted_root.json",
    'provenance: {builder: "x"}': "write verify too",
    f"{VERIFY}\n      provenance: {{}}": "write builder, source or both",
    f"{VERIFY}\n      onUnverified: skip": "next",
    "verfy: []": "did you mean verify?",
}


@pytest.mark.parametrize("rule", MISTAKES)
def test_mistakes_are_told_with_what_to_write(registry: Registry, rule: str):
    outcome = update(registry, rules=(rule,))
    assert outcome.is_error
    assert any(MISTAKES[rule] in one for one in messages(outcome, "error")), messages(outcome, "error")
    assert registry.seen == []


@pytest.mark.parametrize(("data", "why"), [("k.pub: aGVsbG8=", "no PEM text"), ("k.txt: aGVsbG8=", "ends in .pub"), ("k.pub: '%'", "not base64")])
def test_secrets_without_keys_are_refused(registry: Registry, data: str, why: str):
    keys = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: cosign-keys}}\ndata:\n  {data}\n"
    outcome = update(registry, keys=keys)
    assert outcome.is_error
    assert any(why in one for one in messages(outcome, "error")), messages(outcome, "error")


def layout(folder: Path, registry: Registry) -> Path:
    """Copy a registry into a layout."""
    place = folder / registry.address / "acme" / "web"
    (place / "blobs" / "sha256").mkdir(parents=True)
    for name, (_, data) in registry.blobs.items():
        (place / "blobs" / name.replace(":", "/")).write_bytes(data)
    entries = [
        {"mediaType": registry.blobs[name][0], "digest": name, "size": len(registry.blobs[name][1]), "annotations": {"org.opencontainers.image.ref.name": tag}}
        for tag, name in registry.tags["acme/web"].items()
    ]
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return folder


def test_a_layout_holds_signatures_too(tmp_path: Path, registry: Registry):
    attach(registry, "1.2.0", "fallback")
    attach(registry, "1.1.0", "tag")
    assert images(run(package(registry), LayoutSource(layout(tmp_path, registry)))) == [pinned(registry, "1.2.0")]
    assert registry.seen == []


@pytest.mark.parametrize("case", ["as it is", "of another image", "lost", "too many"])
def test_what_refers_to_an_image_in_the_index_of_a_layout_is_found(tmp_path: Path, registry: Registry, case: str):
    """As `oras copy -r --to-oci-layout` keeps it: a manifest with a subject, and no tag."""
    digest = registry.tags["acme/web"]["1.2.0"]
    subject = registry.tags["acme/web"]["1.1.0"] if case == "of another image" else digest
    put = registry.put(BUNDLE, signing.bundle(signing.envelope(SIGNER, signing.statement(digest, SIGN, {}))))
    document = {**signing.manifest([put]), "artifactType": BUNDLE, "subject": {"mediaType": signing.MANIFEST, "digest": subject, "size": 1}}
    entry = registry.put(signing.MANIFEST, document)
    images_of = layout(tmp_path, registry)
    index = tmp_path / registry.address / "acme" / "web" / "index.json"
    whole = json.loads(index.read_text())
    whole["manifests"] += [entry] if case != "too many" else [{**entry, "digest": f"sha256:{number:064x}"} for number in range(10_001)]
    index.write_text(json.dumps(whole))
    if case == "lost":
        (index.parent / "blobs" / entry["digest"].replace(":", "/")).unlink()
    outcome = run(package(registry), LayoutSource(images_of))
    assert images(outcome) == [pinned(registry, "1.2.0") if case == "as it is" else f"{web(registry)}:1.0.0"]
    if case == "too many":
        assert any("more than 10000 manifests without a tag" in one.message for one in outcome.results)


@pytest.fixture
def signed(tmp_path: Path, registry: Registry) -> Path:
    """A folder with images, keys, and manifests that run a signed image, one that is not, and one of somebody else."""
    attach(registry, "1.1.0", "tag")
    attach(registry, "1.1.0", "tag", kind=SLSA_02)
    layout(tmp_path / "images", registry)
    (tmp_path / "cosign.pub").write_bytes(SIGNER.pem)
    (tmp_path / "other.pub").write_bytes(STRANGER.pem)
    rules = require(f'images: ["{registry.address}/acme/*"]', VERIFY)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "rules.yaml").write_text(f"{rules}---\n{secret(SIGNER)}")
    for name, image in (("good", f"{web(registry)}:1.1.0"), ("bad", f"{web(registry)}:1.2.0"), ("free", "ghcr.io/other/api:1.0.0")):
        (tmp_path / "tree" / f"{name}.yaml").write_text(pod(image, name=name).partition(" # ")[0] + "\n")
    return tmp_path


def verified(signed: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["verify", *arguments, "--source", f"layout:{signed / 'images'}"])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_one_image_is_verified_by_a_key(signed: Path, registry: Registry, capsys: pytest.CaptureFixture[str]):
    image = f"{web(registry)}:1.1.0"
    code, out, _ = verified(signed, capsys, image, "--key", str(signed / "cosign.pub"))
    assert (code, image in out, "passed" in out, "cosign.pub" in out) == (0, True, True, True)
    by_digest = f"{web(registry)}@{registry.tags['acme/web']['1.1.0']}"
    assert verified(signed, capsys, by_digest, "--key", str(signed / "cosign.pub"))[0] == 0
    code, _, err = verified(signed, capsys, image, "--key", str(signed / "other.pub"))
    assert (code, "was not signed by a key that is named" in err) == (1, True)
    code, out, _ = verified(signed, capsys, image, "--key", str(signed / "cosign.pub"), "--source-uri", "https://github.com/acme/*", "-o", "json")
    (one,) = json.loads(out)
    assert (code, one["outcome"], one["provenance"]["builder"]) == (0, "passed", signing.BUILDER)
    code, _, err = verified(signed, capsys, image, "--key", str(signed / "cosign.pub"), "--builder-id", "https://github.com/evil/**")
    assert (code, "was built by" in err) == (1, True)


def test_one_image_is_told_whole(signed: Path, registry: Registry, capsys: pytest.CaptureFixture[str]):
    registry.add("acme/web", ["2.0.0"], created="2026-03-04T05:06:07Z", platforms=["linux/amd64", "linux/arm64"])
    attach(registry, "2.0.0", "tag")
    attach(registry, "2.0.0", "tag", kind=SLSA_1)
    shutil.rmtree(signed / "images")
    layout(signed / "images", registry)
    image = f"{web(registry)}@{registry.tags['acme/web']['2.0.0']}"
    code, out, _ = verified(signed, capsys, image, "--key", str(signed / "cosign.pub"), "--source-uri", "https://github.com/acme/*")
    assert code == 0
    assert [line.strip() for line in out.splitlines()] == [
        f"{image}: passed",
        f"digest     {registry.tags['acme/web']['2.0.0']}",
        "signed by  cosign.pub",
        f"built by   {signing.BUILDER}",
        f"built from {signing.SOURCE}",
        "platforms  linux/amd64, linux/arm64",
        "since      2026-03-04T05:06:07Z (created)",
    ]
    (one,) = json.loads(verified(signed, capsys, image, "--key", str(signed / "cosign.pub"), "-o", "json")[1])
    assert (one["platforms"], one["since"]) == (["linux/amd64", "linux/arm64"], {"time": "2026-03-04T05:06:07Z", "evidence": "created"})


def test_what_was_seen_first_goes_before_what_the_image_says(signed: Path, registry: Registry, capsys: pytest.CaptureFixture[str]):
    (signed / "tree" / "seen.yaml").write_text(
        f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec:\n  image: {web(registry)}\n"
        "  time: 2026-06-01T00:00:00Z\n  tags: [{name: 1.1.0, firstSeen: 2026-05-01T00:00:00Z}]\n"
    )
    found = json.loads(verified(signed, capsys, str(signed / "tree"), "-o", "json")[1])
    assert {"time": "2026-05-01T00:00Z", "evidence": "first seen"} in [one["since"] for one in found]


def test_images_on_stdin_are_judged_as_kubectl_prints_them(signed: Path, registry: Registry):
    running = {"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": tag}, "spec": {"containers": [{"name": "web", "image": f"{web(registry)}:{tag}"}]}}
        for tag in ("1.1.0", "1.2.0")
    ]}  # fmt: skip
    words = ("verify", "-", "--key", "cosign.pub", "--source", "layout:images")
    done = call(*words, cwd=signed, text=json.dumps(running))
    assert done.returncode == 1
    assert "2 images judged" in done.stderr
    assert f"{web(registry)}:1.2.0: no signature by cosign.pub" in done.stderr
    assert call(*words, cwd=signed, text=json.dumps({**running, "items": running["items"][:1]})).returncode == 0


WHO = {
    "--certificate-identity a": "belong together",
    "--certificate-oidc-issuer b": "belong together",
    "--certificate-identity a --certificate-identity-regexp a --certificate-oidc-issuer b": "exclude each other",
    "--certificate-identity-regexp [ --certificate-oidc-issuer b": "missing",
    "--trusted-root rules.json": "vouches for identities",
}


@pytest.mark.parametrize("words", WHO)
def test_wrong_ways_to_name_an_identity_are_told(signed: Path, words: str):
    done = call("verify", "nginx:1", *words.split(), cwd=signed)
    assert (done.returncode, WHO[words] in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("words", ["--certificate-identity a.b --certificate-oidc-issuer https://c", "--certificate-identity-regexp .* --certificate-oidc-issuer-regexp .*"])
def test_a_signature_by_key_does_not_meet_an_identity(signed: Path, registry: Registry, words: str):
    done = call("verify", f"{web(registry)}:1.1.0", *words.split(), "--source", "layout:images", cwd=signed)
    assert (done.returncode, "no signature by" in done.stderr) == (1, True), done
    with_key = call("verify", f"{web(registry)}:1.1.0", *words.split(), "--key", "cosign.pub", "--source", "layout:images", cwd=signed)
    assert with_key.returncode == 0


def test_a_tree_is_verified_by_what_it_requires(signed: Path, registry: Registry, capsys: pytest.CaptureFixture[str]):
    code, out, err = verified(signed, capsys, str(signed / "tree"))
    assert code == 1
    assert "bad.yaml:" in out
    assert f"error: {web(registry)}:1.2.0: no signature by k0.pub of Secret cosign-keys" in err
    assert "1 finding, 2 images judged; nothing is required of 1 more" in err
    code, out, _ = verified(signed, capsys, str(signed / "tree"), "-o", "sarif")
    (result,) = json.loads(out)["runs"][0]["results"]
    assert (result["ruleId"], result["level"]) == ("unsigned", "error")
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("bad.yaml")
    (signed / "tree" / "bad.yaml").unlink()
    assert verified(signed, capsys, str(signed / "tree"))[0] == 0


def checked(signed: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    done = call("check", str(signed / "tree"), "--source", f"layout:{signed / 'images'}", "-o", "json", *arguments, cwd=signed)
    shown = call("check", str(signed / "tree"), "--source", f"layout:{signed / 'images'}", *arguments, cwd=signed)
    return {f"{one['image'].rpartition('/')[2]}:{one['tag']}": one for one in json.loads(done.stdout)["images"]}, shown.stdout


def test_check_tells_by_whom_what_runs_is_signed(signed: Path, registry: Registry):
    attach(registry, "1.0.0", "tag", signer=STRANGER)
    shutil.rmtree(signed / "images")
    layout(signed / "images", registry)
    (signed / "tree" / "stranger.yaml").write_text(pod(f"{web(registry)}:1.0.0", name="stranger").partition(" # ")[0] + "\n")
    found, shown = checked(signed)
    digests = registry.tags["acme/web"]
    assert found["web:1.1.0"]["signed"] == {"outcome": "passed", "by": "k0.pub of Secret cosign-keys", "digest": digests["1.1.0"]}
    assert "signed by k0.pub of Secret cosign-keys" in found["web:1.1.0"]["states"]
    assert (found["web:1.2.0"]["signed"]["outcome"], "not signed" in found["web:1.2.0"]["states"]) == ("missing", True)
    assert (found["web:1.0.0"]["signed"]["outcome"], "bad signature" in found["web:1.0.0"]["states"]) == ("invalid", True)
    assert ("signed" in found["api:1.0.0"], found["api:1.0.0"]["states"]) == (False, ["fixed", "unknown"])
    assert "not signed" in shown
    assert "bad signature" in shown
    assert "signed by" not in shown  # nothing follows from it
    sarif = json.loads(call("check", "tree", "--source", "layout:images", "-o", "sarif", cwd=signed).stdout)
    rules = {one["ruleId"] for one in sarif["runs"][0]["results"]}
    assert {"unsigned", "bad-signature"} <= rules


def test_check_tells_what_could_not_be_verified(signed: Path, registry: Registry):
    registry.misbehave("other", lambda request: request.error(503, "UNAVAILABLE", "come back later"))
    done = call("check", str(signed / "tree" / "bad.yaml"), str(signed / "tree" / "rules.yaml"), "-o", "json", cwd=signed)
    (one,) = json.loads(done.stdout)["images"]
    assert (one["signed"]["outcome"], "not verified" in one["states"]) == ("unavailable", True)
    assert "503" in one["signed"]["why"]


def test_check_says_where_the_cluster_chooses(signed: Path, registry: Registry):
    (signed / "tree" / "range.yaml").write_text(SHOWN["a range"].replace("REPOSITORY", web(registry)))
    found, shown = checked(signed)
    assert found["web:None"]["states"] == ["range", "not judged: the cluster chooses"]
    assert "not judged: the cluster chooses" in " ".join(shown.split())
    (signed / "tree" / "rules.yaml").unlink()
    assert checked(signed)[0]["web:None"]["states"] == ["range"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["nginx:1"], 2, "nothing is required"),
        (["nginx:1", "--source-uri", "x"], 2, "need --key"),
        (["not an image"], 2, "neither a file nor an image"),
        (["nginx:1", "--key", "lost.pub"], 1, "lost.pub: the file is not there"),
        (["nginx:1", "--key", "tree/rules.yaml"], 1, "no PEM text"),
        (["nginx:1", "--key", "."], 1, "a directory"),
    ],
)
def test_wrong_use_is_told(signed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, why: str):
    monkeypatch.chdir(signed)
    said = verified(signed, capsys, *arguments)
    assert (said[0], why in said[2]) == (code, True), said


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env=environment())


@pytest.fixture
def reviewed(tmp_path: Path, registry: Registry) -> Path:
    """A repository whose main branch requires a signature, with images of which the best is signed by a stranger."""
    attach(registry, "1.1.0", "tag")
    attach(registry, "1.2.0", "tag", signer=STRANGER)
    layout(tmp_path / "images", registry)
    folder = tmp_path / "work"
    folder.mkdir()
    rule = policy(image=web(registry))
    (folder / "policy.yaml").write_text(rule)
    (folder / "web.yaml").write_text(pod(f"{web(registry)}:1.0.0"))
    (folder / "rules.yaml").write_text(require(f'images: ["{registry.address}/acme/*"]', VERIFY))
    (folder / "keys.yaml").write_text(secret(SIGNER))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "rules")
    return folder


ATTACKS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _folder: None,
    "require is deleted": lambda folder: (folder / "rules.yaml").unlink(),
    "the key is another": lambda folder: (folder / "keys.yaml").write_text(secret(STRANGER)),
    "the key is deleted": lambda folder: [path.unlink() for path in (folder / "keys.yaml", folder / "rules.yaml")],  # type: ignore[func-returns-value]
    "another entry suffices": lambda folder: (folder / "more.yaml").write_text(
        require("verify: [{secretRef: {name: more}}]") + "---\n" + secret(STRANGER, name="more")
    ),
    "what is not signed is kept or passed": lambda folder: (folder / "rules.yaml").write_text(
        (folder / "rules.yaml").read_text() + "      onUnverified: next\n      allowTagOnly: true\n"
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("rules", ["git:main", "folder"])
def test_with_rules_from_outside_no_change_lets_another_signer_in(reviewed: Path, registry: Registry, attack: str, rules: str):
    if rules == "folder":
        rules = str(shutil.copytree(reviewed, reviewed.parent / "floor", ignore=shutil.ignore_patterns(".git", "web.yaml")))
    ATTACKS[attack](reviewed)
    done = call("update", ".", "--rules", rules, "--source", f"layout:{reviewed.parent / 'images'}", cwd=reviewed)
    written = (reviewed / "web.yaml").read_text()
    assert "1.2.0" not in written
    kept = f"{web(registry)}:1.0.0 #" in written
    assert kept if attack in ("another entry suffices", "the key is another") else pinned(registry, "1.1.0") in written, done.stdout + done.stderr

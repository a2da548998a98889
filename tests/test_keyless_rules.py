"""Identities under `require`, their signed time as evidence of age, and what Flux's OCIRepository objects want (`trust: items`)."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from krmfn.cli import main
from tests import signing
from tests.asking import asking
from tests.lists import digest, images, messages, pod, policy, relocked, resource_list, run
from tests.registry_server import Registry
from tests.running import call
from tests.signing import SLSA_1, SOURCE, Signer, statement
from tests.sigstore_instance import ISSUER, SIGNED, SUBJECT, Instance
from tests.test_verify import asked, attach, layout, pinned, refer, secret, web

if TYPE_CHECKING:
    from krmfn.outcome import Outcome

INSTANCE = Instance()
WHOLE = {"issuer": r"https://token\.actions\.example\.com", "subject": r"https://github\.com/acme/web/.*"}


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        for number, tag in enumerate(["1.0.0", "1.1.0", "1.2.0"]):
            server.add("acme/web", [tag], created=f"2026-01-0{number + 1}T00:00:00Z")
        yield server


def sign(registry: Registry, tag: str, form: str = "fallback", *, rekor: int = 1, at: datetime = SIGNED, kind: str = signing.SIGN, **certificate: Any) -> None:
    name = registry.tags["acme/web"][tag]
    predicate = signing.built(kind) if kind == SLSA_1 else {}
    refer(registry, name, INSTANCE.bundle(statement(name, kind, predicate), rekor=rekor, at=at - timedelta(minutes=1), **certificate), form)


def trusted(instance: Instance = INSTANCE, name: str = "root", namespace: str = "") -> str:
    data = base64.b64encode(json.dumps(instance.trusted_root()).encode()).decode()
    where = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}{where}}}\ndata: {{trusted_root.json: {data}}}\n"


def identity(root: str = "root", **patterns: str) -> str:
    named = json.dumps({**WHOLE, **patterns})
    return f"verify: [{{provider: cosign, matchOIDCIdentity: [{named}], trustedRootSecretRef: {{name: {root}}}}}]"


def rules(*entries: str, trust: str = "") -> str:
    head = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec:\n"
    listed = "".join(f"    - {one}\n" for one in entries)
    return f"{head}{trust}" + (f"  require:\n{listed}" if entries else "")


def package(registry: Registry, *documents: str, current: str = "1.0.0", reflection: str = "Never") -> bytes:
    rule = policy(image=web(registry), reflection=reflection).replace("interval: 5m}", "interval: 5m, insecure: true}")
    return resource_list(rule, pod(f"{web(registry)}:{current}"), *documents)


def update(registry: Registry, *documents: str, current: str = "1.0.0", reflection: str = "Never", **env: str) -> Outcome:
    with asking() as source:
        return run(package(registry, *documents, current=current, reflection=reflection), source, **env)


REQUESTS = {"api": ["referrers", "GET v1+json", "GET 3+json"], "fallback": ["referrers", "GET sha256-", "GET v1+json", "GET 3+json"]}
"""After the HEAD of the tag: who refers to its digest, the manifest of the bundle, the bundle. Without the API its fallback tag besides."""


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("form", REQUESTS)
def test_the_best_tag_that_an_identity_signed_is_written_with_its_digest(registry: Registry, form: str, rekor: int):
    sign(registry, "1.1.0", form, rekor=rekor)
    assert images(update(registry, rules(identity()), trusted(), current="1.1.0")) == [f"{web(registry)}:1.1.0"]  # 1.2.0 is signed by nobody
    sign(registry, "1.2.0", form, rekor=rekor)
    registry.seen.clear()
    assert images(update(registry, rules(identity()), trusted())) == [pinned(registry, "1.2.0")]
    assert asked(registry) == ["HEAD 1.2.0", *REQUESTS[form]]


def test_what_a_stranger_signed_is_passed_over_with_his_name(registry: Registry):
    sign(registry, "1.1.0")
    sign(registry, "1.2.0", subject="https://github.com/evil/web/.github/workflows/release.yml@refs/heads/main")
    outcome = update(registry, rules(identity()), trusted())
    assert images(outcome) == [pinned(registry, "1.1.0")]
    assert any("names https://github.com/evil/web" in one for one in messages(outcome, "info"))


def test_provenance_that_an_identity_signed(registry: Registry):
    sign(registry, "1.1.0", kind=SLSA_1)
    sign(registry, "1.2.0")
    outcome = update(registry, rules(f"{identity()}\n      provenance: {{source: {SOURCE}}}"), trusted())
    assert images(outcome) == [pinned(registry, "1.1.0")]
    assert images(update(registry, rules(f"{identity()}\n      provenance: {{source: 'https://github.com/evil/*'}}"), trusted())) == [f"{web(registry)}:1.0.0"]


def test_any_entry_suffices_a_key_or_an_identity(registry: Registry):
    signer = Signer()
    both = f"{identity()[:-1]}, {{secretRef: {{name: cosign-keys}}}}]"
    attach(registry, "1.1.0", "tag", signer=signer)
    assert images(update(registry, rules(both), trusted(), secret(signer))) == [pinned(registry, "1.1.0")]
    sign(registry, "1.2.0")
    assert images(update(registry, rules(both), trusted(), secret(signer))) == [pinned(registry, "1.2.0")]


def test_another_trusted_root_vouches_for_nobody(registry: Registry):
    sign(registry, "1.2.0")
    outcome = update(registry, rules(identity()), trusted(Instance()))
    assert images(outcome) == [f"{web(registry)}:1.0.0"]
    assert any("is refused by sigstore" in one for one in messages(outcome, "info"))


def test_a_trusted_root_that_cannot_be_used_stops_the_run(registry: Registry):
    sign(registry, "1.2.0")
    broken = trusted().replace(base64.b64encode(json.dumps(INSTANCE.trusted_root()).encode()).decode(), base64.b64encode(
        json.dumps({**INSTANCE.trusted_root(), "ctlogs": 7}).encode()).decode())  # fmt: skip
    outcome = update(registry, rules(identity()), broken)
    assert outcome.is_error
    assert any("trusted root trusted_root.json of Secret root cannot be used" in one for one in messages(outcome, "error"))


def test_without_the_package_identities_are_an_error_that_says_what_to_install(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    """In an environment without it: tests/test_packaging.py."""
    sign(registry, "1.2.0")
    documents = rules(identity()), trusted()
    with asking() as source:
        rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
        record = relocked(rule, pod(f"{web(registry)}:1.0.0"), *documents, tags=source)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "sigstore" else find(name, *more))
    outcome = update(registry, *documents)
    assert outcome.is_error
    assert any("pip install 'krmfn[verify]'" in one for one in messages(outcome, "error"))
    assert images(update(registry, *documents, record, KRMFN_MODE="frozen")) == [pinned(registry, "1.2.0")]  # nothing is judged


def test_a_lock_made_for_other_identities_does_not_count(registry: Registry):
    sign(registry, "1.2.0")
    rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
    with asking() as source:
        record = relocked(rule, pod(f"{web(registry)}:1.0.0"), rules(identity()), trusted(), tags=source)
    for other in ((rules(identity(subject=r"https://github\.com/.*")), trusted()), (rules(identity()), trusted(Instance()))):
        outcome = update(registry, *other, record, KRMFN_MODE="frozen")
        assert any("made under other requirements" in one for one in messages(outcome, "error"))


# the time of a signature as evidence of age

AGE = "minimumReleaseAge: 3 days"
DAY = 86400


def at(days: float) -> str:
    """Return a time so many days behind the signing of 1.2.0."""
    return (SIGNED + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_tag_that_nobody_saw_is_as_old_as_its_signature(registry: Registry, rekor: int):
    sign(registry, "1.2.0", rekor=rekor)
    sign(registry, "1.1.0", rekor=rekor, at=SIGNED - timedelta(days=2))
    documents = rules(f"{identity()}\n      {AGE}"), trusted()
    for now, tag in ((0, "1.0.0"), (1, "1.1.0"), (2.99, "1.1.0"), (3, "1.2.0")):
        outcome = update(registry, *documents, KRMFN_NOW=at(now))
        assert images(outcome)[0].startswith(f"{web(registry)}:{tag}"), (now, messages(outcome, "info"))
    (waiting,) = (one for one in update(registry, *documents, KRMFN_NOW=at(2)).results if one.code == "passed-over")
    assert waiting.eligible_at == "2026-01-13T12:00Z"


def test_the_signed_time_of_an_identity_that_does_not_count_is_no_evidence(registry: Registry):
    """Two entries: the one with the age wants a signature by a key, so that nobody tells the time."""
    signer = Signer()
    attach(registry, "1.2.0", "tag", signer=signer)
    outcome = update(registry, rules(f"verify: [{{secretRef: {{name: cosign-keys}}}}]\n      {AGE}"), secret(signer), KRMFN_NOW=at(90))
    assert images(outcome) == [f"{web(registry)}:1.0.0"]
    assert any("nothing tells since when it is there" in one for one in messages(outcome, "info"))
    sign(registry, "1.2.0", subject="https://github.com/evil/x")
    outcome = update(registry, rules(f"{identity()}\n      {AGE}"), trusted(), KRMFN_NOW=at(90))
    assert images(outcome) == [f"{web(registry)}:1.0.0"]


def snapshot(registry: Registry, days: float | None, tag: str = "1.2.0", name: str = "") -> str:
    """Write that 1.0.0 was seen long ago, and a tag so many days behind its signature, with a digest if one is named."""
    first = f', firstSeen: "{at(days)}"' if days is not None else ""
    known = f', digest: "{name}"' if name else ""
    head = f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec:\n  image: {web(registry)}\n"
    return f'{head}  time: "{at(9)}"\n  tags:\n    - {{name: "1.0.0", firstSeen: "{at(-50)}"}}\n    - {{name: "{tag}"{known}{first}}}\n'


@pytest.mark.parametrize(("days", "now", "tag"), [(8, 9, "1.0.0"), (5, 9, "1.2.0"), (None, 2, "1.0.0"), (None, 3, "1.2.0")])
def test_what_we_saw_first_goes_before_what_was_signed(registry: Registry, days: float | None, now: float, tag: str):
    sign(registry, "1.2.0")
    documents = rules(f"{identity()}\n      {AGE}"), trusted(), snapshot(registry, days)
    assert images(update(registry, *documents, KRMFN_NOW=at(now)))[0].startswith(f"{web(registry)}:{tag}")


@pytest.mark.parametrize(("now", "tag"), [(2, "1.0.0"), (3, "1.2.0")])
def test_a_digest_that_nobody_saw_is_as_old_as_its_signature(registry: Registry, now: float, tag: str):
    """The tag was seen long ago with another digest: pushed again since."""
    sign(registry, "1.2.0")
    documents = rules(f"{identity()}\n      {AGE}"), trusted(), snapshot(registry, -40, name=digest("old"))
    outcome = update(registry, *documents, KRMFN_NOW=at(now))
    assert images(outcome)[0].startswith(f"{web(registry)}:{tag}"), messages(outcome, "info")


@pytest.mark.parametrize("now", [2, 3])
def test_a_digest_that_moves_waits_for_the_age_of_its_signature(registry: Registry, now: float):
    old = digest("old")
    sign(registry, "1.2.0")
    documents = rules(f"{identity()}\n      {AGE}"), trusted(), snapshot(registry, -40, name=old)
    outcome = update(registry, *documents, current=f"1.2.0@{old}", reflection="Always", KRMFN_NOW=at(now))
    assert images(outcome) == [pinned(registry, "1.2.0") if now == 3 else f"{web(registry)}:1.2.0@{old}"]


def test_the_signed_time_goes_before_what_the_image_tells(registry: Registry):
    sign(registry, "1.2.0")
    created = rules(f"{identity()}\n      minimumReleaseAge: {{default: 3 days, evidence: created}}")
    assert images(update(registry, created, trusted(), KRMFN_NOW=at(2)))[0].startswith(f"{web(registry)}:1.0.0")
    assert images(update(registry, created, trusted(), KRMFN_NOW=at(3))) == [pinned(registry, "1.2.0")]


# Flux's blocks

TRUST = "  trust: items\n"


def oci(registry: Registry, verify: str, *, url: str = "", name: str = "web") -> str:
    url = url or f"oci://{web(registry)}"
    return (
        f"apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {{name: {name}, namespace: flux}}\n"
        f"spec: {{interval: 5m, url: {url}, verify: {verify}}}\n"
    )


def keyless(subject: str = "^https://github.com/acme/", issuer: str = "^https://token.actions", more: str = ", trustedRootSecretRef: {name: root}") -> str:
    return f"{{provider: cosign, matchOIDCIdentity: [{json.dumps({'issuer': issuer, 'subject': subject})}]{more}}}"


def in_flux(text: str) -> str:
    return text.replace("metadata: {name: ", "metadata: {namespace: flux, name: ")


ROOT_IN_FLUX = trusted(namespace="flux")


def test_flux_blocks_count_only_where_they_are_trusted(registry: Registry):
    sign(registry, "1.1.0")
    block = oci(registry, keyless())
    assert images(update(registry, block, ROOT_IN_FLUX)) == [f"{web(registry)}:1.2.0"]
    assert images(update(registry, rules(AGE.replace("3 days", "0 days")), block, ROOT_IN_FLUX, KRMFN_NOW=at(9))) == [f"{web(registry)}:1.2.0"]
    assert images(update(registry, rules(trust=TRUST), block, ROOT_IN_FLUX)) == [pinned(registry, "1.1.0")]


def test_flux_blocks_count_for_the_images_at_their_url(registry: Registry):
    block = oci(registry, keyless(), url=f"oci://{registry.address}/acme/other")
    assert images(update(registry, rules(trust=TRUST), block, ROOT_IN_FLUX)) == [f"{web(registry)}:1.2.0"]


SEARCHED = {"acme": True, "^https://github.com/acme/": True, "release.yml@refs/tags/v1": True, "^acme": False, "^https://github.com/evil": False}


@pytest.mark.parametrize("subject", SEARCHED)
def test_flux_searches_patterns_anywhere(registry: Registry, subject: str):
    sign(registry, "1.2.0")
    outcome = update(registry, rules(trust=TRUST), oci(registry, keyless(subject)), ROOT_IN_FLUX)
    assert images(outcome) == [pinned(registry, "1.2.0") if SEARCHED[subject] else f"{web(registry)}:1.0.0"]


def test_flux_takes_anybody_where_nobody_is_named(registry: Registry):
    sign(registry, "1.1.0", subject="mallory@example.com", issuer="https://accounts.example.com")
    block = oci(registry, "{provider: cosign, trustedRootSecretRef: {name: root}}")
    assert images(update(registry, rules(trust=TRUST), block, ROOT_IN_FLUX)) == [pinned(registry, "1.1.0")]


def test_a_secret_means_keys_whatever_identities_stand_beside_it(registry: Registry):
    signer = Signer()
    sign(registry, "1.2.0")
    attach(registry, "1.1.0", "tag", signer=signer)
    verify = keyless(more=", secretRef: {name: cosign-keys}, trustedRootSecretRef: {name: root}")
    keys = in_flux(secret(signer))
    assert images(update(registry, rules(trust=TRUST), oci(registry, verify), keys, ROOT_IN_FLUX)) == [pinned(registry, "1.1.0")]


UNJUDGED = {
    "{provider: notation, secretRef: {name: cosign-keys}}": "notation is not understood",
    "{provider: gpg}": "gpg is not understood",
    "{provider: cosign, secretRef: {name: lost}}": "Secret flux/lost is not among the items",
    "{provider: cosign, secretRef: {}}": "Secret flux/ is not among the items",
    "{provider: cosign, matchOIDCIdentity: [{issuer: 'a(', subject: b}]}": "missing closing",
    "{provider: cosign, trustedRootSecretRef: {name: lost}}": "Secret flux/lost is not among the items",
    "{provider: cosign, since: 2027}": "since is not understood",
    "cosign": "expected a mapping",
    "null": "",
}


@pytest.mark.parametrize("verify", UNJUDGED)
def test_what_is_not_understood_keeps_what_runs(registry: Registry, verify: str):
    signer = Signer()
    attach(registry, "1.2.0", "tag", signer=signer)
    outcome = update(registry, rules(trust=TRUST), oci(registry, verify), in_flux(secret(signer)), ROOT_IN_FLUX)
    assert not outcome.is_error, messages(outcome, "error")
    if verify == "null":
        assert images(outcome) == [f"{web(registry)}:1.2.0"]
        return
    assert images(outcome) == [f"{web(registry)}:1.0.0"]
    (said,) = (one for one in messages(outcome, "warning") if "cannot be judged" in one)
    assert UNJUDGED[verify] in said
    assert "OCIRepository" in said


def test_a_block_of_flux_never_takes_a_requirement_away(registry: Registry):
    """Own rules want acme; the block would take anybody: both count."""
    sign(registry, "1.1.0")
    sign(registry, "1.2.0", subject="https://github.com/evil/x")
    anybody = oci(registry, "{provider: cosign, trustedRootSecretRef: {name: root}}")
    assert images(update(registry, rules(identity(), trust=TRUST), trusted(), anybody, ROOT_IN_FLUX)) == [pinned(registry, "1.1.0")]
    notation = oci(registry, "{provider: notation, secretRef: {name: x}}", name="other")
    assert images(update(registry, rules(identity(), trust=TRUST), trusted(), anybody, notation, ROOT_IN_FLUX)) == [f"{web(registry)}:1.0.0"]


def test_the_tag_of_a_block_is_written_with_a_warning_as_flux_verifies_it_again(registry: Registry):
    sign(registry, "1.1.0")
    block = oci(registry, keyless()).replace("spec: {interval: 5m, ", "spec:\n  interval: 5m\n  ").replace(", verify: ", "\n  verify: ").removesuffix("}\n")
    block += '\n  ref:\n    tag: 1.0.0 # {"$imagepolicy": "flux:web:tag"}\n'
    rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
    with asking() as source:
        outcome = run(resource_list(rule, block, rules(trust=TRUST), ROOT_IN_FLUX), source)
    assert b"tag: 1.1.0 #" in outcome.text, messages(outcome, "error")
    assert any("allowTagOnly permits that" in one for one in messages(outcome, "warning"))


@pytest.mark.parametrize(("url", "counts"), [("oci://${REGISTRY}/acme/web", True), ("oci://${REGISTRY}/${NAME:=web}", True), ("oci://${REGISTRY}/acme/other", False)])
def test_a_variable_in_a_url_stands_for_anything(registry: Registry, url: str, counts: bool):
    sign(registry, "1.1.0")
    outcome = update(registry, rules(trust=TRUST), oci(registry, keyless(), url=f'"{url}"'), ROOT_IN_FLUX)
    assert images(outcome) == [pinned(registry, "1.1.0") if counts else f"{web(registry)}:1.2.0"]


@pytest.mark.parametrize("url", ["https://r.example/acme/web", "oci://r.example/Acme", "oci://r.example/acme/web:1.0", "''"])
def test_a_url_that_flux_refuses_too_counts_for_no_image(registry: Registry, url: str):
    outcome = update(registry, rules(trust=TRUST), oci(registry, keyless(), url=url), ROOT_IN_FLUX)
    assert images(outcome) == [f"{web(registry)}:1.2.0"]
    assert any("its verify counts for no image" in one for one in messages(outcome, "warning"))


def test_trust_is_for_items_alone(registry: Registry):
    assert any("items" in one for one in messages(update(registry, rules(trust="  trust: all\n")), "error"))


# rules from outside, and krmfn verify


@pytest.fixture
def work(tmp_path: Path, registry: Registry) -> Path:
    """A repository whose rules want acme's signature under a trusted root beside them; the best image is signed by another sigstore."""
    sign(registry, "1.1.0")
    name = registry.tags["acme/web"]["1.2.0"]
    refer(registry, name, ELSEWHERE.bundle(statement(name)), "fallback")
    layout(tmp_path / "images", registry)
    folder = tmp_path / "work"
    (folder / "rules").mkdir(parents=True)
    (folder / "policy.yaml").write_text(policy(image=web(registry)))
    (folder / "web.yaml").write_text(pod(f"{web(registry)}:1.0.0"))
    return folder


ELSEWHERE = Instance()
BY_FILE = identity().replace("trustedRootSecretRef: {name: root}", "trustedRootFile: trusted_root.json")
RULES = {
    "a file": {"rules.yaml": rules(BY_FILE), "trusted_root.json": json.dumps(INSTANCE.trusted_root())},
    "a Secret": {"rules.yaml": rules(identity()), "root.yaml": trusted()},
    "Flux": {"rules.yaml": rules(trust=TRUST), "root.yaml": ROOT_IN_FLUX, "oci.yaml": ""},
}
ATTACKS: dict[str, Callable[[Path, Registry], object]] = {
    "nothing": lambda _folder, _registry: None,
    "the rules are gone": lambda folder, _registry: shutil.rmtree(folder),
    "another trusted root": lambda folder, _registry: [
        one.write_text(one.read_text().replace(_encoded(INSTANCE), _encoded(ELSEWHERE)).replace(json.dumps(INSTANCE.trusted_root()), json.dumps(ELSEWHERE.trusted_root())))
        for one in folder.iterdir()
    ],
    "anybody may sign": lambda folder, _registry: [one.write_text(one.read_text().replace("acme", ".*")) for one in folder.glob("[ro][uc]*.yaml")],
    "one more signer": lambda folder, registry: (folder / "oci.yaml").write_text(oci(registry, "{provider: cosign}", name="other")),
    "no trust": lambda folder, _registry: (folder / "rules.yaml").write_text((folder / "rules.yaml").read_text().replace(TRUST, "  mode: update\n")),
}


def _encoded(instance: Instance) -> str:
    return base64.b64encode(json.dumps(instance.trusted_root()).encode()).decode()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", RULES)
def test_with_rules_from_outside_no_change_lets_another_signer_in(work: Path, registry: Registry, kind: str, attack: str):
    for file, text in RULES[kind].items():
        (work / "rules" / file).write_text(text or oci(registry, keyless()))
    floor = shutil.copytree(work / "rules", work.parent / "floor")
    ATTACKS[attack](work / "rules", registry)
    done = call("update", ".", "--rules", str(floor), "--source", f"layout:{work.parent / 'images'}", cwd=work)
    written = (work / "web.yaml").read_text()
    assert "1.2.0" not in written, done.stderr
    if attack in ("nothing", "the rules are gone", "no trust"):
        assert pinned(registry, "1.1.0") in written, done.stderr


ADDED = {"a requirement": rules(identity("elsewhere")), "a block of Flux": rules(trust=TRUST)}


@pytest.mark.parametrize("kind", ADDED)
def test_a_sigstore_that_the_tree_brings_tells_nobody_the_time(work: Path, registry: Registry, kind: str):
    """The rules from outside want three days. A change adds a requirement under a trusted root of its own, whose log says that it was years ago."""
    floor = work.parent / "floor"
    floor.mkdir()
    (floor / "rules.yaml").write_text(rules("minimumReleaseAge: 3 days"))
    (work / "added.yaml").write_text("---\n".join([ADDED[kind], trusted(ELSEWHERE, "elsewhere"), trusted(ELSEWHERE, "root", "flux"), oci(registry, keyless())]))
    source = ["--source", f"layout:{work.parent / 'images'}"]
    done = call("update", ".", "--rules", str(floor), *source, cwd=work, KRMFN_NOW=at(900))
    assert f"{web(registry)}:1.0.0 #" in (work / "web.yaml").read_text(), done.stderr
    assert "nothing tells since when it is there" in done.stderr
    (floor / "added.yaml").write_text((work / "added.yaml").read_text())
    call("update", ".", "--rules", str(floor), *source, cwd=work, KRMFN_NOW=at(900))
    assert pinned(registry, "1.2.0") in (work / "web.yaml").read_text()  # under rules from outside it does


def test_a_trusted_root_in_a_file_stands_below_the_rules_alone(work: Path):
    for file, text in RULES["a file"].items():
        (work / "rules" / file).write_text(text)
    done = call("update", ".", "--source", f"layout:{work.parent / 'images'}", cwd=work)
    assert (done.returncode, "trustedRootFile" in done.stderr, "--rules" in done.stderr) == (1, True, True), done.stderr


def test_verify_tells_who_signed_and_when(work: Path, registry: Registry, capsys: pytest.CaptureFixture[str]):
    (work / "web.yaml").write_text(pod(pinned(registry, "1.1.0")))
    (work / "other.yaml").write_text(pod(f"{web(registry)}:1.2.0", name="other"))
    (work / "rules.yaml").write_text("---\n".join([rules(identity()), trusted()]))
    source = ["--source", f"layout:{work.parent / 'images'}"]
    assert main(["verify", str(work), *source]) == 1
    said = capsys.readouterr()
    assert SUBJECT in said.out
    assert f"error: {web(registry)}:1.2.0: no signature that counts" in said.err
    assert main(["verify", str(work), "-o", "json", *source]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert first["identities"] == [{"issuer": ISSUER, "subject": SUBJECT, "signedAt": "2026-01-10T12:00Z"}]
    assert (first["outcome"], second["outcome"], second["identities"]) == ("passed", "invalid", [])

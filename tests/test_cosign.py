"""What cosign 3.1.3 really signed and attested (fixtures/cosign, made by tests/record_cosign.py), judged as cosign judges it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from krmfn.signatures.keys import read_keys
from krmfn.signatures.verifying import verify
from krmfn.signatures.wanted import Wanted
from tests.record_cosign import FOLDER, KINDS, PLACE
from tests.signing import BUILDER, SOURCE, Artefacts

VERDICTS = json.loads((FOLDER / "verdicts.json").read_text())
INDEX = {
    entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
    for entry in json.loads((PLACE / "index.json").read_text())["manifests"]
}
OTHERWISE = {
    ("p384", "passed"), ("p521", "passed"),
}  # fmt: skip
"""Signed with SHA-256, which cosign did on every curve; cosign 3.1.3 signs so still, and wants SHA-384 and SHA-512 when it verifies."""


def repository(kind: str, form: str) -> Artefacts:
    """Return what is recorded, without the artefacts of the other form."""
    store = Artefacts()
    store.content = {f"sha256:{path.name}": path.read_bytes() for path in (PLACE / "blobs" / "sha256").iterdir()}
    fallback = INDEX[kind].replace(":", "-")
    if form == "bundle":
        store.refers[INDEX[kind]] = json.loads(store.content[INDEX[fallback]])["manifests"]
    else:
        store.tags = {tag: digest for tag, digest in INDEX.items() if tag in (f"{fallback}.sig", f"{fallback}.att")}
    return store


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["bundle", "tag"])
@pytest.mark.parametrize("what", ["signature", "provenance"])
def test_what_cosign_made_is_judged_as_cosign_judges_it(kind: str, form: str, what: str):
    keys = read_keys("cosign.pub", (FOLDER / f"{kind}.pub").read_bytes())
    origin: dict[str, Any] = {"builder": BUILDER, "source": f"{SOURCE}*"} if what == "provenance" else {}
    verdict = verify(INDEX[kind], repository(kind, form), Wanted(keys, **origin))
    expected = VERDICTS[kind][f"{form} {what}"]
    is_otherwise = (kind, verdict.state) in OTHERWISE and expected == "refused"
    assert is_otherwise or (verdict.state == "passed") == (expected == "passed"), verdict
    assert verdict.state in ("passed", "invalid")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["bundle", "tag"])
def test_the_key_of_another_and_another_origin_are_refused(kind: str, form: str):
    other = read_keys("other.pub", (FOLDER / f"{KINDS[KINDS.index(kind) - 1]}.pub").read_bytes())
    assert verify(INDEX[kind], repository(kind, form), Wanted(other)).state == "invalid"
    keys = read_keys("cosign.pub", (FOLDER / f"{kind}.pub").read_bytes())
    assert verify(INDEX[kind], repository(kind, form), Wanted(keys, builder="https://github.com/evil/**")).state == "invalid"


def test_cosign_was_recorded_with_every_form():
    assert VERDICTS.keys() == set(KINDS)
    assert all(VERDICTS[kind] == dict.fromkeys(VERDICTS[kind], "passed") for kind in ("p256", "rsa"))
    assert all(set(one) == {f"{form} {what}" for form in ("bundle", "tag") for what in ("signature", "provenance")} for one in VERDICTS.values())

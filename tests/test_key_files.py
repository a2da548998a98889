"""`keyFiles` of `require`: keys in files below `--rules`, which no change under review can bring, replace or point elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lists import pod, policy
from tests.registry_server import Registry
from tests.running import call
from tests.signing import Signer
from tests.test_verify import SIGNER, STRANGER, attach, git, layout, pinned, require, secret, web

PLACES = ("git", "folder")
KEYS = "verify: [{keyFiles: [keys/cosign.pub]}]"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        server.add("acme/web", ["1.0.0"])
        for number, tag in enumerate(["1.1.0", "1.2.0"]):
            server.add("acme/web", [tag], created=f"2026-02-0{number + 1}T00:00:00Z")
        attach(server, "1.1.0", "tag")
        attach(server, "1.2.0", "tag", signer=STRANGER)
        yield server


@pytest.fixture
def work(tmp_path: Path, registry: Registry) -> Path:
    """A repository that requires the signature of a key beside its rules; the best image is signed by a stranger."""
    layout(tmp_path / "images", registry)
    folder = tmp_path / "work"
    (folder / "rules" / "keys").mkdir(parents=True)
    (folder / "policy.yaml").write_text(policy(image=web(registry)))
    (folder / "web.yaml").write_text(pod(f"{web(registry)}:1.0.0"))
    (folder / "rules" / "rules.yaml").write_text(require(KEYS))
    (folder / "rules" / "keys" / "cosign.pub").write_bytes(SIGNER.pem)
    git(folder, "init", "-q", "-b", "main")
    return folder


def outside(work: Path, place: str) -> str:
    """Put the rules as they are outside of the change, and return their name for `--rules`."""
    git(work, "add", ".")
    git(work, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "rules")
    return "git:main" if place == "git" else str(shutil.copytree(work / "rules", work.parent / "floor", symlinks=True))


def update(work: Path, *arguments: str, **more: str) -> tuple[str, str]:
    """Run update; return what web.yaml holds, and what was told."""
    done = call("update", ".", *arguments, "--source", f"layout:{work.parent / 'images'}", cwd=work, **more)
    return (work / "web.yaml").read_text(), done.stderr


def link(key: Path) -> None:
    key.unlink()
    key.symlink_to("/dev/zero")


ATTACKS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _work: None,
    "the key is another": lambda work: (work / "rules" / "keys" / "cosign.pub").write_bytes(STRANGER.pem),
    "the key is deleted": lambda work: (work / "rules" / "keys" / "cosign.pub").unlink(),
    "the key is a link": lambda work: link(work / "rules" / "keys" / "cosign.pub"),
    "the rules are deleted": lambda work: shutil.rmtree(work / "rules"),
    "the rules are moved": lambda work: (work / "rules" / "rules.yaml").rename(work / "rules.yaml"),
    "the rule is another": lambda work: (work / "rules" / "rules.yaml").write_text(require("pullable: true")),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_keys_come_from_outside_whatever_the_change_does(work: Path, registry: Registry, place: str, attack: str):
    rules = outside(work, place)
    ATTACKS[attack](work)
    written, told = update(work, "--rules", rules)
    assert pinned(registry, "1.1.0") in written, told


@pytest.mark.parametrize("place", PLACES)
def test_a_change_can_name_no_key_of_its_own(work: Path, place: str):
    rules = outside(work, place)
    (work / "evil.pub").write_bytes(STRANGER.pem)
    (work / "more.yaml").write_text(require("verify: [{keyFiles: [evil.pub]}]").replace("rules}", "more}"))
    before = (work / "web.yaml").read_text()
    written, told = update(work, "--rules", rules)
    assert written == before
    assert "more.yaml" in told
    assert "evil.pub is no file that the rules from outside name (keys/cosign.pub)" in told


def test_without_rules_from_outside_key_files_are_refused(work: Path):
    before = (work / "web.yaml").read_text()
    written, told = update(work)
    assert written == before
    assert "keys/cosign.pub is not read: key files are read below --rules alone" in told
    assert "--rules git:origin/main" in told
    assert "spec.require[0].verify[0].keyFiles[0]" in told


def put(work: Path, name: str, data: bytes) -> None:
    (work / "rules" / name).write_bytes(data)


WRONG: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "absent": ("lost.pub", lambda _work: None, "lost.pub is"),
    "a folder": ("keys", lambda _work: None, "keys "),
    "absolute": ("/etc/passwd", lambda _work: None, "is no path below the rules"),
    "above": ("../../etc/passwd", lambda _work: None, "is no path below the rules"),
    "empty": ("''", lambda _work: None, "is no path below the rules"),
    "nothing": (".", lambda _work: None, ""),
    "no key": ("x.pub", lambda work: put(work, "x.pub", b"hello"), "no PEM text"),
    "a private key": ("x.pub", lambda work: put(work, "x.pub", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "never hand a private key"),
    "too large": ("x.pub", lambda work: put(work, "x.pub", b"x" * 100_000), "bytes"),
    "a link out": ("x.pub", lambda work: (work / "rules" / "x.pub").symlink_to("../../images"), "x.pub"),
    "a link to nothing": ("x.pub", lambda work: (work / "rules" / "x.pub").symlink_to("x.pub"), "x.pub"),
    "a magic name": ("':(glob)**'", lambda _work: None, ""),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_key_below_the_rules_is_refused(work: Path, place: str, case: str):
    name, prepare, why = WRONG[case]
    (work / "rules" / "rules.yaml").write_text(require(f"verify: [{{keyFiles: [{name}]}}]"))
    prepare(work)
    before = (work / "web.yaml").read_text()
    written, told = update(work, "--rules", outside(work, place))
    assert written == before
    assert "ImageAutomation rules: spec.require[0].verify[0].keyFiles" in told, told
    assert why in told


def test_a_folder_of_a_commit_bounds_its_files(work: Path, registry: Registry):
    put(work, "rules.yaml", require("verify: [{keyFiles: [../cosign.pub]}]").encode())
    (work / "cosign.pub").write_bytes(SIGNER.pem)
    outside(work, "git")
    assert "cosign.pub is not below rules" in update(work, "--rules", "git:main:rules")[1]
    assert pinned(registry, "1.1.0") in update(work, "--rules", "git:main")[0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("named", "chosen"), [("[old.pub, new.pub]", "1.2.0"), ("[new.pub]", "1.2.0"), ("[old.pub]", "1.1.0")])
def test_keys_are_rotated_one_file_after_the_other(work: Path, registry: Registry, place: str, named: str, chosen: str):
    put(work, "old.pub", SIGNER.pem)
    put(work, "new.pub", STRANGER.pem)
    put(work, "rules.yaml", require(f"verify: [{{keyFiles: {named}}}]").encode())
    assert pinned(registry, chosen) in update(work, "--rules", outside(work, place))[0]


def test_files_and_secrets_of_one_entry_both_suffice(work: Path, registry: Registry):
    rules = require("verify: [{keyFiles: [keys/cosign.pub], secretRef: {name: more}}]")
    put(work, "rules.yaml", f"{rules}---\n{secret(STRANGER, name='more')}".encode())
    assert pinned(registry, "1.2.0") in update(work, "--rules", outside(work, "git"))[0]


def test_one_file_that_holds_several_keys(work: Path, registry: Registry):
    put(work, "keys/cosign.pub", Signer("rsa").pem + STRANGER.pem)
    assert pinned(registry, "1.2.0") in update(work, "--rules", outside(work, "folder"))[0]


def test_verify_takes_them_too_and_the_environment_names_the_rules(work: Path, registry: Registry):
    rules = outside(work, "git")
    source = f"layout:{work.parent / 'images'}"
    done = call("verify", f"{web(registry)}:1.1.0", "--source", source, cwd=work, KRMFN_RULES=rules)
    assert (done.returncode, "keys/cosign.pub" in done.stdout) == (0, True), done
    assert call("verify", f"{web(registry)}:1.2.0", "--source", source, cwd=work, KRMFN_RULES=rules).returncode == 1

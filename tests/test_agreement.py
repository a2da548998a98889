"""What `check` shows is what `update --within` writes, on any tree; and its table fits any terminal."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import images
from tests.running import Done, call, environment, files, run

TIME = "2026-01-01T00:00:00Z"
NOW = "2026-11-20T00:00:00Z"
OLD = f"sha256:{'0' * 64}"
OFFERED = {
    "ghcr.io/acme/web": ("1.2.0", "1.2.7", "1.3.1", "1.4.0-rc.1", "2.0.0", "latest"),
    "ghcr.io/acme/api": ("1.2.0", "v1.2.1", "1.3.1", "2.0.0"),
    "docker.io/library/mysql": ("8.1", "8.4", "8.5", "9.1", "8.4-oracle"),
}
NAMES = ("ghcr.io/acme/web", "ghcr.io/acme/web", "ghcr.io/acme/api", "mysql", "docker.io/library/mysql", "ghcr.io/acme/none")
TAGS = {
    "web": ("1.2.0", "1.2.7", "1.3.1", "1.9.9", "2.0.0", "latest"), "api": ("1.2.0", "1.0.0", "v1.0.0", "2.0.0"),
    "mysql": ("8.1", "8.4", "8.4-oracle", "latest"), "none": ("1.2.0",),
}  # fmt: skip
OWN = "apiVersion: krmfn.dev/v1alpha1\n"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layout")
    images.write(root, {name: dict.fromkeys(tags, TIME) for name, tags in OFFERED.items()})
    return root


def _pod(name: str, tag: str, pin: bool, end: str, more: str = "") -> str:
    digest = f"@{OLD}" if pin else ""
    return (
        f"kind: Pod\napiVersion: v1\nmetadata:\n  name: a\n{more}spec:\n  containers:\n  - name: a\n    image: {name}:{tag}{digest}{end}\n"
    )


def _annotated(name: str, tag: str, pin: bool, end: str) -> str:
    return _pod(name, tag, pin, end, "  annotations: {krmfn.dev/images: '{\"a\": \"default:p\"}'}\n")


def _values(name: str, tag: str, pin: bool, end: str) -> str:
    digest = f"      digest: {OLD}\n" if pin else ""
    return (
        "kind: HelmRelease\napiVersion: helm.toolkit.fluxcd.io/v2\nmetadata: {name: a}\nspec:\n  values:\n    image:\n"
        f"      repository: {name}\n      tag: '{tag}'{end}\n{digest}"
    )


def _beside(name: str, tag: str, pin: bool, end: str) -> str:
    return _values(name, tag, pin, end) + f"      digestChroot: {OLD}\n"


def _loose(name: str, tag: str, pin: bool, end: str) -> str:
    return f"kind: Odd\napiVersion: x/v1\nmetadata: {{name: a}}\nspec:\n  note: see {name}:{tag}\n  pinned: {str(pin).lower()}{end}\n"


def _overridden(name: str, tag: str, pin: bool, end: str) -> dict[str, str]:
    """Return a manifest whose tag a kustomization overrides, and that kustomization."""
    digest = f"  digest: {OLD}\n" if pin else ""
    return {
        "kustomization.yaml": f"resources: [pod.yaml]\nimages:\n- name: {name}\n  newTag: '{tag}'{end}\n{digest}",
        "pod.yaml": _pod(name, "1.0.0", pin=False, end=""),
    }


MARK = ' # {"$imagepolicy": "default:p"}'
ENDS = ("", "", "", " # krmfn: ignore", MARK, MARK.replace('p"', 'p:tag"'))


def _resource(rng: random.Random) -> dict[str, str]:
    name = rng.choice(NAMES)
    about = name, rng.choice(TAGS[name.rpartition("/")[2]]), rng.random() < 0.4, rng.choice(ENDS)
    form = rng.choice((_pod, _pod, _annotated, _values, _beside, _loose))
    return _overridden(*about) if rng.random() < 0.25 else {"one.yaml": form(*about)}


def _automation(rng: random.Random) -> str:
    """Return policies with all that may keep a field: suspended, outside the range, too young, for another platform, held."""
    said = {
        "onError": ("keep", "keep", "keep", "fail"), "onDowngrade": ("keep", "allow", "fail", ""), "keepPins": ("true", "false", ""),
        "mode": ("update", "check", "", ""),
    }  # fmt: skip
    text = OWN + "kind: ImageAutomation\nmetadata: {name: images}\nspec:\n"
    text += "".join(f"  {name}: {value}\n" for name, values in said.items() if (value := rng.choice(values)))
    require = rng.choice(("", "", "minimumReleaseAge: 3 days", "platforms: [linux/amd64]", "platforms: [linux/s390x]"))
    text += f"  require:\n  - {require}\n" if require else ""
    text += "  policies:\n"
    for name, image in zip("pq", rng.sample(tuple(OFFERED), 2), strict=True):
        rule = rng.choice(("semver: {range: '<1.3'}", "semver: {range: '>=1'}", "version: {within: patch}", "version: {}", "digest: {}", "newest: {}"))
        reflect = rng.choice(("", "digestReflectionPolicy: IfNotPresent, ", "digestReflectionPolicy: Always, "))
        suspend = rng.choice(("false", "false", "true"))
        text += f"  - {{name: {name}, image: {image}, suspend: {suspend}, {reflect}policy: {{{rule}}}}}\n"
    return text


def _hold(rng: random.Random) -> str:
    what = rng.choice(("tag: 1.2.7", "tag: '8.4'", "not: 1.3.1", "not: 2.0.0", "not: 1.3.1, until: 2026-11-01"))
    return f"{OWN}kind: ImageHold\nmetadata: {{name: h}}\nspec: {{policy: 'default:{rng.choice('pq')}', {what}}}\n"


def _sightings(rng: random.Random) -> str:
    image = rng.choice(tuple(OFFERED))
    tags = ", ".join(f"{{name: '{tag}', firstSeen: '2026-11-{rng.randint(1, 20):02}T00:00:00Z'}}" for tag in OFFERED[image])
    return f"{OWN}kind: TagSnapshot\nmetadata: {{name: t}}\nspec: {{image: {image}, time: '2026-11-20T00:00:00Z', tags: [{tags}]}}\n"


LOCK = OWN + "kind: ImageLock\nmetadata: {name: images}\nspec:\n  images: []\n"
def _agree(place: Path, options: list[object], within: str, *, strict: bool) -> None:
    """Hold `check` against `update`: what moves, and how a gate ends; then again after the update."""

    def krmfn(*words: object) -> Done:
        return call(*words, *options, cwd=place, KRMFN_NOW=NOW)

    bound, more = ("--within", within), ("--strict",) if strict else ()
    shown = krmfn("check", ".", *bound, "-o", "json")
    gate = krmfn("check", ".", *bound, *more, "--exit-code", "-o", "json")
    assert not shown.stdout or json.loads(shown.stdout)["images"] == json.loads(gate.stdout or shown.stdout)["images"]
    dry = krmfn("update", ".", *bound, *more, "--check", "-o", "json")
    is_unknown = any("unknown" in one["states"] for one in json.loads(shown.stdout)["images"])
    assert gate.returncode == (1 if is_unknown else dry.returncode), gate.stderr + dry.stderr
    expected = {
        (place["path"], one["inside"])
        for one in json.loads(shown.stdout)["images"]
        for place in one["places"]
        if one["inside"] is not None
    }
    before = files(place)
    done = krmfn("update", ".", *bound, "-o", "json")
    after = files(place)
    assert done.returncode in (0, 10 if "mode: check" in str(before) else 0, 1)
    if done.returncode == 1:  # nothing is written at all, and check says so
        assert before == after
        assert "update would" in shown.stderr, done.stderr
        return
    changed = {name for name in after if before.get(name) != after[name] and name not in KEPT}
    if done.returncode == 0 and json.loads(done.stdout)["changed"]:
        assert {name for name, _ in expected} == changed, f"{shown.stdout}\n{done.stdout}"
        assert all(str(tag) in after[name] for name, tag in expected)
    again = json.loads(krmfn("check", ".", *bound, "-o", "json").stdout)["images"]
    assert [one for one in again if one["inside"] is not None and changed] == []


KEPT = ("lock.yaml", "krmfn-holds.yaml", "holds.yaml")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9))
def test_update_writes_what_check_shows(tmp_path: Path, layout: Path, seed: int):
    """Over pins, overridden fields, holds, requirements, suspended policies, ranges, bounds, ignore comments and --exclude."""
    rng, place = random.Random(seed), tmp_path / "tree"
    shutil.rmtree(place, ignore_errors=True)
    policy = _automation(rng) if rng.random() < 0.7 else ""
    own = {
        "policy.yaml": policy, "holds.yaml": _hold(rng) if policy and rng.random() < 0.4 else "",
        "tags.yaml": _sightings(rng) if rng.random() < 0.4 else "", "lock.yaml": LOCK if policy and rng.random() < 0.4 else "",
    }  # fmt: skip
    for index in range(rng.randint(1, 4)):
        own |= {f"{index}/{name}": text for name, text in _resource(rng).items()}
    for name, text in own.items():
        if text:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text if policy or rng.random() < 0.1 else re.sub(" # {.*|^  annotations.*\n", "", text, flags=re.MULTILINE))
    within, excluded = rng.choice(("patch", "minor", "major")), rng.choice(("", "", "", "1", "[02]", "policy.yaml"))
    words: list[object] = ["--source", f"layout:{layout}", *(["--exclude", excluded] if excluded else [])]
    before = files(place)
    if own["lock.yaml"] and rng.random() < 0.5:  # people take an update back
        call("update", ".", "--within", within, *words, cwd=place, KRMFN_NOW=NOW)
        for name, text in before.items():
            if name not in KEPT:
                (place / name).write_text(text)
    _agree(place, words, within, strict=rng.random() < 0.1)


def _tree(place: Path) -> list[str]:
    paths = [f"kubernetes/apps/{'deep/' * depth}release-{depth}.yaml" for depth in range(9)]
    names = ("ghcr.io/acme/web:1.2.0", f"ghcr.io/acme/api:1.2.0@{OLD}", "mysql:8.4", "ghcr.io/acme/none:1.0.0")
    for index, path in enumerate(paths):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        name, _, tag = names[index % len(names)].partition(":")
        (place / path).write_text(_pod(name, tag, pin=False, end=""))
    return paths


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("options", [(), ("--all",)], ids=["", "all"])
def test_no_line_is_wider_and_no_path_is_broken(tmp_path: Path, layout: Path, columns: int, options: tuple[str, ...]):
    paths = _tree(tmp_path)
    command = ["krmfn", "check", "kubernetes", "--source", f"layout:{layout}", *options]
    done = run(command, cwd=tmp_path, env=environment(COLUMNS=str(columns)))
    assert all(len(line) <= columns for line in done.stdout.splitlines())
    assert done.stdout.splitlines()[0].split() == ["IMAGE", "CURRENT", "UPDATE", "BEYOND", "STATE", "WHERE"]
    told = re.findall(r"kubernetes/\S+\.yaml(?=:8\b)", done.stdout)
    assert set(told) <= set(paths)
    assert len(told) >= 3
    if options:
        assert set(told) == set(paths)


@pytest.mark.parametrize("columns", [80, 160])
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "plain"])
def test_a_terminal_gets_the_same_lines_in_colour(tmp_path: Path, layout: Path, columns: int, colour: bool):
    _tree(tmp_path)
    command = ["krmfn", "check", "kubernetes", "--source", f"layout:{layout}", "--all"]
    env = environment(COLUMNS=str(columns), TERM="xterm")
    plain = run(command, cwd=tmp_path, env=env).stdout
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command, cwd=tmp_path, env=env | ({} if colour else {"NO_COLOR": "1"}), stdout=follower, stderr=subprocess.DEVNULL
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
        process.wait()
    os.close(leader)
    text = seen.decode().replace("\r\n", "\n")
    assert ("\x1b[" in text) is colour
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == plain

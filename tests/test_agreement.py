"""What `check` shows is what `update --within` writes, on any tree; and its table fits any terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from krmfn import cli
from tests import images
from tests.running import environment, run

TIME = "2026-01-01T00:00:00Z"
OLD = f"sha256:{'0' * 64}"
OFFERED = {
    "ghcr.io/acme/web": ("1.2.0", "1.2.7", "1.3.1", "1.4.0-rc.1", "2.0.0", "latest"),
    "ghcr.io/acme/api": ("1.2.0", "v1.2.1", "1.3.1", "2.0.0"),
    "docker.io/library/mysql": ("8.1", "8.4", "8.5", "9.1", "8.4-oracle"),
}
NAMES = ("ghcr.io/acme/web", "ghcr.io/acme/api", "mysql", "docker.io/library/mysql", "ghcr.io/acme/none")
TAGS = ("1.2.0", "1.2.7", "1.9.9", "latest", "8.4", "8.4-oracle", "2.0.0", "v1.0.0")


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layout")
    images.write(root, {name: dict.fromkeys(tags, TIME) for name, tags in OFFERED.items()})
    return root


def _pod(name: str, tag: str, pin: bool, end: str) -> str:
    digest = f"@{OLD}" if pin else ""
    return f"kind: Pod\napiVersion: v1\nmetadata: {{name: a}}\nspec:\n  containers:\n  - name: a\n    image: {name}:{tag}{digest}{end}\n"


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


def _policy(name: str, suspend: bool, bound: str) -> str:
    return (
        "kind: ImageAutomation\napiVersion: krmfn.dev/v1alpha1\nmetadata: {name: images}\nspec:\n  onError: keep\n  policies:\n"
        f"  - {{name: p, image: {name}, suspend: {str(suspend).lower()}, policy: {{semver: {{range: '{bound}'}}}}}}\n"
    )


ENDS = ("", " # krmfn: ignore", ' # {"$imagepolicy": "default:p"}', ' # {"$imagepolicy": "default:p:tag"}')
RESOURCES = st.builds(
    lambda form, name, tag, pin, end: form(name, tag, pin, end),
    st.sampled_from((_pod, _values, _beside, _loose)),
    st.sampled_from(NAMES),
    st.sampled_from(TAGS),
    st.booleans(),
    st.sampled_from(ENDS),
)
POLICIES = st.none() | st.builds(_policy, st.sampled_from(NAMES), st.booleans(), st.sampled_from(("<1.3", ">=1", "<99")))


def _called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = cli.main([str(one) for one in arguments])
    return code, capsys.readouterr().out


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    resources=st.lists(RESOURCES, min_size=1, max_size=5),
    policy=POLICIES,
    bound=st.sampled_from(("patch", "minor", "major")),
)
def test_update_writes_what_check_shows(
    tmp_path: Path,
    layout: Path,
    capsys: pytest.CaptureFixture[str],
    resources: list[str],
    policy: str | None,
    bound: str,
):
    for old in tmp_path.iterdir():
        old.unlink()
    for index, text in enumerate(resources):
        (tmp_path / f"{index}.yaml").write_text(text)
    if policy:
        (tmp_path / "policy.yaml").write_text(policy)
    source = f"layout:{layout}"
    _, shown = _called(capsys, "check", tmp_path, "--source", source, "--within", bound, "-o", "json")
    images_shown = json.loads(shown)["images"]
    expected = {
        (Path(place["path"]).name, one["inside"])
        for one in images_shown
        for place in one["places"]
        if one["inside"] is not None
    }
    code, written = _called(capsys, "update", tmp_path, "--source", source, "--within", bound, "-o", "json")
    if code:  # an error of the policies that exist: nothing is written at all
        assert json.loads(written)["changed"] == []
        return
    changed = {Path(name).name for name in json.loads(written)["changed"]}
    assert {name for name, _ in expected} == changed
    for name, tag in expected:
        assert tag in (tmp_path / name).read_text()
    code, shown = _called(capsys, "check", tmp_path, "--source", source, "--within", bound, "-o", "json")
    assert [one for one in json.loads(shown)["images"] if one["inside"] is not None] == []


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
    told = re.findall(r"kubernetes/\S+\.yaml(?=:7\b)", done.stdout)
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

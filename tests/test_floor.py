"""The floor: with `--rules` nothing that a change brings lets a tag through that the rules from outside stop."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn import pipeline
from krmfn.config.floor import Floor, read_floor
from krmfn.config.settings import overridden
from krmfn.plan.resolve import StaticTags
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests import images
from tests.lists import pod, policy, resource_list
from tests.running import call, environment, run, succeed
from tests.tools import ROOT

WEB = "ghcr.io/acme/web"
EVIL = "sha256:" + "6" * 64
RULES = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: rules, annotations: {config.kubernetes.io/local-config: "true"}}
spec:
  require:
  - images: ["ghcr.io/acme/*"]
    policies: ["flux:*"]
    minimumReleaseAge: 7 days
"""
HOLD = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageHold
metadata: {name: NAME, annotations: {config.kubernetes.io/local-config: "true"}}
spec:
  policy: "flux:web"
  WHAT
"""
POLICY = policy('semver: {range: ">=1.0.0"}', "IfNotPresent")
NOW = "2026-11-21T00:00:00Z"


def hold(what: str, name: str = "more") -> str:
    return HOLD.replace("NAME", name).replace("WHAT", what)


def offer(*tags: str) -> None:
    shutil.rmtree("registry", ignore_errors=True)
    days = {tag: f"2026-01-0{index + 1}T00:00:00Z" for index, tag in enumerate(tags)}
    images.write(Path("registry"), dict.fromkeys((WEB, "mirror.example/acme/web"), days))


def krmfn(*words: str, code: int = 0, text: str = "", **env: str) -> str:
    more = {"KRMFN_NOW": NOW, "KRMFN_LAYOUT": str(Path("registry").absolute())} | env
    done = call(*words, cwd=Path.cwd(), **more) if words else run(["krmfn"], cwd=Path.cwd(), text=text, env=environment(**more))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository: 1.0.0 runs; of 1.1.0, 1.1.5 (held) and 1.2.0 (a day old) only 1.1.0 may run."""
    top = tmp_path_factory.mktemp("floor")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        for name, text in {"policy": POLICY, "rules": RULES, "hold": hold('not: "1.1.5"', "leaks"), "pod": pod(f"{WEB}:1.0.0")}.items():
            Path(f"{name}.yaml").write_text(text)
        offer("1.0.0", "1.1.0", "1.1.5")
        krmfn("fetch", ".", "--bootstrap", KRMFN_NOW="2026-11-01T00:00:00Z")
        offer("1.0.0", "1.1.0", "1.1.5", "1.2.0")
        krmfn("fetch", ".", KRMFN_NOW="2026-11-20T00:00:00Z")
        Path(".gitignore").write_text("registry\n")
        git("init", "-q", "-b", "main")
        git("add", ".")
        git("commit", "-q", "-m", "reviewed")
    return top


def git(*words: str) -> None:
    succeed(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=Path.cwd())


@pytest.fixture
def checkout(reviewed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "checkout"
    shutil.copytree(reviewed, place, symlinks=True)
    monkeypatch.chdir(place)
    git("switch", "-q", "-c", "change")
    return place


def edit(name: str, *pairs: tuple[str, str]) -> None:
    path = Path(f"{name}.yaml")
    text = path.read_text()
    for old, new in pairs:
        assert old in text, f"{old} is not in {path}"
        text = text.replace(old, new)
    path.write_text(text)


def add(name: str, text: str) -> None:
    Path(f"{name}.yaml").write_text(text)


SETTINGS = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: more}\nspec:\n  "
REAL = re.compile(r"sha256:[0-9a-f]{64}")


def forge_digests() -> None:
    path = Path("krmfn-tags.yaml")
    path.write_text(REAL.sub(EVIL, path.read_text()))
    Path("krmfn-lock.yaml").unlink()


def forge_first_seen() -> None:
    path = Path("krmfn-tags.yaml")
    path.write_text(path.read_text().replace("2026-11-20T00:00Z", "2026-11-02T00:00Z"))


def swap_lock() -> None:
    path = Path("krmfn-lock.yaml")
    path.write_text(re.sub(r'tag: ".*"', 'tag: "1.2.0"', path.read_text()))


def move_image() -> None:
    edit("policy", (WEB, "mirror.example/acme/web"))
    edit("pod", (WEB, "mirror.example/acme/web"))
    add("tags-too", Path("krmfn-tags.yaml").read_text().replace(WEB, "mirror.example/acme/web").replace("ghcr.io-acme-web", "mirror"))
    edit("tags-too", ("2026-11-20T00:00Z", "2026-11-02T00:00Z"))


def pin_elsewhere() -> None:
    Path("krmfn-lock.yaml").unlink()
    add("pod0", pod(f"{WEB}:1.1.0@{EVIL}", name="first"))


def rename() -> None:
    Path("hold.yaml").unlink()
    edit("policy", ("namespace: flux", "namespace: other"))
    edit("pod", ("flux:web", "other:web"))


def bring_images() -> None:
    Path("krmfn-tags.yaml").unlink()
    Path("rules.yaml").unlink()
    shutil.copytree("registry", "own")
    add("own-source", SETTINGS + "source: {layout: {path: own}}\n")


def hide_policy() -> None:
    Path("policy.yaml").unlink()
    Path("krmfn-lock.yaml").unlink()
    Path("rules.yaml").unlink()
    edit("pod", (' # {"$imagepolicy": "flux:web"}', ""))


def frozen_status() -> None:
    Path("krmfn-lock.yaml").unlink()
    Path("rules.yaml").unlink()
    edit("policy", ("kind: ImagePolicy", f"kind: ImagePolicy\nstatus: {{latestRef: {{name: {WEB}, tag: 1.2.0, digest: '{EVIL}'}}}}"))


Attack = Callable[[], object]
ATTACKS: dict[str, tuple[Attack, str, dict[str, str]]] = {
    "deletes `require`": (lambda: Path("rules.yaml").unlink(), "1.2.0", {}),
    "weakens `require`": (lambda: edit("rules", ("7 days", "0 days")), "1.2.0", {}),
    "forges `firstSeen`": (forge_first_seen, "1.2.0", {}),
    "writes `evidence: bootstrap`": (
        lambda: edit("krmfn-tags", ('firstSeen: "2026-11-20T00:00Z"', 'firstSeen: "2026-11-20T00:00Z"\n      evidence: bootstrap')), "1.2.0", {},
    ),
    "moves `spec.time`": (lambda: edit("krmfn-tags", ('time: "2026-11-20T00:00Z"', 'time: "2027-11-20T00:00Z"')), "1.2.0", {"KRMFN_NOW": ""}),
    "drops a hold": (lambda: Path("hold.yaml").unlink(), "1.1.5", {}),
    "adds a hold with `releaseAge`": (lambda: add("hold2", hold('releaseAge: "1.2.0"')), "1.2.0", {}),
    "adds a hold with `tag`": (lambda: add("hold2", hold('tag: "1.0.0"')), "1.0.0", {}),
    "swaps the lock of a frozen build": (swap_lock, "1.2.0", {"KRMFN_MODE": "frozen"}),
    "writes `status.latestRef` for a frozen build": (frozen_status, "1.2.0", {"KRMFN_MODE": "frozen"}),
    "forges digests": (forge_digests, f"1.1.0@{EVIL}", {}),
    "pins a forged digest elsewhere": (pin_elsewhere, f"1.1.0@{EVIL}", {}),
    "sets `KRMFN_*` in an item": (
        lambda: add("environment", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: krmfn}\ndata:\n  KRMFN_RULES: ''\n  KRMFN_NOW: '2028-01-01'\n"), "1.1.0", {},
    ),
    "renames the policy": (rename, "1.2.0", {}),
    "moves the image behind another spelling": (move_image, "1.2.0", {}),
    "brings images of its own": (bring_images, "1.2.0", {"KRMFN_LAYOUT": ""}),
    "asks a mirror of its own": (
        lambda: add("mirror", SETTINGS + "mirrors: [{from: ghcr.io, to: mirror.example}]\n  require: []\n"), "1.1.0", {},
    ),
    "swaps the list of tags": (
        lambda: edit("krmfn-tags", ('name: "1.1.0"', 'name: "1.1.9"')), "1.1.9", {},
    ),
    "takes the policy away before `update --within`": (hide_policy, "1.2.0", {}),
}  # fmt: skip
"""What a change does -> how, what is chosen without a floor, and the environment of the run."""
REFUSED = {
    "brings images of its own": "name the layout with --source",
    "swaps the list of tags": "tag 1.1.9 claims to have been seen at 2026-11-01T00:00Z",
}
WAITS = {"moves the image behind another spelling", "renames the policy"}
"""Here the floor knows no first sighting or hold of that name: nothing young is chosen."""


def documented() -> list[str]:
    text = (ROOT / "docs/security.md").read_text().partition("## Whose rules count")[2].partition("\n## ")[0]
    return [row.split("|")[1].strip() for row in re.findall(r"^\| .*", text, re.MULTILINE)[1:]]


def test_the_page_has_a_row_for_every_attack():
    assert documented() == list(ATTACKS)


def chosen() -> str:
    (image,) = (one for one in written() if "first" not in one)
    return image


def written() -> Iterator[str]:
    found = yaml.load(Path("pod.yaml").read_text(), yaml.BaseLoader)["spec"]["containers"][0]["image"]
    yield found.partition(":")[2]


def by_update(rules: str, code: int, **env: str) -> str:
    more = ("--rules", rules) if rules else ()
    within = () if Path("policy.yaml").exists() else ("--within", "minor")
    said = krmfn("update", ".", *within, *more, code=code, **env)
    return chosen() if not code else said


def by_function(rules: str, code: int, **env: str) -> str:
    documents = [path.read_text() for path in sorted(Path().glob("*.yaml"))]
    out = krmfn(text=resource_list(*documents).decode(), code=code, **({"KRMFN_RULES": rules} if rules else {}), **env)
    if code:
        return out
    pods = [one for one in yaml.load(out, yaml.BaseLoader)["items"] if one["kind"] == "Pod" and one["metadata"]["name"] == "web"]
    image: str = pods[0]["spec"]["containers"][0]["image"]
    return image.partition(":")[2]


DOORS = {"update": by_update, "function": by_function}


CASES = [(row, door) for row in ATTACKS for door in DOORS if not (door == "function" and "--within" in row)]


@pytest.mark.parametrize(("row", "door"), CASES)
def test_a_floor_holds_against_a_change_that(row: str, door: str, checkout: Path):
    attack, without, env = ATTACKS[row]
    mode = {name: value for name, value in env.items() if name in ("KRMFN_MODE", "KRMFN_NOW")}
    before = {path: path.read_bytes() for path in Path().glob("*.yaml")}
    honest = DOORS[door]("git:main", 0, **mode)
    git("checkout", "-q", "--", ".")
    assert {path: path.read_bytes() for path in Path().glob("*.yaml")} == before
    attack()
    git("add", ".")
    git("commit", "-q", "--allow-empty", "-m", row)
    git("tag", "attacked")
    if not (row == "moves `spec.time`" and door == "update"):  # the command line has a clock
        free = DOORS[door]("", 0, **env)
        assert free.startswith(without), free
    git("reset", "-q", "--hard", "attacked")
    if row in REFUSED:
        assert REFUSED[row] in DOORS[door]("git:main", 1, **env)
    elif row in WAITS:
        assert DOORS[door]("git:main", 0, **env).partition("@")[0] in ("1.0.0", "1.1.0")
    else:
        found = DOORS[door]("git:main", 0, **env)
        assert found == honest if "--within" not in row else found == "1.1.0"


ODD = [
    ("git:nowhere", "there is no commit nowhere here"),
    ("git:", "names no commit"),
    ("git:-x", "names no commit"),
    ("git:main:none", "there is no none in main"),
    ("git:twin", "twin has several meanings: refs/tags/twin, refs/heads/twin"),
    ("nowhere", "there is no such file or directory"),
    ("empty", "hold no requirement, hold, lock or snapshot"),
]


@pytest.mark.parametrize(("rules", "expected"), ODD, ids=[row[0] for row in ODD])
def test_rules_that_are_not_there_are_told(rules: str, expected: str, checkout: Path):
    git("tag", "twin")
    git("branch", "twin")
    Path("empty").mkdir()
    said = krmfn("update", ".", "--check", "--rules", rules, code=10 if rules == "empty" else 1)
    assert expected in said, said


WRONG = [
    (RULES.replace("minimumReleaseAge", "minimumAge"), "did you mean minimumReleaseAge?"),
    (RULES.replace("require:", "requires:"), "did you mean require?"),
    (RULES.replace("v1alpha1", "v1"), "expected krmfn.dev/v1alpha1, found krmfn.dev/v1"),
    (RULES, "select by images, or name rules that hold the policies too"),
    (RULES + "  broken: [", "not read as YAML"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[row[1] for row in WRONG])
def test_rules_that_are_not_understood_stop_the_run(text: str, expected: str, checkout: Path, tmp_path: Path):
    path = tmp_path / "outside.yaml"
    path.write_text(text)
    for verb in (("update", "."), ("check", "."), ("explain", "web", "."), ("fetch", "."), ("lint", "."), ("get", "image", "all", ".")):
        assert expected in krmfn(*verb, "--rules", str(path), code=1)


def test_a_link_a_submodule_and_the_checkouts_settings_play_no_part(checkout: Path):
    """The rules are those of git's objects: nothing of the work tree, its attributes or its configuration changes them."""
    Path(".gitattributes").write_text("*.yaml filter=evil diff=evil text eol=crlf\n")
    for name in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor"):
        git("config", name, "touch ran; cat")
    Path(".git/hooks/post-checkout").write_text("#!/bin/sh\ntouch ran\n")
    Path(".git/hooks/post-checkout").chmod(0o755)
    Path("rules.yaml").unlink()
    assert by_update("git:main", 0).partition("@")[0] == "1.1.0"
    assert not list(Path().rglob("ran"))


def test_the_time_of_a_build_is_that_of_the_floor(checkout: Path):
    edit("krmfn-tags", ('time: "2026-11-20T00:00Z"', 'time: "2027-11-20T00:00Z"'))
    assert by_function("git:main", 0, KRMFN_NOW="").partition("@")[0] == "1.1.0"


VERSIONS = [f"1.{minor}.{patch}" for minor in range(3) for patch in range(2)] + ["2.0.0"]
GLOBS = st.sampled_from(["", "images: ['ghcr.io/acme/*']", "images: ['**']", "images: ['docker.io/**']", "policies: ['flux:*']", "policies: ['other:*']"])
AGES = st.sampled_from(["0 days", "1 day", "9 days", "{default: 1 day, major: 30 days}", "{minor: 9 days, patch: 0 days}"])
REQUIRED = st.lists(st.tuples(AGES, GLOBS), max_size=3)
HELD = st.lists(st.tuples(st.sampled_from(["tag", "not", "releaseAge"]), st.sampled_from(VERSIONS)), max_size=2, unique_by=lambda one: one[0])
SEEN = st.dictionaries(st.sampled_from(VERSIONS), st.tuples(st.integers(-30, 0), st.booleans()))


def rules_of(required: list[tuple[str, str]], held: list[tuple[str, str]], seen: dict[str, tuple[int, bool]], name: str) -> list[str]:
    """Write requirements, holds and a snapshot; days are counted back from now, bootstrap evidence is true."""
    entries = "".join(f"  - minimumReleaseAge: {age}\n" + (f"    {globs}\n" if globs else "") for age, globs in required)
    documents = [f"{SETTINGS.replace('more', name)}require:\n{entries}"] if entries else []
    documents += [hold(f'{what}: "{tag}"', f"{name}-{index}") for index, (what, tag) in enumerate(held)]
    if seen:
        tags = "".join(
            f'  - {{name: "{tag}", firstSeen: "{day_before(days)}"{", evidence: bootstrap" if old else ""}}}\n'
            for tag, (days, old) in seen.items()
        )
        documents.append(
            f'apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: {name}}}\nspec:\n  image: {WEB}\n'
            f'  listed: 99\n  time: "{NOW}"\n  tags:\n{tags}'
        )
    return documents


def day_before(days: int) -> str:
    return (datetime(2026, 11, 21, tzinfo=UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def judged(tree: list[str], floor: Floor | None, tags: list[str], current: str) -> str:
    data = resource_list(policy('semver: {range: ">=1.0.0"}'), pod(f"{WEB}:{current}"), *tree)
    source = StaticTags({WEB: dict.fromkeys(tags)})
    outcome = pipeline.run(Text(data), lambda _: source, lambda made: overridden(made, {"KRMFN_NOW": NOW}), floor)
    assert not outcome.is_error, outcome.results
    image: str = next(one for one in yaml.load(outcome.text, yaml.BaseLoader)["items"] if one["kind"] == "Pod")["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


@settings(max_examples=100, deadline=None)
@given(REQUIRED, HELD, SEEN, REQUIRED, HELD, SEEN, st.sampled_from(VERSIONS), st.sets(st.sampled_from(VERSIONS)))
def test_what_a_tree_adds_never_lets_a_tag_through_that_the_floor_stops(
    required: list[tuple[str, str]], held: list[tuple[str, str]], seen: dict[str, tuple[int, bool]],
    more: list[tuple[str, str]], holds: list[tuple[str, str]], forged: dict[str, tuple[int, bool]], current: str, listed: set[str],
) -> None:  # fmt: skip
    outside = [policy(), *rules_of(required, held, seen, "floor")]
    floor = read_floor(documents(Text("---\n".join(outside).encode())))
    tags = sorted({*listed, current})
    without, found = (judged(tree, floor, tags, current) for tree in ([], rules_of(more, holds, forged, "tree")))
    alone = rules_of(required, held, seen, "floor")  # the same rules in a tree, with no floor: what they let through
    assert found == current or judged(alone, None, sorted({current, found}), current) == found
    kept = [tag for what, tag in held if what == "tag"]
    assert kept or VERSIONS.index(found) <= max(VERSIONS.index(without), VERSIONS.index(current))  # and nothing goes further

"""Three months in the life of a repository, one run a day: what krmfn decided, told as a story in `fixtures/story`.

The registry is real HTTP on loopback behind a mirror, the repository a real git repository, time is `KRMFN_NOW`. On every
day on which something moved, `kustomize build` and `kpt fn render` have to come to the same images.
"""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import tools
from tests.asking import one_certificate
from tests.registry_server import Registry
from tests.running import call, environment, succeed
from tests.tools import ROOT

STORY = ROOT / "fixtures" / "story" / "decisions.txt"
START = datetime(2026, 9, 1, 6, tzinfo=UTC)
DAYS, MONTH = 60, range(61, 92)
ENVIRONMENTS = ("dev", "staging", "prod")
KEPT_BACK = (3, 16, 27, 37, 57)
"""Days on which something may not run yet: builds have to see that too, besides the days on which something moves."""
BOTH = ("linux/amd64", "linux/arm64")
IMAGES = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata:
  name: images
  namespace: shop
  annotations:
    config.kubernetes.io/local-config: "true"
    config.kubernetes.io/function: |
      exec:
        path: krmfn
spec:
  policies:
  - name: web
    image: ghcr.io/acme/web
    policy: {{semver: {{range: ">=1.0.0"}}}}
  - name: api
    image: ghcr.io/acme/api
    policy: {{semver: {{range: ">=2.0.0"}}}}
    digestReflectionPolicy: Always
  require:
  - minimumReleaseAge: {{default: 3 days, digest: 1 day}}
  - images: [ghcr.io/acme/api]
    platforms: [linux/amd64, linux/arm64]
  mirrors:
  - {{from: ghcr.io/acme, to: {address}/acme}}
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {0}, namespace: shop}}\nspec:\n  containers:\n  - name: {0}\n    image: ghcr.io/acme/{0}:{1}\n"


class World:
    """What happens outside krmfn: the registry, the people, and the repository that they share."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder, self.registry, self.day = folder, registry, 1
        self.shop = folder / "shop"
        self.builds = 0
        self.committed: dict[str, bytes] = {}

    @property
    def now(self) -> datetime:
        return START + timedelta(days=self.day - 1)

    def aside(self, name: str) -> Path:
        return Path(f"{self.folder}-{name}")

    def release(self, image: str, *tags: str, platforms: tuple[str, ...] = BOTH) -> None:
        created = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        for tag in tags:
            self.registry.add(f"acme/{image}", [tag], created=created, platforms=platforms, labels={"version": tag})

    def pull(self, image: str, tag: str) -> None:
        del self.registry.tags[f"acme/{image}"][tag]

    def go_away(self) -> None:
        self.registry.misbehave("tags", lambda request: request.plain(503))

    def come_back(self) -> None:
        self.registry.reset(None)

    def krmfn(self, *words: str, day_of: str = "") -> Any:
        done = call(*words, cwd=self.folder, KRMFN_NOW=day_of or self.now.strftime("%Y-%m-%dT%H:%M:%SZ"), SSL_CERT_FILE=one_certificate())
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def edit(self, image: str, tag: str) -> None:
        path = self.shop / f"{image}.yaml"
        path.write_text(re.sub(r"(image: \S+?:)\S+", rf"\g<1>{tag}", path.read_text()))

    def commit(self, message: str) -> None:
        files = {str(path): path.read_bytes() for path in self.shop.rglob("*") if path.is_file()}
        if files != self.committed:
            self.committed = files
            self.git("add", "-A")
            self.git("commit", "-q", "-m", message)

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=krmfn", "-c", "user.email=krmfn@example.org", "-c", "commit.gpgsign=false")
        return succeed(["git", *who, *words], cwd=self.folder)

    def running(self, folder: Path | None = None) -> dict[str, str]:
        """Return what the manifests hold: by image, and by environment where there are some."""
        top, found = folder or self.shop, {}
        for path in sorted(top.rglob("*.yaml"), key=lambda path: (ENVIRONMENTS.index(path.parent.name) if path.parent != top else 0, path.stem == "api")):
            for image, tag in re.findall(r"image: ghcr.io/acme/(\w+):(\S+)", path.read_text()):
                found[image if path.parent == top else f"{path.parent.name} {image}"] = tag
        return found


def hold(world: World) -> None:
    world.krmfn("hold", "web@1.4.1", "shop", "--until", "2026-10-15", "--because", "the harvest sale")


def behind_its_back(world: World) -> None:
    world.go_away()
    world.release("api", "2.5.0")


def let_through(world: World) -> None:
    world.release("web", "1.5.1")
    world.krmfn("release", "--age", "web@1.5.1", "shop", "--because", "CVE-2026-31337")


EVENTS: Mapping[int, tuple[tuple[str, Callable[[World], None]], ...]] = {
    3: (("The web team releases 1.2.0.", lambda world: world.release("web", "1.2.0")),),
    8: (("The web team releases 1.3.0 on a Tuesday evening.", lambda world: world.release("web", "1.3.0")),),
    10: (("1.3.0 loses carts. The web team pulls it from the registry.", lambda world: world.pull("web", "1.3.0")),),
    13: (
        ("The api team releases 2.4.0, for amd64 alone: the arm64 builder is broken.",
         lambda world: world.release("api", "2.4.0", platforms=BOTH[:1])),
    ),
    18: (("The arm64 builder works again, and 2.4.0 is pushed again, for both.", lambda world: world.release("api", "2.4.0")),),
    23: (("The web team releases 1.4.0.", lambda world: world.release("web", "1.4.0")),),
    27: (("Checkout fails. Somebody takes web back to 1.2.0, by hand, in the manifest.", lambda world: world.edit("web", "1.2.0")),),
    30: (("The web team releases 1.4.1, which mends the checkout.", lambda world: world.release("web", "1.4.1")),),
    35: (("A sale begins. Operations hold web where it is until it is over.", hold),),
    37: (("The web team releases 1.5.0 all the same.", lambda world: world.release("web", "1.5.0")),),
    47: (
        ("The registry goes away. Behind its back the api team builds 2.5.0.", behind_its_back),
    ),
    49: (("The registry is back.", lambda world: world.come_back()),),
    54: (
        ("A vulnerability is known. The web team releases 1.5.1 at noon, and the people on call do not want to wait.",
         let_through),
    ),
    57: (("Somebody pushes api 2.5.0 again, with another base image.", lambda world: world.release("api", "2.5.0")),),
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Registry() as registry:
        made = World(tmp_path, registry)
        made.release("web", "1.0.0", "1.1.0")
        made.release("api", "2.3.0", "2.3.1")
        made.shop.mkdir()
        (made.shop / "images.yaml").write_text(IMAGES.format(address=registry.address))
        (made.shop / "web.yaml").write_text(POD.format("web", "1.0.0"))
        (made.shop / "api.yaml").write_text(POD.format("api", "2.3.1"))
        made.git("init", "-q", "-b", "main")
        made.commit("The shop as it is")
        yield made


Events = Mapping[int, tuple[tuple[str, Callable[[World], None]], ...]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_months_read_like_a_story(world: World, golden):
    base = shutil.copytree(world.shop, world.aside("base"))

    def build(moved: list[str], mornings: Path) -> None:
        if moved or world.day in KEPT_BACK:
            assert_builds_agree(world, base, mornings)

    text = "Two months in the life of a repository, one run a day.\n\n" + live(world, range(1, DAYS + 1), EVENTS, told, build)
    golden(text, STORY)
    assert world.builds > 10


def live(world: World, days: range, happenings: Events, told: Callable[[World], list[str]], build: Callable[[list[str], Path], None]) -> str:
    """Live through some days, and return what happened on those that were not quiet."""
    lines, before, quiet = [], [""], 0  # type: list[str], list[str], int
    for world.day in days:
        events = happenings.get(world.day, ())
        for _, happen in events:
            happen(world)
        world.commit("What people did")
        morning, mornings = world.running(), shutil.copytree(world.shop, world.aside(f"day{world.day}"))
        said = told(world)
        world.commit(f"krmfn, day {world.day}")
        moved = [f"{name}: {old} -> {new}" for (name, old), new in zip(morning.items(), world.running().values(), strict=True) if old != new]
        build(moved, mornings)
        if moved or events or (said and said != before):
            lines += [f"({quiet} quiet day{'s' * (quiet > 1)})", ""] if quiet else []
            lines += paragraphs(world, [text for text, _ in events], said if said != before or events else [], moved)
            quiet = 0
        else:
            quiet += 1
        before = said
    lines += [f"({quiet} quiet day{'s' * (quiet > 1)})", ""] if quiet else []
    ends = ", ".join(f"{one} {short(tag)}" for one, tag in world.running().items())
    return "\n".join([*lines, f"After {days[-1]} days: {ends}."]) + "\n"


def told(world: World) -> list[str]:
    """Run krmfn as the nightly job does, and return what it says."""
    fetched = world.krmfn("fetch", "shop", *(["--bootstrap"] if world.day == 1 else []))
    said = [line.removeprefix("krmfn: ") for line in fetched.stderr.splitlines() if line.startswith("krmfn: error")]
    return list(dict.fromkeys([*(plain(world, one) for one in said), *updated(world)]))


def updated(world: World) -> list[str]:
    results = json.loads(world.krmfn("update", "shop", "-o", "json").stdout)["results"]
    said = [one["message"] for one in results if one["code"] not in ("lock", "changed")]
    return list(dict.fromkeys(plain(world, one) for one in said))


def plain(world: World, text: str) -> str:
    """Leave out of a message what is the same in all of them, and what differs from machine to machine."""
    text = text.replace(world.registry.address, "registry.example").replace("ghcr.io/acme/", "")
    text = re.sub(r"sha256:([0-9a-f]{6})[0-9a-f]*", r"sha256:\1...", text)
    return re.sub(r" \(policy shop:\w+\)", "", text).replace("info: ", "")


def short(tag: str) -> str:
    return re.sub(r"@sha256:([0-9a-f]{6})[0-9a-f]*", r"@sha256:\1...", tag)


def paragraphs(world: World, events: list[str], said: list[str], moved: list[str]) -> Iterator[str]:
    yield f"{world.now:%A}, {world.now.day} {world.now:%B}"
    for event in events:
        yield from textwrap.wrap(event, 100, initial_indent="  ", subsequent_indent="  ")
    for one in said:
        yield from textwrap.wrap(f"> {one}", 110, initial_indent="    ", subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
    yield from (f"    * {short(one)}" for one in moved)
    yield ""


def assert_builds_agree(world: World, base: Path, morning: Path) -> None:
    """Let kustomize build from the base of the first day, and kpt render the morning's tree: both run what the files run."""
    world.builds += 1
    written = [world.shop / name for name in ("krmfn-tags.yaml", "krmfn-lock.yaml", "krmfn-holds.yaml")]
    records = [path for path in written if path.is_file() and "kind:" in path.read_text()]
    env = environment(SOURCE_DATE_EPOCH=str(int(world.now.timestamp())), SSL_CERT_FILE=one_certificate())
    overlay = Path(shutil.copytree(base, world.aside(f"kustomize{world.day}")))
    for path in records:
        shutil.copy(path, overlay)
    resources = ["web.yaml", "api.yaml", *(path.name for path in records)]
    (overlay / "kustomization.yaml").write_text(f"resources: [{', '.join(resources)}]\ntransformers: [images.yaml]\n")
    shown = succeed([tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", overlay], env=env)
    assert dict(re.findall(r"image: ghcr.io/acme/(\w+):(\S+)", shown)) == world.running(), world.day
    for path in records:
        shutil.copy(path, morning)
    (morning / "Kptfile").write_text("apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: shop}\npipeline:\n  mutators:\n  - exec: krmfn\n")
    succeed([tools.require("kpt"), "fn", "render", morning, "--allow-exec"], env=env)
    assert world.running(morning) == world.running(), world.day


# The third month: versions that belong together, windows, and three environments.

THIRD = ROOT / "fixtures" / "story" / "third_month.txt"
STAGE = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata:
  name: {name}
  namespace: {name}
  annotations:
    config.kubernetes.io/local-config: "true"
    config.kubernetes.io/function: |
      exec:
        path: krmfn
spec:
  lock: {name}
  policies:
  - {{name: web, image: ghcr.io/acme/web, bind: [annotations], policy: {web}}}
  - {{name: api, image: ghcr.io/acme/api, bind: [annotations], policy: {api}}}
  groups:
  - {{name: {name}, policies: [web, api]}}
{more}"""
RULES = {
    "dev": ({"web": '{semver: {range: ">=1.0.0"}}', "api": '{semver: {range: ">=2.0.0"}}'}, "  mirrors: [{{from: ghcr.io/acme, to: {address}/acme}}]\n"),
    "staging": ({name: f'{{follow: {{lock: dev, policy: "dev:{name}", soak: 2 days}}}}' for name in ("web", "api")}, ""),
    "prod": (
        {name: f'{{follow: {{lock: staging, policy: "staging:{name}", soak: 3 days}}}}' for name in ("web", "api")},
        '  windows: [{{kind: Deny, schedule: "0 0 * * SAT", duration: 48h, timeZone: Europe/Berlin, policies: ["prod:*"]}}]\n',
    ),
}
LOCK = 'apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {{name: {0}, annotations: {{config.kubernetes.io/local-config: "true"}}}}\nspec:\n  images: []\n'


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[World]:
    with Registry() as registry:
        made = World(tmp_path, registry)
        made.release("web", "1.5.0", "1.5.1")
        made.release("api", "2.4.0", "2.5.0")
        for name, (rules, more) in RULES.items():
            folder = made.shop / name
            folder.mkdir(parents=True)
            (folder / "images.yaml").write_text(STAGE.format(name=name, **rules, more=more.format(address=registry.address)))
            (folder / "lock.yaml").write_text(LOCK.format(name))
            for image, tag in (("web", "1.5.1"), ("api", "2.5.0")):
                annotation = f"namespace: {name}, annotations: {{krmfn.dev/images: '{{\"{image}\": \"{name}:{image}\"}}'}}}}"
                (folder / f"{image}.yaml").write_text(POD.format(image, tag).replace("namespace: shop}", annotation))
        made.git("init", "-q", "-b", "main")
        made.commit("The shop after two months")
        yield made


def release_both(version: str) -> Callable[[World], None]:
    def happen(world: World) -> None:
        world.release("web", version)
        world.release("api", version)

    return happen


def take_back(world: World) -> None:
    path = world.shop / "staging" / "web.yaml"
    path.write_text(path.read_text().replace(":3.2.0", ":3.1.0"))


PROLOGUE = (
    "The shop gets two environments more. dev takes what is released, staging what dev has run for two days, prod what staging has run "
    "for three, and never on a weekend. web and api belong together from now on."
)
THIRD_EVENTS: Events = {
    61: ((PROLOGUE, lambda world: None),),
    63: (("The web team releases 3.0.0. The api team is late.", lambda world: world.release("web", "3.0.0")),),
    66: (("The api team releases 3.0.0.", lambda world: world.release("api", "3.0.0")),),
    77: (("Both teams release 3.1.0.", release_both("3.1.0")),),
    82: (("Both teams release 3.2.0.", release_both("3.2.0")),),
    85: (("Payments fail in staging. Somebody takes web back to 3.1.0 there, by hand.", take_back),),
    86: (("Both teams release 3.2.1, which mends the payments.", release_both("3.2.1")),),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_third_month_reads_like_a_story(stages: World, golden):
    base = shutil.copytree(stages.shop, stages.aside("base"))

    def build(moved: list[str], mornings: Path) -> None:
        if any("prod" in one for one in moved) or stages.day in (82, 85):  # what may not move has to stay in builds, too
            assert_stages_agree(stages, base, mornings)

    text = "A third month: three environments, and versions that belong together.\n\n" + live(stages, MONTH, THIRD_EVENTS, updated, build)
    golden(text, THIRD)
    assert stages.builds >= 5


def assert_stages_agree(world: World, base: Path, morning: Path) -> None:
    """Let kustomize build production from the base of the first day and the locks, and kpt render the tree of the morning."""
    world.builds += 1
    env = environment(SOURCE_DATE_EPOCH=str(int(world.now.timestamp())), SSL_CERT_FILE=one_certificate())
    overlay = Path(shutil.copytree(base / "prod", world.aside(f"prod{world.day}")))
    shutil.copy(world.shop / "prod" / "lock.yaml", overlay)
    shutil.copy(world.shop / "staging" / "lock.yaml", overlay / "staging.yaml")
    (overlay / "kustomization.yaml").write_text("resources: [web.yaml, api.yaml, lock.yaml, staging.yaml]\ntransformers: [images.yaml]\n")
    shown = succeed([tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", overlay], env=env)
    runs = {image: tag for name, tag in world.running().items() for stage, image in [name.split()] if stage == "prod"}
    assert dict(re.findall(r"image: ghcr.io/acme/(\w+):(\S+)", shown)) == runs, world.day
    for holds in world.shop.rglob("krmfn-holds.yaml"):
        shutil.copy(holds, morning / holds.relative_to(world.shop))
    (morning / "Kptfile").write_text("apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: shop}\npipeline:\n  mutators:\n  - exec: krmfn\n")
    succeed([tools.require("kpt"), "fn", "render", morning, "--allow-exec"], env=env)
    assert world.running(morning) == world.running(), world.day

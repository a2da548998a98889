"""Compare two checkouts byte by byte: a refactoring changes nothing that anybody can see.

    python -m tests.same OTHER_CHECKOUT [CASES [FIRST_SEED]]

Both run every golden case, every fixture, and CASES generated lists and trees (valid, odd and broken, each from its seed), in one
process each. What differs is printed; the exit code is 1 if anything does. One case again: CASES 1 and its seed.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests import hostile, images, overlays, ugly, yamldocs

ROOT = Path(__file__).resolve().parent.parent
TIME, NOW = "2026-01-01T00:00:00Z", "2026-11-20T00:00:00Z"
OFFERED = {
    "ghcr.io/acme/web": ("1.2.0", "1.2.7", "1.3.1", "1.4.0-rc.1", "2.0.0", "latest"),
    "ghcr.io/acme/api": ("1.2.0", "v1.2.1", "1.3.1", "2.0.0", "main-abc1234-1700000000"),
    "docker.io/library/nginx": ("1", "4", "9", "1.25", "1.27.1", "1.27.1-alpine"),
    "ghcr.io/a/b": ("4", "5", "5.1.0"),
}
RULES = (
    "semver: {range: '>=1.0.0'}", "semver: {range: 1.x}", "semver: {range: '>=1.4.0-0'}", "semver: {range: '>=9'}",
    "alphabetical: {order: asc}", "alphabetical: {order: desc}", "numerical: {order: asc}", "version: {within: patch}",
    "version: {within: major}", "version: {range: '<2'}", "digest: {}", "newest: {}", "follow: {lock: staging, policy: 'flux:web', soak: 1h}",
)  # fmt: skip
WRONG_RULES = ("semver: {range: '>= wrong'}", "numerical: {order: up}", "odd: {}")
TAGS = ("1.2.0", "1.2.7", "1.3.1", "1.9.9", "v1.0.0", "2.0.0", "latest", "8.4-alpine", "'1.10'", "1.2.0@sha256:" + "0" * 64, "${TAG}", "")
OWN = "apiVersion: krmfn.dev/v1alpha1\n"
TREE_CALLS = (
    ["check", ".", "-o", "json"], ["check", "."], ["lint", "."], ["get", "image", "all", "."], ["update", ".", "--diff", "--check"], ["explain", ".", "--policy", "web"],
    ["update", ".", "--within", "minor", "--diff", "--check"], ["update", "."], ["fetch", "."], ["update", "."],
)  # fmt: skip


def encoded(text: bytes) -> str:
    """Return bytes as a case holds them."""
    return base64.b64encode(text).decode()


class Lists:
    """Writes a ResourceList from a seed: policies of every kind, rules, records, and fields that are bound in every way."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        self.is_sound = self.chance.random() < 0.7
        self.rules = RULES if self.is_sound else RULES + WRONG_RULES

    def odd(self, share: float, text: str) -> str:
        """Return a text that is wrong, or nothing."""
        return "" if self.is_sound else self.some(2 * share, text)

    def some(self, share: float, text: str) -> str:
        """Return a text or nothing."""
        return text if self.chance.random() < share else ""

    def flux(self, name: str, image: str) -> Iterator[str]:
        """Yield an ImageRepository and its ImagePolicy."""
        pick = self.chance.choice
        yield (
            f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: {name}, namespace: flux}}\nspec:\n  image: {image}\n"
            + self.some(0.1, "  exclusionList: ['^1[.]3']\n") + self.odd(0.05, "  suspend: true\n") + self.odd(0.05, "  timeout: soon\n")
            + self.odd(0.05, "  secretRef: {name: login}\n") + self.some(0.1, "  accessFrom: {namespaceSelectors: [{matchLabels: {a: b}}]}\n")
        )  # fmt: skip
        reflection = pick(("Never", "Never", "IfNotPresent", "Always"))
        yield (
            f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: {name}, namespace: {pick(('flux', 'flux', 'flux', 'apps'))}}}\nspec:\n"
            f"  imageRepositoryRef: {{name: {pick((name,) * 7 + ('none',))}, namespace: flux}}\n  policy: {{{pick(self.rules)}}}\n  digestReflectionPolicy: {reflection}\n"
            + self.some(reflection == "Always", "  interval: 10m\n") + self.some(0.15, "  filterTags: {pattern: '^(?P<v>[0-9.]+)$', extract: $v}\n")
            + self.odd(0.05, "  filterTags: {pattern: '('}\n") + self.some(0.05, "status: {latestRef: {name: ghcr.io/acme/web, tag: 1.2.7}}\n")
        )  # fmt: skip

    def own(self) -> str:
        """Return an ImageAutomation."""
        pick = self.chance.choice
        policies = "".join(
            f"  - {{name: {name}, image: {image}, policy: {{{pick(self.rules)}}}{self.some(0.3, ', bind: [images, markers]')}{self.some(0.1, ', suspend: true')}}}\n"
            for name, image in (("own", "ghcr.io/acme/web"), ("more", "ghcr.io/acme/api"), ("nginx", "nginx"), ("n", "ghcr.io/a/b"))
            if self.chance.random() < 0.6
        )
        return (
            OWN + "kind: ImageAutomation\nmetadata: {name: images, namespace: flux}\nspec:\n" + self.some(0.5, "  bind: [markers, annotations, images]\n")
            + self.some(bool(policies), "  policies:\n" + policies) + self.some(0.2, "  onError: keep\n") + self.some(0.1, "  mode: check\n")
            + self.some(0.1, "  mode: frozen\n") + self.some(0.2, "  keepPins: false\n") + self.some(0.1, "  onDowngrade: allow\n") + self.some(0.1, "  lock: images\n")
            + self.some(0.2, "  require: [{minimumReleaseAge: 3 days}, {images: ['ghcr.io/acme/*'], platforms: [linux/amd64]}]\n") + self.some(0.1, "  maxChanges: 1\n")
            + self.some(0.15, "  groups: [{name: both, policies: [own, more]}]\n") + self.some(0.1, "  windows: [{kind: Allow, schedule: '0 9 * * 1-5', duration: 8h}]\n")
            + self.some(0.15, "  targets: [{policy: own, path: '$.spec.template.spec.containers[0].image', select: {kind: Deployment}}]\n")
            + self.some(0.1, "  targets: [{policy: more, containers: [main]}]\n") + self.some(0.1, "  update: {annotate: true}\n") + self.odd(0.05, "  modus: x\n")
        )  # fmt: skip

    def records(self) -> Iterator[str]:
        """Yield snapshots, locks and holds."""
        for image, tags in OFFERED.items():
            if self.chance.random() < 0.85:
                dated = self.some(0.3, f"  time: {NOW}\n")
                listed = "".join(
                    f"  - {{name: '{tag}', digest: 'sha256:{self.chance.randrange(9):064x}'{self.some(bool(dated), f', firstSeen: {TIME}')}}}\n"
                    if self.chance.random() < 0.5 else f"  - '{tag}'\n" for tag in tags
                )  # fmt: skip
                yield OWN + f"kind: TagSnapshot\nmetadata: {{name: s}}\nspec:\n  image: {image}\n{dated}  tags:\n{listed}"
        for name in ("images", "staging"):
            if self.chance.random() < 0.2:
                tag = self.chance.choice(("1.2.0", "1.2.7", "1.3.1", "odd tag")[: 3 + (not self.is_sound)])
                entry = f"{{policy: 'flux:web', image: ghcr.io/acme/web, tag: {tag}, policyHash: {self.chance.randrange(9):016x}, since: '{TIME}'}}"
                yield OWN + f"kind: ImageLock\nmetadata: {{name: {name}}}\nspec:\n  images:\n  - {entry}\n"
        for what in ("not: 1.3.1", "tag: 1.2.0", "releaseAge: 1.3.1", "not: 1.3.1, until: 2026-12-01", "not: 1.3.1, until: newer"):
            if self.chance.random() < 0.05:
                yield OWN + f"kind: ImageHold\nmetadata: {{name: h}}\nspec: {{policy: 'flux:web', because: tests, {what}}}\n"

    def workload(self) -> str:
        """Return a workload whose images are bound in some way, or in none."""
        pick = self.chance.choice
        image = pick(("ghcr.io/acme/web", "ghcr.io/acme/api", "nginx", "docker.io/library/nginx", "ghcr.io/acme/other", "Not/An:Image"))
        setter = pick(("flux:web", "flux:api", "flux:n", "flux:web:tag", "default:nginx", "apps:web", "flux:own", "flux:more", "flux:nginx", "flux:none", "odd"))
        if self.chance.random() < 0.7:
            setter = pick({"web": ("flux:web", "flux:web:tag", "flux:own"), "api": ("flux:api", "flux:more"), "nginx": ("flux:nginx",)}.get(image.rpartition("/")[2], ("flux:web",)))
        tag = pick(TAGS[:3]) if self.is_sound and self.chance.random() < 0.5 else pick(TAGS)
        mark = self.some(0.6, f' # {{"$imagepolicy": "{setter}"}}')
        whole = f"{image}:{tag}" if tag and not tag.startswith("'") else image
        return pick((
            (f"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\n  annotations: {{krmfn.dev/images: '{{\"main\": \"{setter}\"}}'}}\n"
            f"spec:\n  template:\n    spec:\n      containers:\n      - name: main\n        image: {whole}{mark}\n      - {{name: b, image: nginx:1.25}}\n"),
            f'apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  - name: main\n    image: "{whole}"{mark}\n  - image: ghcr.io/acme/web:1.2.0\n    name: b\n',
            (f"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: a}}\nspec:\n  values:\n    image:\n      repository: {image}\n"
            f"      tag: {tag or '~'}{mark}\n      digest: sha256:{'1' * 64}\n"),
            f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n- name: {image}\n  newTag: {tag or '1.0'}{mark}\n",
            f'{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "j"}}, "spec": {{"containers": [{{"name": "a", "image": "{image}:1.2.0"}}]}}}}\n',
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  run: |\n    docker run {whole}{mark}\n",
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  - &c\n    name: main\n    image: &i {whole}{mark}\n    args: [--image={image}:1.2.0]\n  - *c\n",
        ))  # fmt: skip

    def documents(self) -> list[str]:
        """Return the documents of a list or a tree."""
        found = [*self.flux("web", "ghcr.io/acme/web"), *self.flux("api", "ghcr.io/acme/api")] if self.chance.random() < 0.8 else []
        found += [self.own()] if not found or self.chance.random() < 0.3 else []
        found += [*self.records(), *(self.workload() for _ in range(self.chance.randint(2, 8)))]
        if self.chance.random() < 0.3:
            self.chance.shuffle(found)
        return found

    def text(self) -> bytes:
        """Return a ResourceList, now and then one that is broken somewhere."""
        items = self.documents()
        config = ""
        if self.chance.random() < 0.2:
            config = "functionConfig:\n" + _indented(self.own())
        elif self.chance.random() < 0.1:
            config = "functionConfig: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {image: ghcr.io/acme/web, semver: 1.x, bind: images}}\n"
        text = yamldocs.HEAD + "items:\n" + "".join("-" + _indented(item)[1:] for item in items) + config
        for _ in range(0 if self.is_sound else self.chance.randint(0, 2)):
            at = self.chance.randrange(len(text) + 1)
            text = text[:at] + self.chance.choice(yamldocs.NOISE) + text[at + self.chance.randint(0, 2) :]
        return text.encode("utf-8", "surrogatepass")


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))


def environment(number: int) -> dict[str, str]:
    """Return the variables of a case; nobody is asked over the network."""
    chance = random.Random(number)
    more = {"KRMFN_MODE": "check"} if chance.random() < 0.05 else {}
    more |= {"KRMFN_LAYOUT": os.environ["SAME_LAYOUT"]} if chance.random() < 0.5 else {}
    return {"KRMFN_ALLOWED_REGISTRIES": "none.invalid", "KRMFN_NOW": NOW, **more}


def drawn(number: int) -> dict[str, str]:
    """Return the files of one tree of kustomizations."""
    trees: list[dict[str, str]] = []

    @seed(number)
    @settings(max_examples=3, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(overlays.trees(pins=bool(number % 2)))
    def keep(tree: dict[str, str]) -> None:
        trees.append(tree)

    keep()
    return trees[-1]


def generated(number: int) -> dict[str, Any]:
    """Return the case of a seed: of ten six lists, two lists that try hard to be misread, and two trees with three calls each."""
    kind, env, lists = number % 10, environment(number), Lists(number)
    if kind < 6:
        return {"list": encoded(lists.text()), "environment": env}
    if kind < 8:
        text = yamldocs.Writer(number).mutated()
        more = f"- apiVersion: v1\n  kind: X\n{''.join('-' + _indented(one)[1:] for one in (lists.own(), *lists.records()))}"
        at = text.find("items:\n")
        return {"list": encoded((text[: at + 7] + more + text[at + 7 :]).encode("utf-8", "surrogatepass")), "environment": env}
    calls = lists.chance.sample(TREE_CALLS, 3)
    form = number // 10 % 8 if kind == 8 else 7
    if form == 0:
        with tempfile.TemporaryDirectory() as folder:
            hostile.tree(Path(folder), number, is_configured=number % 160 == 8)
            files = {str(path.relative_to(folder)): encoded(path.read_bytes()) for path in sorted(Path(folder).rglob("*")) if path.is_file()}
        return {"files": files, "calls": calls, "environment": env}
    if form < 3:
        tree = drawn(number) | {"policies.yaml": "---\n".join([lists.own(), *lists.records()])}
    elif form < 5:
        one = ugly.ugly(number)
        return {"files": {one.name: encoded(one.before), "policies.yaml": encoded(lists.own().encode())}, "calls": calls, "environment": env}
    else:
        tree = {f"{lists.chance.choice(('', 'a/', 'b/c/'))}{at}.yaml": one for at, one in enumerate(lists.documents())}
    return {"files": {name: encoded(text.encode()) for name, text in tree.items()}, "calls": calls, "environment": env}


def fixed() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every golden case, and every file of the fixtures as a list and in a tree."""
    for path in sorted((ROOT / "fixtures").rglob("*.yaml")):
        data, name = path.read_bytes(), str(path.relative_to(ROOT))
        env = {"KRMFN_ALLOWED_REGISTRIES": "none.invalid", "KRMFN_NOW": NOW, "KRMFN_LAYOUT": os.environ["SAME_LAYOUT"]}
        variables = path.parent / "env"
        env |= dict(line.split("=", 1) for line in variables.read_text().splitlines()) if variables.exists() else {}
        offered = path.parent / "tags.yaml"
        if path.name == "input.yaml" and offered.exists():
            tags = yaml.load(offered.read_text(), yaml.BaseLoader) or {}
            snapshots = [
                OWN + f"kind: TagSnapshot\nmetadata: {{name: s}}\nspec: {{image: {image}, tags: {json.dumps(list(names))}}}\n"
                for image, names in tags.items() if "!" not in names
            ]  # fmt: skip
            more = "".join("-" + _indented(one)[1:] for one in snapshots).encode()
            data = data.replace(b"items:\n", b"items:\n" + more, 1)
        yield f"{name} as a list", {"list": encoded(data), "environment": env}
        yield f"{name} in a tree", {"files": {path.name: encoded(data)}, "calls": list(TREE_CALLS), "environment": env}


class Checkout:
    """A process that runs the krmfn of a checkout."""

    def __init__(self, root: Path, folder: Path) -> None:
        command = [sys.executable, "-P", str(ROOT / "tests" / "same_worker.py"), str(folder)]
        env = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def ask(self, case: dict[str, Any]) -> Any:
        """Return what this checkout makes of a case."""
        pipes = self.process
        assert pipes.stdin
        assert pipes.stdout
        pipes.stdin.write(json.dumps(case).encode() + b"\n")
        pipes.stdin.flush()
        return json.loads(pipes.stdout.readline())


def shown(answer: Any) -> str:
    """Return an answer as text, for people."""
    if isinstance(answer, dict):
        return "".join(f"--- {name}\n{shown(one)}" for name, one in answer.items())
    if isinstance(answer, list):
        return "\n".join(map(shown, answer))
    if not isinstance(answer, str):
        return str(answer)
    try:
        return base64.b64decode(answer, validate=True).decode("utf-8", "replace")
    except ValueError:
        return answer


def main(other: str, count: int = 500, first: int = 1) -> int:
    """Run all cases; return how many differ."""
    from difflib import unified_diff

    different = done = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as processes:
        images.write(Path(folder, "layout"), {name: dict.fromkeys(tags, TIME) for name, tags in OFFERED.items()})
        os.environ["SAME_LAYOUT"] = str(Path(folder, "layout"))
        here, there = (processes.enter_context(Checkout(root, Path(folder, "work"))) for root in (ROOT, Path(other).resolve()))
        cases = [] if count == 1 else list(fixed())
        for name, case in (*cases, *((f"seed {number}", generated(number)) for number in range(first, first + count))):
            before, after = there.ask(case), here.ask(case)
            done += 1
            if before != after:
                different += 1
                diff = list(unified_diff(shown(before).split("\n"), shown(after).split("\n"), "before", "after", lineterm="", n=1))
                print(f"{name}: different", *diff[:30], sep="\n", flush=True)
            if done % 500 == 0:
                print(f"{done} cases, {different} different", file=sys.stderr, flush=True)
    print(f"{done} cases, {different} different (seeds {first} to {first + count - 1}, {len(cases)} fixtures)")
    return different


if __name__ == "__main__":
    sys.exit(int(main(sys.argv[1], *map(int, sys.argv[2:4])) > 0))

"""Measure check and update on a tree of manifests, most of it definitions, without a registry.

    python -m benchmarks.tree [rounds] [folder...]

The tree is laid out as kube-prometheus and its like are: 1,100 files, 25 MB, of which 56 CustomResourceDefinitions hold 22 MB;
named folders are measured instead. Whole processes one after the other; the least time counts, on a busy machine that of the
processor.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lists import measure

DEFINITIONS, FILES, DEFINITION_BYTES = 56, 1_100, 400_000
IMAGES = ("web", "api", "worker", "cache", "proxy", "queue", "mail")

_POLICY = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: apps}
spec:
  policies:
"""
_SNAPSHOT = """\
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {{name: {image}}}
spec: {{image: ghcr.io/acme/{image}, tags: ["1.2.0", "1.3.1", "2.0.0"]}}
"""
_DEFINITION = """\
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    controller-gen.kubebuilder.io/version: v0.16.5
  name: kind{number}s.monitoring.acme.example
spec:
  group: monitoring.acme.example
  names:
    kind: Kind{number}
    plural: kind{number}s
  scope: Namespaced
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: |-
          The Kind{number} custom resource defines a workload that the operator runs.
        properties:
          spec:
            description: Specification of the desired behavior.
            properties:
"""
_PROPERTY = """\
              containers{number}:
                description: |-
                  Containers allows injecting additional containers, for example as `image: quay.io/acme/web:v1`, or
                  modifying operator generated ones by the same name.
                items:
                  description: A single application container that you want to run within a pod.
                  properties:
                    image:
                      description: |-
                        Container image name.
                        More info: https://kubernetes.io/docs/concepts/containers/images
                      type: string
                    imagePullPolicy:
                      description: "One of Always, Never, IfNotPresent."
                      type: string
                    ports:
                      items:
                        properties:
                          containerPort:
                            format: int32
                            type: integer
                        required:
                        - containerPort
                        type: object
                      type: array
                      x-kubernetes-list-map-keys:
                      - containerPort
                      x-kubernetes-list-type: map
                  required:
                  - name
                  type: object
                type: array
"""
_WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  labels: {{app.kubernetes.io/name: app-{number}, app.kubernetes.io/version: 1.2.0}}
  name: app-{number}
  namespace: monitoring
spec:
  replicas: 1
  template:
    spec:
      automountServiceAccountToken: true
      containers:
      - args:
        - --web.listen-address=:8080
        image: ghcr.io/acme/{image}:1.2.0
        name: main
        resources: {{limits: {{cpu: 20m, memory: 40Mi}}}}
      nodeSelector:
        kubernetes.io/os: linux
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: app-{number}
  namespace: monitoring
spec:
  clusterIP: None
  ports:
  - name: https
    port: 8443
"""
_DASHBOARD = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: dashboard-{number}
data:
  board.json: |-
"""


def write(root: Path) -> int:
    """Write the tree; return its bytes."""
    files = {"krmfn.yaml": _POLICY + "".join(f"  - {{name: {image}, image: ghcr.io/acme/{image}, policy: {{semver: {{range: 1.x}}}}}}\n" for image in IMAGES)
             + "".join(_SNAPSHOT.format(image=image) for image in IMAGES)}  # fmt: skip
    for number in range(DEFINITIONS):
        properties = (_PROPERTY.format(number=index) for index in range(DEFINITION_BYTES // len(_PROPERTY)))
        files[f"crds/kind{number}.yaml"] = _DEFINITION.format(number=number) + "".join(properties)
    for number in range(FILES - len(files)):
        kind = number % 20
        if kind < 4:
            text = _WORKLOAD.format(number=number, image=IMAGES[number % len(IMAGES)])
        elif kind == 4:
            text = _DASHBOARD.format(number=number) + '    {"panels": [{"type": "graph", "image": "none"}]}\n' * 800
        else:
            text = _SERVICE.format(number=number)
        files[f"manifests/{number // 50}/app-{number}.yaml"] = text
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return sum(map(len, files.values()))


def row(root: Path, name: str, rounds: int, scratch: Path) -> Iterator[str]:
    """Measure both verbs on a tree; yield the lines of the table."""
    files = [path for path in root.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file()]
    sizes = [path.stat().st_size for path in files]
    most = 4 * max(sizes, default=0) / 1e6 + 60
    about = f"{name} {len(files):,} files, {sum(sizes) / 1e6:.1f} MB".strip()
    for verb in (
        ["check", "--source", f"layout:{scratch}/images"],
        ["update", "--within", "minor", "--check", "--source", f"layout:{scratch}/images"],
    ):
        command: list[str | Path] = [sys.executable, "-m", "krmfn", verb[0], root, *verb[1:]]
        runs = [measure(command, scratch / "none", scratch / "made", exits=(0, 1, 10)) for _ in range(rounds)]
        memory, processor = max(run.megabytes for run in runs), min(run.processor for run in runs)
        wall = min(runs).seconds * 1e3
        yield f"| {about} | krmfn {verb[0]} | {wall:,.0f} | {memory:,.0f} | {most:,.0f} | {processor * 1e3:,.0f} |"


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "none").write_bytes(b"")
        (scratch / "images").mkdir()
        named = [Path(one).resolve() for one in sys.argv[2:]]
        if not named:
            write(scratch / "tree")
        print("| tree | program | ms | MB at most | MB allowed | ms of the processor |")
        print("|---|---|--:|--:|--:|--:|")
        for root in named or [scratch / "tree"]:
            for line in row(root, root.name if named else "", rounds, scratch):
                print(line, flush=True)


if __name__ == "__main__":
    main()

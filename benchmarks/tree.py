"""Measure check and update on a tree of manifests, most of it definitions, without a registry.

    python -m benchmarks.tree [rounds] [folder]

The tree is laid out as kube-prometheus and its like are: 1,100 files, 25 MB, of which 56 CustomResourceDefinitions hold 22 MB;
a named folder is measured instead. Whole processes one after the other; the least time on the wall counts.
"""

from __future__ import annotations

import sys
import tempfile
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


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        root = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(folder, "tree")
        size = sum(path.stat().st_size for path in root.rglob("*.yaml")) if len(sys.argv) > 2 else write(root)
        largest = max(path.stat().st_size for path in root.rglob("*.yaml"))
        most = 4 * largest / 1e6 + 60
        print("| tree | program | ms | MB at most | MB allowed |")
        print("|---|---|--:|--:|--:|")
        none = Path(folder, "none")
        none.write_bytes(b"")
        (Path(folder) / "images").mkdir()
        for verb in (["check", "--source", f"layout:{folder}/images"], ["update", "--check"]):
            command: list[str | Path] = [sys.executable, "-m", "krmfn", verb[0], root, *verb[1:]]
            runs = [measure(command, none, Path(folder, "made"), exits=(0, 1)) for _ in range(rounds)]
            best = min(runs)
            memory = max(run.megabytes for run in runs)
            print(
                f"| {size / 1e6:.1f} MB | krmfn {verb[0]} | {best.seconds * 1e3:,.0f} | {memory:,.0f} | {most:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""A marked package through real kustomize: nothing is bound, the advice says what to do, `krmfn annotate` does it."""

import pytest
import yaml

from krmfn.cli import main
from tests import tools
from tests.running import run

KUSTOMIZATION = """\
namespace: shop
resources: [web.yaml, release.yaml, policies.yaml]
labels: [{pairs: {patched: "yes"}}]
transformers: [images.yaml]
"""
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      initContainers:
      - name: migrate
        image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "flux-system:web"}
      containers:
      - name: web
        image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "flux-system:web"}
      - name: log
        image: ghcr.io/acme/log:1.0.0
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: web
spec:
  values:
    image:
      repository: ghcr.io/acme/web # {"$imagepolicy": "flux-system:web:name"}
      tag: 1.0.0 # {"$imagepolicy": "flux-system:web:tag"}
"""
POLICIES = """\
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web, annotations: {config.kubernetes.io/local-config: "true"}}
spec: {image: ghcr.io/acme/web, tags: [1.0.0, 1.2.3]}
"""
FUNCTION = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata:
  name: images
  namespace: flux-system
  annotations:
    config.kubernetes.io/function: "exec: {path: krmfn}"
spec:
  bind: [markers, annotations]
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}
"""


@pytest.fixture
def package(tmp_path):
    texts = {"kustomization": KUSTOMIZATION, "web": WEB, "release": RELEASE, "policies": POLICIES, "images": FUNCTION}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def build(package):
    done = run([tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", package])
    assert done.returncode == 0, done.stderr
    return {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}, done.stderr


def images(objects):
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    values = objects["HelmRelease"]["spec"]["values"]["image"]
    return [one["image"] for part in ("initContainers", "containers") for one in pod[part]] + [
        values["repository"],
        values["tag"],
    ]


def test_without_annotations_the_advice_is_exact(package):
    objects, said = build(package)
    assert images(objects) == ["ghcr.io/acme/web:1.0.0"] * 2 + ["ghcr.io/acme/log:1.0.0", "ghcr.io/acme/web", "1.0.0"]
    assert "kustomize strips comments, so markers never arrive" in said
    assert "containers web, migrate of Deployment shop/web hold ghcr.io/acme/web" in said
    assert 'krmfn.dev/images: \'{"web": "flux-system:web", "migrate": "flux-system:web"}\'' in said


def test_annotated_markers_survive_kustomize(package, capsys):
    assert main(["annotate", str(package)]) == 0
    objects, said = build(package)
    assert images(objects) == ["ghcr.io/acme/web:1.2.3"] * 2 + ["ghcr.io/acme/log:1.0.0", "ghcr.io/acme/web", "1.2.3"]
    assert objects["Deployment"]["metadata"]["labels"] == {"patched": "yes"}
    assert said == ""
    capsys.readouterr()
    assert main(["annotate", str(package), "--check"]) == 0

"""A thousand files as people write them, through `krmfn update`: the versions change, and not one byte more."""

import pytest
import yaml

from krmfn.cli import main
from krmfn.inventory import files
from tests.ugly import IMAGE, NEW, OLD, ugly

SEEDS = range(1200)
POLICIES = f"""\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: web, namespace: flux-system}}
spec: {{image: {IMAGE}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: web, namespace: flux-system}}
spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {{name: web}}
spec: {{image: {IMAGE}, tags: [{OLD}, {NEW}, 2.0.0]}}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Write the corpus once, update it once."""
    folder = tmp_path_factory.mktemp("corpus")
    made = [ugly(seed) for seed in SEEDS]
    for one in made:
        (folder / one.name).parent.mkdir()
        (folder / one.name).write_bytes(one.before)
    (folder / "policies.yaml").write_text(POLICIES)
    assert main(["update", str(folder)]) == 0
    return folder, made


def test_the_corpus_is_large_and_everything_in_it_is_yaml():
    made = [ugly(seed) for seed in SEEDS]
    assert len({one.before for one in made}) > 1000
    assert all(one.before != one.after for one in made)
    for one in made:
        assert list(yaml.compose_all(one.before, yaml.CSafeLoader))


def test_the_versions_change_and_not_one_byte_more(corpus):
    folder, made = corpus
    wrong = [one.name for one in made if (folder / one.name).read_bytes() != one.after]
    assert wrong == []


def test_nothing_is_left_out(corpus):
    folder, made = corpus
    tree = files.read([folder])
    assert tree.skipped == ()
    assert len(tree.texts) == len(made) + 1


def test_a_second_run_writes_nothing(corpus):
    folder, _ = corpus
    assert main(["update", str(folder), "--check"]) == 0

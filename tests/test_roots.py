"""What `check` names and `update` writes in kustomizations, held against what kustomize builds before and after."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks import roots
from tests import overlays, tools
from tests.running import Done, call

QUICK = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def krmfn(folder: Path, *arguments: str) -> Done:
    """Run krmfn in this process."""
    return call(*arguments, cwd=folder)


def judge(files: dict[str, str], top: Path) -> None:
    """Write a tree, and hold check and update against every build of it."""
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    seen = roots.score(tools.require("kustomize"), top, run=krmfn)
    assert not seen.failures, "\n".join([*seen.failures, *(f"--- {name}\n{text}" for name, text in files.items())])
    assert seen.counts["second run empty"] == 1
    assert seen.counts["files changed"] == seen.counts["files proven"]


@pytest.mark.slow
@settings(QUICK, max_examples=25, derandomize=True)
@given(files=overlays.trees(pins=True))
def test_a_build_emits_what_check_calls_current_and_what_update_wrote(
    files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
):
    judge(files, tmp_path_factory.mktemp("tree"))


@pytest.mark.soak
@settings(QUICK, max_examples=1000)
@given(files=overlays.trees(pins=True))
def test_a_thousand_builds_emit_what_check_calls_current_and_what_update_wrote(
    files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
):
    judge(files, tmp_path_factory.mktemp("tree"))

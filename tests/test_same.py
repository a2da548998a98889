"""The comparison of two checkouts sees what it is for."""

import shutil
from pathlib import Path

import pytest

from tests import same

LIST, TREE = 1, 9
"""Seeds: of a list and of a tree whose policies are named in what is printed."""


@pytest.mark.parametrize("seed", [LIST, TREE])
def test_a_checkout_is_the_same_as_itself_and_not_as_one_with_another_word(seed: int, tmp_path: Path, capsys):
    shutil.copytree(same.ROOT / "krmfn", tmp_path / "krmfn", ignore=shutil.ignore_patterns("__pycache__"))
    assert same.main(str(tmp_path), 1, seed) == 0
    changed = tmp_path / "krmfn" / "model.py"
    changed.write_text(changed.read_text().replace('return f"{self.namespace}:{self.name}"', 'return f"{self.namespace}!{self.name}"'))
    assert same.main(str(tmp_path), 1, seed) == 1
    assert f"seed {seed}: different" in capsys.readouterr().out

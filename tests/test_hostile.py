"""Every verb on hostile names and values: nothing acts upon a terminal, a CI system or a parser, and nothing is a traceback."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest
import yaml

from krmfn import cli
from tests import hostile
from tests.hostile import call, check, every_file

SEEDS = (1, 2, 3, 4)
"""Even ones keep the policies such that krmfn takes them."""


def walk(home: Path, seed: int) -> None:
    """Make every call of every verb in a tree that is full of hostile names; nothing outside of it may change."""
    top, layout = home / "tree", home / "layout"
    layout.mkdir(parents=True)
    hostile.tree(top, seed, is_configured=seed % 2 == 0)
    inside, outside = every_file(top), every_file(home, top)
    for one in hostile.calls(random.Random(seed)):
        said = call(one.arguments, top, KRMFN_LAYOUT=str(layout), HOME=str(home), KRMFN_NOW="2026-11-26T00:00:00Z", KRMFN_ALLOWED_REGISTRIES="none.invalid")
        shown = f"seed {seed}: krmfn {one.arguments!r}"
        try:
            check(said, one.form)
        except (AssertionError, ValueError) as error:
            raise AssertionError(shown) from error
        assert every_file(home, top) == outside, f"{shown} wrote outside of its path"
        if every_file(top) != inside:
            shutil.rmtree(top)
            hostile.tree(top, seed, is_configured=seed % 2 == 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_verb_prints_hostile_names_and_values_safely(seed: int, tmp_path: Path):
    walk(tmp_path, seed)


def test_no_message_of_a_result_is_a_command_of_a_ci(tmp_path: Path):
    """kpt prints the messages of results as they are."""
    odd = {"##[error]x": 1, "policies": [{"name": "##vso[x]", "image": "::error::x"}]}
    config = {"apiVersion": "krmfn.dev/v1alpha1", "kind": "ImageAutomation", "metadata": {"name": "##[error]a"}, "spec": odd}
    given = {"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": [], "functionConfig": config}
    said = hostile.function(json.dumps(given).encode(), tmp_path)
    messages = [one["message"] for one in yaml.safe_load(said.out)["results"]]
    assert len(messages) >= 2
    for message in messages:
        assert not re.search(r"##\[|##vso\[|\A\s*::", message), message
    check(said._replace(out=b""), codes=(1,))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_verb_prints_fresh_hostile_names_and_values_safely(tmp_path: Path):
    for number in range(100):
        walk(tmp_path / str(number), random.SystemRandom().getrandbits(32))


def test_every_verb_is_walked():
    walked = {one.verb for one in hostile.calls(random.Random(1))}
    assert walked == set(cli.COMMANDS)

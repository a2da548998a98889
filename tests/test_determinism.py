"""Same inputs, same bytes: hash seeds, locales, time zones, the order of items and of answers."""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path

import pytest

from tests import images
from tests.lists import Tags, digest, items, lock, pod, policy, resource_list, run
from tests.running import environment, succeed
from tests.waiting import pause

NAMES = ("web", "api", "worker", "cache", "mail", "search")
TAGS = {f"ghcr.io/acme/{name}": [f"1.{minor}.0" for minor in range(12)] for name in NAMES}
POLICIES = [
    policy("semver: {range: 1.x}", reflection, name=name, image=f"ghcr.io/acme/{name}")
    for name, reflection in zip(NAMES, ("Never", "Always", "IfNotPresent", "Never", "Always", "Never"), strict=True)
]
PODS = [
    pod(f"ghcr.io/acme/{name}:1.{index}.0", name=f"{name}-{index}", setter=f"flux:{name}")
    for name in NAMES
    for index in (0, 13)
]
DOCUMENTS = [*POLICIES, *PODS, lock()]


def expected() -> bytes:
    return run(resource_list(*DOCUMENTS), Tags(TAGS)).text


def test_the_run_under_test_does_everything():
    text = expected().decode()
    assert text.count("-> 1.11.0") >= len(NAMES)
    assert "kept 1.13.0" in text
    assert digest("ghcr.io/acme/api:1.11.0") in text
    assert "is new" in text


class Shuffled(Tags):
    """Answers late, each time in another order."""

    def __init__(self, seed: int) -> None:
        super().__init__(TAGS)
        self.chance, self.guard = random.Random(seed), threading.Lock()

    def _late(self) -> None:
        with self.guard:
            seconds = self.chance.random() / 100
        pause(seconds)

    def tags(self, repository):
        self._late()
        return super().tags(repository)

    def digest(self, repository, tag):
        self._late()
        return super().digest(repository, tag)


@pytest.mark.parametrize("seed", range(8))
def test_the_order_in_which_answers_come_makes_no_difference(seed: int):
    assert run(resource_list(*DOCUMENTS), Shuffled(seed)).text == expected()


def test_the_answers_did_come_in_another_order():
    orders = set()
    for seed in range(4):
        source = Shuffled(seed)
        done: list[str] = []
        tags = source.tags

        def noted(repository, tags=tags, done=done):
            found = tags(repository)
            done.append(repository.image.path)
            return found

        source.tags = noted  # type: ignore[method-assign]
        run(resource_list(*DOCUMENTS), source)
        orders.add(tuple(done))
    assert len(orders) > 1


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_items_changes_no_item_and_no_word_of_the_results(seed: int):
    shuffled = list(DOCUMENTS)
    random.Random(seed).shuffle(shuffled)
    one, two = run(resource_list(*DOCUMENTS), Tags(TAGS)), run(resource_list(*shuffled), Tags(TAGS))
    assert one.results == two.results

    def by_name(outcome):
        return sorted(items(outcome), key=lambda item: (item["kind"], item["metadata"]["name"]))

    assert by_name(one) == by_name(two)


def test_a_second_run_on_its_own_output_changes_nothing():
    once = expected()
    assert run(once, Tags(TAGS)).text == once


WORLDS = {
    "hash seed 0": {"PYTHONHASHSEED": "0"},
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed random": {"PYTHONHASHSEED": "random"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX locale, no home, another user name": {
        "LC_ALL": "POSIX",
        "HOME": "/nonexistent",
        "USER": "x",
        "LANG": "tr_TR",
    },
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "a terminal": {"COLUMNS": "20", "TERM": "xterm", "FORCE_COLOR": "1"},
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    root = tmp_path_factory.mktemp("layouts")
    images.write(root, {name: dict.fromkeys(tags, "2026-01-01T00:00:00Z") for name, tags in TAGS.items()})
    return resource_list(*DOCUMENTS), root


def answered(program: tuple[bytes, Path], **world: str) -> str:
    data, root = program
    env = environment(KRMFN_LAYOUT=str(root), **world)
    return succeed([Path(sys.executable).with_name("krmfn")], text=data.decode(), env=env)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_the_world_around_makes_no_difference(program: tuple[bytes, Path], world: dict[str, str]):
    assert answered(program, **world) == answered(program, PYTHONHASHSEED="42", TZ="UTC", LC_ALL="C.UTF-8")


def test_neither_folder_nor_host_is_in_what_comes_out(program: tuple[bytes, Path]):
    text = answered(program)
    assert str(program[1]) not in text
    assert os.uname().nodename not in text


NOW = "2026-11-26T09:00:00Z"


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_fetch_writes_the_same_bytes_anywhere(program: tuple[bytes, Path], seed: str, tmp_path: Path):
    (tmp_path / "all.yaml").write_text("---\n".join(DOCUMENTS[:-1]))
    krmfn = Path(sys.executable).with_name("krmfn")
    succeed(
        [krmfn, "fetch", tmp_path, "--source", f"layout:{program[1]}"],
        env=environment(PYTHONHASHSEED=seed, LC_ALL="C", TZ="Asia/Tokyo", KRMFN_NOW=NOW),
    )
    once = {name: (tmp_path / name).read_bytes() for name in ("krmfn-lock.yaml", "krmfn-tags.yaml")}
    for name in once:
        (tmp_path / name).unlink()
    succeed([krmfn, "fetch", tmp_path, "--source", f"layout:{program[1]}"], env=environment(PYTHONHASHSEED="7", KRMFN_NOW=NOW))
    assert once == {name: (tmp_path / name).read_bytes() for name in once}

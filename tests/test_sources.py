"""Where tags come from: snapshots first, then one source that all threads share."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from krmfn.access import Listing, Repository
from krmfn.config.records import Config
from krmfn.config.settings import Settings
from krmfn.config.snapshot import Snapshot
from krmfn.errors import RegistryError
from krmfn.image import ImageRef
from krmfn.sources.sources import Sources
from tests import images
from tests.lists import IMAGE, digest

WEB = Repository(ImageRef.parse(IMAGE))
API = Repository(ImageRef.parse("ghcr.io/acme/api"))


@pytest.fixture
def layouts(tmp_path: Path) -> Path:
    images.write(
        tmp_path, {IMAGE: {"9.9.9": "2026-01-01T00:00:00Z"}, "ghcr.io/acme/api": {"1.0.0": "2026-02-02T00:00:00Z"}}
    )
    return tmp_path


def sources(layouts: Path, **tags: str | None) -> Sources:
    snapshot = Snapshot(IMAGE, {"1.0.0": None, **tags}, {"1.0.0": "2020-01-01T00:00:00Z"}, 7)
    return Sources(Config(snapshots={IMAGE: snapshot} if tags else {}, settings=Settings(layout=str(layouts))), {})


def test_a_snapshot_comes_first_and_counts_what_it_left_out(layouts: Path):
    asked = sources(layouts, **{"1.1.0": digest("x")})
    assert asked.tags(WEB) == Listing(("1.0.0", "1.1.0"), left_out=5)
    assert asked.digest(WEB, "1.1.0") == digest("x")
    assert asked.created(WEB, "1.0.0") == "2020-01-01T00:00:00Z"
    assert asked.labels(WEB, "1.0.0") == {}


def test_what_a_snapshot_lacks_is_asked_of_what_stands_behind_it(layouts: Path):
    asked = sources(layouts, **{"9.9.9": None})
    assert asked.digest(WEB, "9.9.9") == sources(layouts).digest(WEB, "9.9.9")
    assert asked.created(WEB, "9.9.9") == "2026-01-01T00:00:00Z"
    assert asked.tags(API) == Listing(("1.0.0",))


@pytest.mark.parametrize(("what", "word"), [("digest", "digest"), ("created", "creation time")])
def test_what_nobody_knows_is_told_with_what_mends_it(what: str, word: str, layouts: Path):
    asked = sources(layouts, **{"1.1.0": None})
    with pytest.raises(
        RegistryError, match=f"the TagSnapshot holds no {word} of tag 1.1.0: run krmfn fetch on the package"
    ):
        getattr(asked, what)(WEB, "1.1.0")


def test_all_threads_ask_one_source(layouts: Path):
    """functools.cached_property lets two threads make two, from Python 3.12 on."""
    asked = sources(layouts)
    start, seen = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        seen.append(asked._behind)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(map(id, seen))) == 1

"""Which tag may follow another when no policy says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.image import ImageRef
from krmfn.policies.newer import Newer, Shape, compare, newer, state

CASES = {
    "patch, minor and major": ("1.2.3", "1.2.4 1.3.0 2.0.0", "1.3.0", "2.0.0"),
    "numbers are compared as numbers": ("1.9.0", "1.10.0 1.8.0", "1.10.0", "1.10.0"),
    "nothing newer": ("2.0.0", "1.0.0 2.0.0", None, None),
    "only another major": ("1.2.3", "2.0.0", None, "2.0.0"),
    "two numbers stay two": ("1.2", "1.3 1.3.1 2", "1.3", "1.3"),
    "one number stays one": ("1", "2 2.1 2.1.0", None, "2"),
    "four numbers stay four": ("1.2.3.4", "1.2.3.5 1.2.4", "1.2.3.5", "1.2.3.5"),
    "v stays": ("v1.2.3", "v1.2.4 1.9.0", "v1.2.4", "v1.2.4"),
    "no v stays": ("1.2.3", "v1.9.0 1.2.4", "1.2.4", "1.2.4"),
    "alpine stays": ("1.25.3-alpine", "1.25.4-alpine 1.26.0 1.26.0-slim", "1.25.4-alpine", "1.25.4-alpine"),
    "no variant stays": ("1.25.3", "1.25.4 1.26.0-alpine", "1.25.4", "1.25.4"),
    "alpine with version": (
        "3.12.1-alpine3.19", "3.12.1-alpine3.20 3.12.2-alpine3.19 3.12.2-alpine3.20 3.12.3-alpine", "3.12.2-alpine3.20",
        "3.12.2-alpine3.20",
    ),
    "the base moves alone": ("3.12.1-alpine3.19", "3.12.1-alpine3.20", "3.12.1-alpine3.20", "3.12.1-alpine3.20"),
    "alpine is no longer numbered": ("3.12.1-alpine3.19", "3.12.1-alpine 3.13.0-alpine", "3.13.0-alpine", "3.13.0-alpine"),
    "debian12": ("7.0-debian12", "7.2-debian12 7.2-debian13 7.4", "7.2-debian13", "7.2-debian13"),
    "named debian stays": ("1.2.3-bookworm", "1.2.4-trixie 1.2.4-bookworm", "1.2.4-bookworm", "1.2.4-bookworm"),
    "bitnami": ("1.2.3-debian-12-r5", "1.2.3-debian-12-r6 1.2.4-debian-12-r0", "1.2.4-debian-12-r0", "1.2.4-debian-12-r0"),
    "no prerelease for a release": ("1.2.3", "1.3.0-rc.1 2.0.0-beta 1.3.0rc2 1.4.0-SNAPSHOT", None, None),
    "a prerelease follows": ("1.3.0-rc.1", "1.3.0-rc.2 1.3.0-rc.10", "1.3.0-rc.10", "1.3.0-rc.10"),
    "a release ends prereleases": ("1.3.0-rc.9", "1.3.0-rc.10 1.3.0", "1.3.0", "1.3.0"),
    "alpha, beta, rc": ("1.0.0-alpha.3", "1.0.0-beta.1 1.0.0-alpha.4", "1.0.0-beta.1", "1.0.0-beta.1"),
    "prerelease with variant": ("1.0.0-rc1-alpine", "1.0.0-rc2 1.0.0-rc2-alpine", "1.0.0-rc2-alpine", "1.0.0-rc2-alpine"),
    "dates are no versions": ("1.25.3", "20240101.1.1 2024.01.01", None, None),
    "dates follow dates": ("2024.01.15", "2024.2.1 2025.01.01", "2024.2.1", "2025.01.01"),
    "minio": (
        "RELEASE.2024-01-05T22-17-24Z", "RELEASE.2024-01-11T07-46-16Z RELEASE.2023-12-31T00-00-00Z",
        "RELEASE.2024-01-11T07-46-16Z", "RELEASE.2024-01-11T07-46-16Z",
    ),
    "a distribution with a date": ("bookworm-20240101-slim", "bookworm-20240211-slim trixie-20250101-slim", None, "bookworm-20240211-slim"),
    "java": ("8u292-jre", "8u302-jre 8u302-jdk", "8u302-jre", "8u302-jre"),
    "latest has nothing newer": ("latest", "1.0.0 2.0.0", None, None),
    "a commit is no version": ("3f9c2d1", "4a9c2d1 999", None, None),
    "a build with a commit": ("main-3f9c2d1-1767225600", "main-a41b77e-1769904000", None, None),
    "signatures are no versions": ("1.2.3", f"sha256-{'a1' * 32}.sig", None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_newest_tag_of_the_same_shape_is_found(case: str):
    current, tags, same_major, newest = CASES[case]
    assert newer(current, tags.split()) == Newer(same_major, newest)


STATES = {
    "nginx": "mutable",
    "nginx:latest": "mutable",
    "nginx:1": "mutable",
    "nginx:1.25-alpine": "mutable",
    "nginx:stable": "mutable",
    "nginx:1.25.3": "fixed",
    "nginx:main-3f9c2d1-1767225600": "fixed",
    "nginx:v1.25.3-alpine3.19": "fixed",
    "debian:bookworm-20240101-slim": "fixed",
    f"nginx:1.25@sha256:{'0' * 64}": "pinned",
    f"nginx@sha256:{'0' * 64}": "pinned",
}


@pytest.mark.parametrize("image", STATES)
def test_a_reference_is_pinned_fixed_or_mutable(image: str):
    assert state(ImageRef.parse(image)) == STATES[image]


NUMBERS = st.lists(st.integers(0, 999), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
TAGS = st.builds(
    "{}{}{}".format, st.sampled_from(["", "v"]), NUMBERS, st.sampled_from(["", "-alpine", "-rc.1", "-alpine3.19"])
)


@given(TAGS, st.lists(TAGS))
def test_what_is_offered_is_listed_and_above_and_final(current: str, tags: list[str]):
    found = newer(current, tags)
    for tag in filter(None, found):
        assert tag in tags
        assert tag != current
    mine, best = Shape.parse(current), found.newest and Shape.parse(found.newest)
    if mine and best:
        assert best.numbers >= mine.numbers
        assert found.newest is not None
        again = newer(found.newest, tags)
        assert again.newest is None or Shape.parse(again.newest) != best


@given(st.text(max_size=40))
def test_any_text_can_be_asked_about(text: str):
    assert newer(text, [text]) == Newer()


def test_a_number_from_1000_on_is_a_date():
    assert (compare("999.1.1", "998.1.1"), compare("1000.1.1", "999.1.1"), compare("1001.1.1", "1000.1.1")) == (1, None, 1)

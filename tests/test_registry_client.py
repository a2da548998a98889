"""Listing, digests, images, mirrors and limits, against the registry in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.access import Listing, Mirror
from krmfn.plan.resolve import ask
from krmfn.sources.registry.limits import Settings
from krmfn.sources.registry.listing import listing, next_page
from tests.asking import Clock, asking, error_of, repository
from tests.image_store import INDEX, MANIFEST
from tests.registry_server import Registry, Request

TAGS = tuple(sorted(f"1.{minor}.{patch}" for minor in range(5) for patch in range(5)))


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        server.add("acme/web", TAGS, labels={"org.opencontainers.image.source": "https://git.example/web"})
        yield server


def test_tags_are_listed_in_one_request_of_a_thousand(registry):
    with asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web")) == Listing(TAGS)
    (seen,) = [seen for seen in registry.seen if seen.endpoint != "ping"]
    assert seen.query == {"n": "1000"}
    assert seen.headers["Accept-Encoding"] == "identity"
    assert seen.headers["User-Agent"].startswith("krmfn/")
    assert "Authorization" not in seen.headers
    assert "Cookie" not in seen.headers


@pytest.mark.parametrize("page", [1, 2, 7, 24, 25, 26])
def test_every_page_is_read_whatever_its_size(registry, page):
    registry.page = page
    with asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web")).tags == TAGS
    assert registry.count("tags") + registry.count("tags-next") == -(-len(TAGS) // page)


def link(where: str, tags: str = '"1.0.0"'):
    def act(request: Request) -> None:
        body = f'{{"name": "acme/web", "tags": [{tags}]}}'.encode()
        request.plain(200, body, {"Link": where.format(a=request.registry.address)})

    return act


@pytest.mark.parametrize(
    "where",
    [
        '</v2/acme/web/tags/list?last=1.2.0>; rel="next"',
        "<http://{a}/v2/acme/web/tags/list?last=1.2.0>; rel=next",
        "<https://{a}/v2/acme/web/tags/list?last=1.2.0>; rel=next",
        '</artifactory/api/docker/key/v2/acme/web/tags/list?last=1.2.0>; rel="next"',
        '<?last=1.2.0>; rel="next"',
        '<list?last=1.2.0>; rel="next"',
        "</v2/acme/web/tags/list?last=1.2.0>",
        '</x>; rel="prev", </v2/acme/web/tags/list?last=1.2.0>; rel="next"',
    ],
    ids=[
        "absolute path",
        "url",
        "https behind a proxy",
        "path of a proxy",
        "query alone",
        "relative",
        "no rel",
        "several",
    ],
)
def test_next_page_is_found_in_every_form_of_link(registry, where):
    registry.misbehave("tags", link(where), times=1)
    with asking() as source:
        found = source.tags(repository(f"{registry.address}/acme/web")).tags
    assert found == tuple(sorted({"1.0.0", *(tag for tag in TAGS if tag > "1.2.0")}))


def test_an_empty_page_does_not_end_the_listing(registry):
    registry.misbehave("tags", link('</v2/acme/web/tags/list?last=1.2.0>; rel="next"', ""), times=1)
    with asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web")).tags == tuple(t for t in TAGS if t > "1.2.0")


def test_a_registry_that_refuses_the_page_size_is_asked_again_without(registry):
    registry.misbehave("tags", lambda r: r.error(400, "PAGINATION_NUMBER_INVALID", "invalid number"), times=1)
    with asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web")).tags == TAGS
    assert [dict(seen.query) for seen in registry.seen if seen.endpoint == "tags"] == [{"n": "1000"}, {}]


def test_what_is_no_tag_is_dropped_and_counted():
    junk: list[object] = [
        "1.0\n",
        "",
        "-x",
        None,
        7,
        {},
        "ä",
        "１.０",
        "a" * 129,
        "sha256:" + "0" * 64,
        "1.0 # {}",
        "a/b",
    ]
    assert listing(["1.0", "a" * 128, *junk, "1.0"]) == Listing(("1.0", "a" * 128), len(junk))


@given(st.lists(st.one_of(st.text(max_size=20), st.none(), st.integers())))
def test_a_listing_holds_only_tags_sorted_once(tags):
    found, malformed = listing(tags)[:2]
    assert list(found) == sorted(set(found))
    assert all(tag.isascii() and tag.isprintable() and 0 < len(tag) <= 128 for tag in found)
    assert len([tag for tag in tags if tag in found]) + malformed == len(tags)


@given(st.text())
def test_a_link_never_leaves_its_resource(text):
    url = "https://ghcr.io/v2/acme/web/tags/list?n=1000"
    try:
        found = next_page(text, url)
    except ValueError:
        return
    assert found is None or found.split("?")[0] == "https://ghcr.io/v2/acme/web/tags/list"


def test_a_repository_without_tags_is_an_empty_listing(registry):
    registry.misbehave("tags", lambda r: r.plain(200, b'{"name": "acme/web", "tags": null}'))
    with asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web")) == Listing(())


def test_a_digest_costs_one_head(registry):
    with asking() as source:
        digest = source.digest(repository(f"{registry.address}/acme/web"), "1.2.0")
    assert digest == registry.tags["acme/web"]["1.2.0"]
    (seen,) = [seen for seen in registry.seen if seen.endpoint != "ping"]
    assert seen.method == "HEAD"
    assert {INDEX, MANIFEST} < set(seen.headers["Accept"].split(", "))


def test_the_digest_of_a_multi_platform_image_is_that_of_its_index(registry):
    registry.add("acme/multi", ["1.0"], platforms=["linux/amd64", "linux/arm/v7", "unknown/unknown"])
    with asking() as source:
        multi = repository(f"{registry.address}/acme/multi")
        assert registry.blobs[source.digest(multi, "1.0")][0] == INDEX
        assert source.image(multi, "1.0").platforms == ("linux/amd64", "linux/arm/v7")


@pytest.mark.parametrize(
    "act",
    [
        lambda r: r.plain(200, b"", {"Content-Type": MANIFEST}),
        lambda r: r.plain(200, b"", {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:ABC"}),
        lambda r: r.plain(405),
    ],
    ids=["no header", "malformed header", "no HEAD"],
)
def test_without_a_good_head_the_manifest_is_fetched_and_hashed(registry, act):
    registry.misbehave("head", act)
    with asking() as source:
        digest = source.digest(repository(f"{registry.address}/acme/web"), "1.2.0")
    assert digest == registry.tags["acme/web"]["1.2.0"]
    assert (registry.count("head"), registry.count("manifest")) == (1, 1)


def test_verified_digests_come_from_the_content(registry):
    with asking(verify_digest=True) as source:
        source.digest(repository(f"{registry.address}/acme/web"), "1.2.0")
        assert (registry.count("head"), registry.count("manifest")) == (0, 1)
        data = registry.blobs[registry.tags["acme/web"]["1.2.0"]][1]
        lie = {"Content-Type": MANIFEST, "Docker-Content-Digest": "sha256:" + "0" * 64}
        registry.misbehave("manifest", lambda r: r.plain(200, data, lie))
        error = error_of(lambda: source.digest(repository(f"{registry.address}/acme/web"), "1.2.0"))
    assert error.failure == "integrity"
    assert "came with digest sha256:000" in error.message


def test_an_image_is_read_once_for_all_that_is_asked_of_it(registry):
    with asking() as source:
        web = repository(f"{registry.address}/acme/web")
        assert source.created(web, "1.2.0") == "2026-01-02T03:04:05Z"
        assert source.image(web, "1.2.0").platforms == ("linux/amd64",)
        assert source.image(web, "1.2.0").labels == {"org.opencontainers.image.source": "https://git.example/web"}
    assert (registry.count("manifest"), registry.count("blob")) == (1, 1)


def test_an_image_of_an_index_is_read_through_the_index(registry):
    registry.add("acme/multi", ["1.0"], platforms=["linux/arm64", "linux/amd64"], created="2026-05-06T07:08:09.5+02:00")
    with asking() as source:
        assert source.created(repository(f"{registry.address}/acme/multi"), "1.0") == "2026-05-06T05:08:09Z"
    assert [registry.count(endpoint) for endpoint in ("manifest", "child", "blob")] == [1, 1, 1]


def test_content_that_is_not_what_its_digest_says_is_refused(registry):
    registry.misbehave("blob", lambda r: r.plain(200, b'{"created": "2030-01-01T00:00:00Z"}'))
    with asking() as source:
        error = error_of(lambda: source.created(repository(f"{registry.address}/acme/web"), "1.2.0"))
    assert error.failure == "integrity"


@pytest.mark.parametrize(
    ("mirrors", "asked"),
    [
        ((("ghcr.io", "http://{a}"),), "acme/web"),
        ((("ghcr.io/acme", "http://{a}/cache/acme"),), "cache/acme/web"),
        ((("ghcr.io", "http://other.example"), ("ghcr.io/acme/web", "http://{a}/w")), "w"),
        ((("ghcr.io/acm", "http://other.example"), ("ghcr.io/", "http://{a}/x/")), "x/acme/web"),
    ],
    ids=["host", "prefix", "longest wins", "whole segments"],
)
def test_a_mirror_is_asked_instead(registry, mirrors, asked):
    registry.add(asked, ["9.9.9"])
    mirrors = tuple(Mirror(start, to.format(a=registry.address)) for start, to in mirrors)
    with asking(mirrors=mirrors) as source:
        assert "9.9.9" in source.tags(repository("ghcr.io/acme/web", insecure=False)).tags
        registry.tags.pop(asked)
        error = error_of(lambda: source.tags(repository("ghcr.io/acme/web", insecure=False)))
    assert error.repository == "ghcr.io/acme/web"
    assert f"asked at mirror {registry.address}/{asked}" in error.message


@pytest.mark.parametrize(
    ("allowed", "is_asked"),
    [
        ("{a}", True),
        ("{a}/acme", True),
        ("{a}/acm", False),
        ("ghcr.io, {a}/acme/web", True),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_only_allowed_registries_are_asked(registry, allowed, is_asked):
    with asking(env={"KRMFN_ALLOWED_REGISTRIES": allowed.format(a=registry.address)}) as source:
        if is_asked:
            assert source.tags(repository(f"{registry.address}/acme/web")).tags == TAGS
        else:
            error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web")))
            assert error.failure == "denied"
            assert "KRMFN_ALLOWED_REGISTRIES" in error.message
            assert registry.connections == 0


def test_a_mirror_must_be_allowed_too(registry):
    settings = Settings.of(
        {"KRMFN_ALLOWED_REGISTRIES": "ghcr.io"}, mirrors=(Mirror("ghcr.io", f"http://{registry.address}"),)
    )
    with asking(allowed_registries=settings.allowed_registries, mirrors=settings.mirrors) as source:
        assert error_of(lambda: source.tags(repository("ghcr.io/acme/web"))).failure == "denied"
    assert registry.connections == 0


def test_many_repositories_share_few_connections(registry):
    names = [f"acme/app{number}" for number in range(60)]
    for name in names:
        registry.add(name, ["1.0.0"])
    registry.latency = 0.002
    with asking(per_host=4) as source:
        repositories = [repository(f"{registry.address}/{name}") for name in names]
        answers = ask(repositories, source.tags, 16)
        digests = ask(repositories, lambda one: source.digest(one, "1.0.0"), 16)
    assert set(answers.values()) == {Listing(("1.0.0",))}
    assert len(set(digests.values())) == 1
    assert registry.busiest <= 4
    assert registry.connections <= 6
    assert source.requests <= 2 * len(names) + 1


def test_a_rate_limited_host_is_left_alone_by_everybody(registry):
    clock = Clock()
    registry.misbehave("tags", lambda r: r.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "7"}), times=1)
    with asking(clock) as source:
        answers = ask(
            [repository(f"{registry.address}/acme/web"), repository(f"{registry.address}/acme/no")], source.tags, 2
        )
    assert Listing(TAGS) in answers.values()
    assert sum(clock.slept) > 6.9


def test_progress_is_reported(registry):
    registry.page = 10
    reports: list[tuple[str, str, int]] = []
    with asking(progress=lambda *report: reports.append(report)) as source:
        source.tags(repository(f"{registry.address}/acme/web"))
        error_of(lambda: source.tags(repository(f"{registry.address}/acme/none")))
    web = f"{registry.address}/acme/web"
    assert reports[:5] == [(web, "listing", count) for count in (0, 10, 20, 25)] + [(web, "listed", 25)]
    assert reports[-1] == (f"{registry.address}/acme/none", "failed", 0)


def test_closing_ends_what_is_under_way(registry):
    registry.misbehave("tags", Request.hang)
    ended = threading.Event()
    with asking() as source:
        started = threading.Event()
        registry.misbehave("ping", lambda r: r.answer())

        def run() -> None:
            started.set()
            error_of(lambda: source.tags(repository(f"{registry.address}/acme/web")))
            ended.set()

        thread = threading.Thread(target=run)
        thread.start()
        started.wait(5)
        while not registry.count("tags"):
            started.wait(0.01)
        source.close()
        thread.join(3)
    assert ended.is_set()


def test_a_head_that_is_of_something_else_is_no_digest(registry):
    headers = {"Content-Type": "text/html; charset=utf-8", "Docker-Content-Digest": f"sha256:{'0' * 64}"}
    registry.misbehave("head", lambda request: request.plain(200, b"", headers))
    with asking() as source:
        error = error_of(lambda: source.digest(repository(f"{registry.address}/acme/web"), "1.2.0"))
    assert (error.failure, registry.count("manifest")) == ("integrity", 0)
    assert error.message == "tag 1.2.0 is of type text/html, which is no image manifest of OCI or docker schema 2"

"""Lists in pages: every legal spelling of `Link` gives the whole list, whatever else comes is an error, never a part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.asking import asking, error_of, repository
from tests.registry_server import Registry, Request

if TYPE_CHECKING:
    from krmfn.sources.registry.source import RegistrySource

PATH = "acme/web"
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Pages:
    """A registry whose pages have the size, the links and the headers that a test wants."""

    def __init__(self, registry: Registry, source: RegistrySource) -> None:
        self.registry, self.source = registry, source
        self.size, self.tags, self.headers, self.page = 1, list[str](), "", "{}"
        for endpoint in ("tags", "tags-next"):
            registry.misbehave(endpoint, self.answer)

    def answer(self, request: Request) -> None:
        """Send a page; in the headers `?NEXT` is the query of the next one."""
        start = int(request.query.get("last", "0").partition(";")[0])
        tags = self.tags[start : start + self.size]
        body = self.page.replace("{}", json.dumps({"name": PATH, "tags": tags})).encode()
        end = start + self.size
        headers = self.headers.replace("?NEXT", f"?last={end};x,y&n={self.size}") if end < len(self.tags) else ""
        head = f"HTTP/1.1 200 OK\r\n{headers}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        request.raw(head.replace("HOST", self.registry.address).encode("latin-1") + body)

    def listed(self) -> list[str]:
        """Ask for the list."""
        return list(self.source.tags(repository(f"{self.registry.address}/{PATH}")).tags)


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with Registry() as registry, asking() as source:
        yield Pages(registry, source)


blank = st.text(" \t", max_size=2)
target = st.sampled_from(
    [f"</v2/{PATH}/tags/list?NEXT>", f"<http://HOST/v2/{PATH}/tags/list?NEXT>", "<?NEXT>", "<list?NEXT>"]
)
other = st.sampled_from(
    [
        '</x>; rel="prev"', "<https://a.example/?a,b;rel=next>; rel=canonical", '<>;rel="first"; title="x, <y>; rel=\\"next\\""',
        "</s.css>; rel=preload; as=style; crossorigin", '</v2/other/tags/list?last=1>; rel="next-archive"; anchor="#x"',
    ]
)  # fmt: skip
relation = st.sampled_from(["next", '"next"', "NEXT", '"Next"', '"prev next"', '"next  last"', '"n\\ext"'])
more = st.sampled_from(
    ['title="a, b; rel=prev"', "title*=UTF-8''n%C3%A4", "crossorigin", 'x = "<>"', 'hreflang="\u00e9"']
)


@st.composite
def legal(draw: st.DrawFn) -> str:
    """Write the headers of a page that has a next one."""
    parameters = draw(st.lists(more, max_size=2))
    rel = draw(st.sampled_from(["rel", "REL", "Rel"])) + draw(blank) + "=" + draw(blank) + draw(relation)
    parameters.insert(draw(st.integers(0, len(parameters))), rel)
    link = draw(target) + "".join(f"{draw(blank)};{draw(blank)}{one}" for one in parameters)
    links = draw(st.lists(st.one_of(other, st.just("")), max_size=3))
    links.insert(draw(st.integers(0, len(links))), link)
    text = draw(blank) + links[0]
    for one in links[1:]:
        joint = draw(st.sampled_from([",", ", ,", "\r\nLink:", "\r\nX: y\r\nlink:", ",\r\n "]))
        text += draw(blank) + joint + draw(blank) + one
    return f"{draw(st.sampled_from(['Link', 'link', 'LINK']))}:{text}{draw(st.sampled_from(['', ',', ' ', chr(9), ', ,']))}\r\n"


names = st.lists(st.from_regex(r"\A[a-z0-9_][a-z0-9_.-]{0,20}\Z"), min_size=0, max_size=12, unique=True)


@given(headers=legal(), size=st.integers(1, 13), tags=names)
@QUICK
def test_every_legal_link_gives_the_whole_list(pages: Pages, headers: str, size: int, tags: list[str]):
    pages.size, pages.tags, pages.headers, pages.page = size, tags, headers, "{}"
    assert pages.listed() == sorted(tags)


NEXT = f'</v2/{PATH}/tags/list?NEXT>; rel="next"'
ILLEGAL = {
    "no bracket at the end": f"</v2/{PATH}/tags/list?NEXT; rel=next",
    "no bracket at the start": f"/v2/{PATH}/tags/list?NEXT>; rel=next",
    "no brackets": f"/v2/{PATH}/tags/list?NEXT; rel=next",
    "a space in the URL": f"< /v2/{PATH}/tags/list?NEXT>; rel=next",
    "a line that is no URL": "<%zz?NEXT>; rel=next",
    "junk behind it": NEXT + "x",
    "words behind it": NEXT + " and more",
    "no semicolon": f'</v2/{PATH}/tags/list?NEXT> rel="next"',
    "no value": f"</v2/{PATH}/tags/list?NEXT>; rel=",
    "an open quote": f'</v2/{PATH}/tags/list?NEXT>; rel="next',
    "a quote of the other kind": f"</v2/{PATH}/tags/list?NEXT>; rel=\u00b4next\u00b4",
    "another relation first": f'</v2/{PATH}/tags/list?NEXT>; rel="prev"; rel="next"',
    "a next page of something else": NEXT + '; anchor="/other"',
    "two next pages": f'{NEXT}, <?last=999>; rel="next"',
    "junk in front": "x, " + NEXT,
    "junk in another link": f"<a b>; rel=prev, {NEXT}",
    "no comma": f"</x>; rel=prev {NEXT}",
    "another port": f'<http://127.0.0.1:1/v2/{PATH}/tags/list?NEXT>; rel="next"',
    "another host": '<http://127.0.0.9:1/?NEXT>; rel="next"',
    "another resource": '</v2/acme/other/tags/list?NEXT>; rel="next"',
    "longer than can be": f'<?NEXT&{"x" * 65_000}>; rel="next", <?{"y" * 9000}>; rel=prev',
    "a bare CR before it": f"x\r\nX: a\rb\r\nLink: {NEXT}",
    "a line before it that is no header": f"</x>; rel=prev\r\nno header\r\nLink: {NEXT}",
    "a name with a space behind it": f"</x>; rel=prev\r\nLink : {NEXT}",
    "a header without a name": f"</x>; rel=prev\r\n: x\r\nLink: {NEXT}",
    "a NUL": f"</x>; rel=prev\r\nX: a\0b\r\nLink: {NEXT}",
}  # fmt: skip


@pytest.mark.parametrize("case", ILLEGAL)
def test_a_link_that_is_not_understood_is_an_error(case: str, pages: Pages):
    pages.size, pages.tags, pages.headers, pages.page = 2, ["a", "b", "c"], f"Link: {ILLEGAL[case]}\r\n", "{}"
    error = error_of(pages.listed)
    assert error.failure in {"integrity", "unavailable"}, error.message


DAMAGE = [
    (">", ""),
    ("<", ""),
    (">", ">x"),
    (">", "> x;"),
    (">", ">="),
    ("?NEXT", "?NEXT "),
    ("?NEXT", "?NEXT%"),
    ("?NEXT", '?NEXT"'),
    ("?NEXT", "?\u00e9NEXT"),
]


@given(headers=legal(), damage=st.sampled_from(DAMAGE), size=st.integers(1, 4))
@QUICK
def test_a_damaged_link_is_an_error_and_never_the_end(pages: Pages, headers: str, damage: tuple[str, str], size: int):
    pages.size, pages.tags, pages.headers, pages.page = (
        size,
        ["a", "b", "c", "d", "e"],
        headers.replace(*damage, 1),
        "{}",
    )
    assert error_of(pages.listed).failure == "integrity"


@pytest.mark.parametrize(
    ("page", "word"),
    [
        ('{"name": "acme/web"}', "no tags"),
        ("{}x", "JSON"),
        ('{"tags": ["a"]}', "its name is None"),
        ('{"name": "acme/api", "tags": ["a"]}', "its name is 'acme/api'"),
        ('{"name": ["acme/web"], "tags": ["a"]}', "its name is"),
        ('{"name": "acme/web", "tags": ["a"], "errors": [{"code": "UNKNOWN"}]}', "reports errors"),
        ('{"name": "acme/web", "tags": {}}', "no list"),
    ],
)
@pytest.mark.parametrize("size", [1, 9])
def test_a_page_that_is_no_page_of_this_repository_is_an_error(page: str, word: str, size: int, pages: Pages):
    pages.size, pages.tags, pages.headers, pages.page = size, ["a", "b"], f"Link: {NEXT}\r\n", page
    error = error_of(pages.listed)
    assert (error.failure, word in error.message) == ("integrity", True), error.message


@pytest.mark.parametrize("name", ["acme/web", "web", "cache/acme/web"])
@pytest.mark.parametrize("tags", ["[]", "null"])
def test_a_proxy_may_name_a_part_of_the_repository_and_an_empty_one_may_be_null(name: str, tags: str, pages: Pages):
    pages.size, pages.tags, pages.headers = 9, [], ""
    pages.page = f'{{"name": "{name}", "tags": {tags}, "errors": null}}'
    assert pages.listed() == []

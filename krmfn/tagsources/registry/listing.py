"""Pages of tags: where the next one is, and what may stand on it (OCI distribution spec, content discovery)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from requests.utils import parse_header_links

from krmfn.image import is_tag
from krmfn.model import Listing
from krmfn.tagsources.manifest import parse

PAGE_LIMIT = 16 << 20
"""Bytes of one page; a registry that does not paginate sends 500,000 tags in it."""
BYTES_LIMIT = 64 << 20
PAGES_LIMIT = 1000
TAGS_LIMIT = 500_000


class Page:
    """One page of tags, read strictly, in the shape oras takes pages: something with `json()`."""

    def __init__(self, body: bytes) -> None:
        document = parse(body)
        tags = document.get("tags")
        if tags is None:
            tags = []
        if not isinstance(tags, list):
            raise ValueError("has tags that are no list")  # noqa: TRY004 - the input is wrong
        self.tags: list[object] = tags

    def json(self) -> dict[str, list[object]]:
        """Answer the document."""
        return {"tags": self.tags}


def next_page(link: str, url: str) -> str | None:
    """Answer the URL of the next page (RFC 8288, RFC 3986), None at the end.

    Only the query of a link is taken over, so it can lead nowhere else: behind a proxy a registry may write `http`, or a
    path of its own before `/v2`. Raises ValueError for a link that leads to another host or another resource.
    """
    if not link.strip():
        return None
    links = [entry for entry in parse_header_links(link[: 16 << 10]) if entry.get("url")]
    if not links:
        raise ValueError("cannot be read")
    found = next((entry for entry in links if "next" in entry.get("rel", "next").lower().split()), None)
    if found is None:
        return None
    here, there = urlsplit(url), urlsplit(urljoin(url, found["url"]))
    if there.hostname != here.hostname or "@" in there.netloc:
        raise ValueError("leads to another host")
    if there.scheme == here.scheme and there.netloc.lower() != here.netloc.lower():
        raise ValueError("leads to another port")
    if not there.path.endswith(here.path.removeprefix("/v2")):
        raise ValueError("leads to another resource")
    if not there.query.isascii() or any(char <= " " for char in there.query):
        raise ValueError("is no valid URL")
    return here._replace(query=there.query).geturl()


def listing(tags: Iterable[object]) -> Listing:
    """Keep what is a tag, sorted and once, and count the rest: some registries list nulls and digests."""
    everything = list(tags)
    good = [tag for tag in everything if isinstance(tag, str) and is_tag(tag)]
    return Listing(tuple(sorted(set(good))), len(everything) - len(good))

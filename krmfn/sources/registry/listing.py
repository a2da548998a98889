"""Pages of tags: where the next one is, and what may stand on it (OCI distribution spec, content discovery)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import SplitResult, urljoin, urlsplit

from krmfn.access import Listing
from krmfn.image import is_tag
from krmfn.sources.manifest import shown
from krmfn.sources.registry.links import links
from krmfn.strict_json import parse

PAGE_LIMIT = 10 << 20
"""Bytes of one page; a registry that does not paginate sends 300,000 tags in it."""
BYTES_LIMIT = 64 << 20
PAGES_LIMIT = 1000
TAGS_LIMIT = 500_000
RUN_BYTES_LIMIT = 256 << 20
RUN_TAGS_LIMIT = 4_000_000
"""What the lists of all repositories may have together: all of them are kept until the end of a run."""
_LONGEST = 128
"""Characters of a tag (OCI distribution spec)."""
VALUES_LIMIT = 600_000
"""Values of one page; GCR tells eight of each image besides its tags."""


class Page:
    """One page of tags, read strictly, in the shape oras takes pages: something with `json()`.

    `tags` must be there; null is what distribution and Nexus write for an empty list. What is no text, or longer than
    any tag, is kept as None.
    Raises ValueError.
    """

    def __init__(self, body: bytes | bytearray, path: str) -> None:
        document = parse(body, VALUES_LIMIT)
        if document.get("errors") not in (None, []):
            raise ValueError("reports errors")
        if "tags" not in document:
            raise ValueError("has no tags")
        tags = document["tags"]
        if tags is None:
            tags = []
        if not isinstance(tags, list):
            raise ValueError("has tags that are no list")  # noqa: TRY004 - the input is wrong
        if not _is_same(document.get("name"), path):
            raise ValueError(f"is not of {path}: its name is {shown(repr(document.get('name')))}")
        self.tags = [tag if isinstance(tag, str) and len(tag) <= _LONGEST else None for tag in tags]

    def json(self) -> dict[str, list[str | None]]:
        """Return the document."""
        return {"tags": self.tags}


def _is_same(name: object, path: str) -> bool:
    """Return True if a page's name is the repository that was asked for, or the same with a prefix that a proxy adds or takes.

    Artifactory and Nexus name `acme/web` where `docker-local/acme/web` was asked for; a mirror may do the reverse.
    """
    if not isinstance(name, str) or not name:
        return False
    return name == path or path.endswith("/" + name) or name.endswith("/" + path)


def next_page(link: str, url: str) -> str | None:
    """Return the URL of the next page (RFC 8288, RFC 3986), None at the end.

    A link without `rel` is taken for the next page. Only the query of a link is taken over, so it can lead nowhere else:
    behind a proxy a registry may write `http`, or a path of its own before `/v2`. Raises ValueError for what is no Link
    header, and for a next page that is not understood or is that of another resource.
    """
    every = list(links(link))
    following = [one for one in every if one.relations and "next" in one.relations]
    following = following or [one for one in every if one.relations is None]
    if not following:
        return None
    if len({one.target for one in following}) > 1:
        raise ValueError("names more than one next page")
    if any(one.context is not None for one in following):
        raise ValueError("is the next page of something else (anchor)")
    try:
        return _below(urlsplit(url), urlsplit(urljoin(url, following[0].target)))
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith("leads") else "is no valid URL") from None


def _below(here: SplitResult, there: SplitResult) -> str:
    if there.hostname != here.hostname or "@" in there.netloc:
        raise ValueError("leads to another host")
    if there.scheme == here.scheme and there.netloc.lower() != here.netloc.lower():
        raise ValueError("leads to another port")
    if not there.path.endswith(here.path.removeprefix("/v2")):
        raise ValueError("leads to another resource")
    return here._replace(query=there.query).geturl()


def listing(tags: Iterable[object]) -> Listing:
    """Keep what is a tag, sorted and once, and count the rest: some registries list nulls and digests."""
    everything = list(tags)
    good = [tag for tag in everything if isinstance(tag, str) and is_tag(tag)]
    return Listing(tuple(sorted(set(good))), len(everything) - len(good))

"""Pages of tags: where the next one is, and what may stand on it (OCI distribution spec, content discovery)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from krmfn.access import Listing
from krmfn.image import is_tag
from krmfn.sources.manifest import shown
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
LINKS_LIMIT = 64 << 10
"""Characters of all Link headers of one answer."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_fold = re.compile(r"\r?\n[ \t]+")
_blanks = re.compile(r"[ \t,]*+")
_target = re.compile(r"<((?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+)>")
_parameter = re.compile(rf"[ \t]*+;[ \t]*+(?:({_WORD})[ \t]*+(?:=[ \t]*+(?:({_WORD})|({_QUOTED})))?)?")
_end = re.compile(r"[ \t]*+(?:,|$)")


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
    links = list(_links(link))
    following = [one for one in links if one.relations and "next" in one.relations]
    following = following or [one for one in links if one.relations is None]
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


class _Link(NamedTuple):
    """One link. `relations` are lower case, None when it says none; `context` is its `anchor`, None without one."""

    target: str
    relations: tuple[str, ...] | None
    context: str | None


def _links(header: str) -> Iterator[_Link]:
    r"""Yield the links of a header, or of several joined by commas (lists of RFC 9110 section 5.6.1).

    Raise ValueError where it leaves the grammar of RFC 8288 section 3.

    >>> [link.target for link in _links(', <?last=a,b;c>;REL="prev Next"\t,')]
    ['?last=a,b;c']
    """
    if len(header) > LINKS_LIMIT:
        raise ValueError(f"is longer than {LINKS_LIMIT >> 10} KiB")
    header = _fold.sub(" ", header)
    position = _after(_blanks, header, 0)
    while position < len(header):
        target = _target.match(header, position)
        if target is None:
            raise ValueError(f"cannot be read at character {position + 1}: expected <URL>")
        position = target.end()
        parameters: list[tuple[str, str]] = []
        while parameter := _parameter.match(header, position):
            name, token, quoted = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else token or ""
            parameters += [(name.lower(), value)] if name else []
            position = parameter.end()
        if not _end.match(header, position):
            raise ValueError(f"cannot be read at character {position + 1}: expected a parameter, a comma or the end")
        yield _link(target[1], parameters)
        position = _after(_blanks, header, position)


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _link(target: str, parameters: list[tuple[str, str]]) -> _Link:
    """Make a link of its parameters; of several `rel` the first counts, but no later one may say `next` alone."""
    relations = [tuple(value.lower().split()) for name, value in parameters if name == "rel"]
    if any("next" in later and "next" not in relations[0] for later in relations[1:]):
        raise ValueError("says rel twice")
    context = next((value for name, value in parameters if name == "anchor"), None)
    return _Link(target, relations[0] if relations else None, context)


def excess(host: str, pages: int, size: int, count: int, run: Mapping[str, int]) -> str:
    """Return which limit a list, or the lists of a run (their `bytes` and `tags`), are beyond; empty for none."""
    for is_over, text in (
        (pages > PAGES_LIMIT, f"{PAGES_LIMIT} pages"),
        (size > BYTES_LIMIT, f"{BYTES_LIMIT >> 20} MiB"),
        (count > TAGS_LIMIT, f"{TAGS_LIMIT} tags"),
    ):
        if is_over:
            return f"{host} lists more than {text} for one repository, which is the limit"
    if run["bytes"] > RUN_BYTES_LIMIT or run["tags"] > RUN_TAGS_LIMIT:
        text = f"{RUN_BYTES_LIMIT >> 20} MiB or {RUN_TAGS_LIMIT} tags"
        return f"the lists of all repositories have more than {text}, which is the limit"
    return ""


def listing(tags: Iterable[object]) -> Listing:
    """Keep what is a tag, sorted and once, and count the rest: some registries list nulls and digests."""
    everything = list(tags)
    good = [tag for tag in everything if isinstance(tag, str) and is_tag(tag)]
    return Listing(tuple(sorted(set(good))), len(everything) - len(good))

"""`trust: items`: what Flux's OCIRepository objects among the items require of the images at their URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from krmfn.config.objects import Object, Problems, text
from krmfn.config.require import Requirement
from krmfn.config.schema import of_kind
from krmfn.config.trust import read_flux
from krmfn.errors import RuleError
from krmfn.image import parse_repository


def trusts_items(objects: Iterable[Object]) -> bool:
    """True if an ImageAutomation lets the OCIRepository objects beside it count: `trust: items`."""
    return any(one.spec.get("trust") == "items" for one in of_kind(objects, "ImageAutomation"))


def read_trust(objects: Sequence[Object], problems: Problems) -> Iterator[Requirement]:
    """Yield what the OCIRepository objects with `verify` require of the images at their URL.

    A variable in the URL stands for anything. A URL that Flux refuses too is noted: nothing is required by its object.
    Their fields may hold a tag alone: Flux verifies the digest behind it once more when it pulls.
    """
    for one in objects:
        if one.group != "source.toolkit.fluxcd.io" or one.id.kind != "OCIRepository" or not one.spec.get("verify"):
            continue
        image = _image(text(one.spec.get("url")))
        if image is None:
            message = "its verify counts for no image: url is no oci://REGISTRY/REPOSITORY"
            problems.remark(one.id, message, "warning", "spec.url")
        else:
            yield Requirement((image,), verify=read_flux(one, objects), allow_tag_only=True, defined=one.id)


def _image(url: str) -> str | None:
    """Return a glob of the repository at a URL; None when it is none."""
    scheme, _, name = url.partition("://")
    if scheme != "oci":
        return None
    if "${" in name:
        return re.sub(r"\$\{[^{}]*\}", "**", name)
    try:
        return parse_repository(name).canonical
    except RuleError:
        return None

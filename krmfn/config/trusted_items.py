"""`trust: items`: what Flux's OCIRepository objects among the items require of the images at their URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from krmfn.config.objects import Object, Problems, text
from krmfn.config.require import Requirement
from krmfn.config.schema import API_VERSION
from krmfn.config.trust import read_flux
from krmfn.errors import RuleError
from krmfn.image import parse_repository


def trusts_items(objects: Iterable[Object]) -> bool:
    """True if an ImageAutomation lets the OCIRepository objects beside it count: `trust: items`."""
    return any(one.id.api_version == API_VERSION and one.id.kind == "ImageAutomation" and one.spec.get("trust") == "items" for one in objects)


def read_trust(objects: Sequence[Object], problems: Problems) -> Iterator[Requirement]:
    """Yield what the OCIRepository objects with `verify` require of the images at their URL.

    Their fields may hold a tag alone: Flux verifies the digest behind it once more when it pulls.
    """
    for one in objects:
        if one.group == "source.toolkit.fluxcd.io" and one.id.kind == "OCIRepository" and one.spec.get("verify"):
            url = text(one.spec.get("url"))
            try:
                image = parse_repository(url.removeprefix("oci://"))
            except RuleError as error:
                problems.add(one.id, "spec.url", f"with trust: items it has to tell whose signatures it wants: {error}")
                continue
            yield Requirement((image.canonical,), verify=read_flux(one, objects), allow_tag_only=True, defined=one.id)

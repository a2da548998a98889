"""What images meet of what is required of their digests: who signed them, and what they were built from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.access import Repository
from krmfn.config.settings import Unnamed
from krmfn.errors import RegistryError
from krmfn.kubernetes.places import COUNTS, RANGE, VARIABLE, Place
from krmfn.model import Diagnostic, File, ImagePolicy, Location, PolicyKey
from krmfn.plan.resolve import ask
from krmfn.policies.number import moment
from krmfn.policies.rules import parse_rules

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.image import ImageRef
    from krmfn.plan.tag_source import TagSource
    from krmfn.signatures.statements import Provenance
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted

WORKERS = 8
Describe = Callable[[Repository, str], tuple[tuple[str, ...], str]]
"""Returns the platforms of a digest and when its image says that it was created. Raises RegistryError."""
UNJUDGED = "not judged: the cluster chooses"
"""Of an image that must be signed, in a field that does not say which one runs."""


class Subject(NamedTuple):
    """An image that was judged: where it stands, what was required, and the verdict on each; or why there is no digest."""

    ref: ImageRef
    places: tuple[Place, ...]
    digest: str = ""
    verdicts: tuple[Verdict, ...] = ()
    error: RegistryError | None = None
    platforms: tuple[str, ...] = ()
    since: str = ""
    """Since when it is there, by `evidence`: first seen, signed, or created, which whoever pushed it chose."""
    evidence: str = ""

    @property
    def provenance(self) -> Provenance | None:
        """What it was built from, by an attestation that counts."""
        return next((one.provenance for one in self.verdicts if one.provenance), None)

    @property
    def state(self) -> str:
        """`passed`, the first state that is another, or `not required`."""
        if self.error is not None:
            return "unavailable"
        return next((one.state for one in self.verdicts if one.state != "passed"), "passed") if self.verdicts else "not required"

    @property
    def signers(self) -> str:
        """Who signed, for people."""
        return ", ".join(dict.fromkeys(one.signer for one in self.verdicts if one.signer))

    @property
    def word(self) -> str:
        """The state, for a table."""
        words = {"passed": f"signed by {self.signers}", "missing": "not signed", "invalid": "bad signature", "unavailable": "not verified"}
        return words.get(self.state, "")

    @property
    def why(self) -> str:
        """Why it did not pass; empty when it did."""
        return str(self.error) if self.error else next((one.why for one in self.verdicts if one.why), "")

    def findings(self) -> list[Diagnostic]:
        """Return a finding for every place of an image that did not pass."""
        if self.state in ("passed", "not required"):
            return []
        code = {"unavailable": "not-verified", "invalid": "bad-signature"}.get(self.state, "unsigned")
        files: list[File | None] = [File(one.file.path, None, one.file.line, one.file.column) for one in self.places]
        return [Diagnostic("error", code, f"{self.ref}: {self.why}", Location(file=file)) for file in files or [None]]


def subjects(places: Iterable[Place], images: Iterable[ImageRef]) -> list[Subject]:
    """Return every distinct image, those of places that count with where they stand. What is only shown is not judged."""
    stand: dict[ImageRef, list[Place]] = {image: [] for image in images}
    for place in places:
        if place.ref is not None and place.state == COUNTS and place.is_sure:
            stand.setdefault(place.ref, []).append(place)
    return [Subject(ref, tuple(where)) for ref, where in sorted(stand.items(), key=lambda item: str(item[0]))]


def judged(every: Sequence[Subject], config: Config, wanted: Wanted | None, source: TagSource) -> list[Subject]:
    """Judge images by what the configuration requires of them, and by what is wanted of all. No image is asked about twice."""
    required = {one.ref: wanted_of(one.ref, config, wanted) for one in every}

    def judge(one: Subject) -> Subject:
        repository = config.repository(one.ref)
        digest = one.ref.digest or source.digest(repository, one.ref.tag or "latest")
        return one._replace(digest=digest, verdicts=tuple(source.verify(repository, digest, each) for each in required[one.ref]))

    answers = ask([one for one in every if required[one.ref]], judge, WORKERS)
    results = [(one, answers.get(one, one)) for one in every]
    return [one._replace(error=answer) if isinstance(answer, RegistryError) else answer for one, answer in results]


def described(every: Sequence[Subject], config: Config, describe: Describe) -> list[Subject]:
    """Return images that were judged with their platforms, and since when they are there. What cannot be had is left out."""

    def ask_about(one: Subject) -> Subject:
        platforms, created = describe(config.repository(one.ref), one.digest)
        return _dated(one._replace(platforms=platforms), config, created)

    answers = ask([one for one in every if one.digest], ask_about, WORKERS)
    results = [(one, answers.get(one, one)) for one in every]
    return [_dated(one, config, "") if isinstance(answer, RegistryError) else answer for one, answer in results]


def _dated(one: Subject, config: Config, created: str) -> Subject:
    snapshot = config.evidence.get(one.ref.canonical)
    seen = snapshot.seen.get(one.ref.tag or "") if snapshot else None
    first = seen.since(one.digest) if seen else None
    signed = min((verdict.signature.time for verdict in one.verdicts if verdict.signature), default=None)
    since, evidence = moment(first) if first is not None else "", "first seen"
    if not since:
        since, evidence = (moment(signed), "signed") if signed is not None else (created, "created")
    return one._replace(since=since, evidence=evidence if since else "")


def wants_signatures(config: Config) -> bool:
    """True if a signature is required of any image."""
    floor = config.rulebook.floor
    return any(one.verify for one in (*config.rulebook.requirements, *(floor.requirements if floor else ())))


def of_the_cluster(places: Iterable[Place], config: Config) -> set[ImageRef]:
    """Return the images of which a signature is required, and whose version the cluster chooses: nobody can judge those here."""
    if not wants_signatures(config):
        return set()
    chosen = {place.ref for place in places if place.ref is not None and place.state in (RANGE, VARIABLE)}
    return {ref for ref in chosen if wanted_of(ref, config, None)}


def wanted_of(ref: ImageRef, config: Config, wanted: Wanted | None) -> tuple[Wanted, ...]:
    """Return what is required of an image: as the policies of its repository have it, or any policy of no name."""
    rules = parse_rules(Unnamed("minor", pin=False, on_error="keep").policy)
    nobody = ImagePolicy(PolicyKey("", ""), config.repository(ref), rules)
    policies = [one for one in config.policies.values() if one.repository.image.canonical == ref.canonical]
    entries = (entry for policy in policies or [config.rulebook.put(nobody)] for entry in policy.requirements)
    every = [*([wanted] if wanted else []), *(entry.verify for entry in entries if entry.verify)]
    return tuple(dict.fromkeys(every))

"""Image references: parse once, compare canonically, print what was written.

Grammar: https://github.com/distribution/reference (regexp.go); the registry rule is Docker's: the first part is a
registry when it has a `.` or a `:` or is `localhost`. Canonical names follow Docker Hub: `nginx` is
`docker.io/library/nginx`. What the user typed is kept in `name`, because Flux writes it verbatim.
"""

from __future__ import annotations

import re

from krmfn.errors import RuleError
from krmfn.namedtuple import NamedTuple
from krmfn.sanitize import without_login

HUB = "docker.io"
_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
_PATH = r"[a-z0-9]+(?:(?:[./]|__?|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9]+(?:(?:\.|-+)[A-Za-z0-9]+)*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"

_tag = re.compile(_TAG, re.ASCII).fullmatch
_path = re.compile(_PATH, re.ASCII).fullmatch
_host = re.compile(_HOST, re.ASCII).fullmatch


def is_tag(text: str) -> bool:
    r"""True if `text` is a tag by the OCI distribution spec: ASCII, 1 to 128 characters, nothing else.

    >>> is_tag("1.2.3-alpine"), is_tag("1.0\n"), is_tag("-x")
    (True, False, False)
    """
    return _tag(text) is not None


def is_digest(text: str) -> bool:
    """True if `text` is a sha256 or sha512 digest, `algorithm:lower-case-hex`."""
    return re.fullmatch(_DIGEST, text, re.ASCII) is not None


class ImageRef(NamedTuple):
    """A reference to an image. `name` is the repository as it was typed; `registry` and `path` are canonical.

    >>> ref = ImageRef.parse("nginx:1.25")
    >>> ref.canonical, ref.name, ref.tag
    ('docker.io/library/nginx', 'nginx', '1.25')
    >>> str(ImageRef.parse("ghcr.io/acme/web:1@sha256:" + "a" * 64))[:20]
    'ghcr.io/acme/web:1@s'
    """

    registry: str
    path: str
    name: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Read a reference; raises RuleError that says which part is wrong.

        >>> ImageRef.parse("ghcr.io/Acme/web")
        Traceback (most recent call last):
        krmfn.errors.RuleError: 'ghcr.io/Acme/web' is not an image reference: repository names are lower case
        """
        name, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise _no_reference(without_login(text), "a digest is sha256: and 64 lower-case hex digits")
        tag: str | None = None
        colon = name.rfind(":")
        if colon > name.rfind("/"):  # one before the last slash is that of a registry's port
            name, tag = name[:colon], name[colon + 1 :]
            if not is_tag(tag):
                raise _no_reference(text, f"{tag!r} is not a tag")
        return cls(*split_repository(name, text), name, tag, digest or None)

    @property
    def canonical(self) -> str:
        """The repository in the form that compares equal for every spelling, without tag and digest."""
        return f"{self.registry}/{self.path}"

    @property
    def flux_canonical(self) -> str:
        """The repository as Flux prints it in `status.canonicalImageName`: Docker Hub is `index.docker.io`."""
        return f"index.docker.io/{self.path}" if self.registry == HUB else self.canonical

    def __str__(self) -> str:
        """Write `name[:tag][@digest]` with the name as it was typed (Flux's ImageRef.String)."""
        return self.name + version_suffix(self.tag, self.digest)


def version_suffix(tag: str | None, digest: str | None) -> str:
    """Return what stands behind the name of an image: `[:tag][@digest]`."""
    return (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _no_reference(text: str, why: str) -> RuleError:
    return RuleError(f"{text!r} is not an image reference: {why}")


def split_repository(name: str, whole: str = "") -> tuple[str, str]:
    """Split `name` (no tag, no digest) into canonical registry and path; raises RuleError.

    >>> split_repository("localhost:5000/a/b"), split_repository("acme/web")
    (('localhost:5000', 'a/b'), ('docker.io', 'acme/web'))
    """
    whole = whole or name
    first, slash, rest = name.partition("/")
    registry, path = HUB, name
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first.lower(), rest
        if not _host(first):
            raise _no_reference(whole, f"{first!r} is not a registry host")
    if registry in _HUB_ALIASES:
        registry = HUB
        if "/" not in path:
            path = f"library/{path}"
    if not _path(path):
        if not path or path == "library/":
            raise _no_reference(whole, "the repository is empty")
        why = "repository names are lower case" if path != path.lower() else f"{path!r} is not a repository path"
        raise _no_reference(whole, why)
    if len(path) > 255:
        raise RuleError(f"{whole[:40]!r}... is not an image reference: a repository path has at most 255 characters")
    return registry, path


def parse_repository(text: str) -> ImageRef:
    """Read what ImageRepository.spec.image may hold: no scheme, no tag, no digest; raises RuleError.

    The first two texts are Flux's own (image-reflector-controller internal/registry/helper.go).
    """
    if "://" in text:
        scheme = text.split("://", 1)[0]
        raise RuleError(f"image '{without_login(text)}' should not include URL scheme; remove '{scheme}://'")
    ref = ImageRef.parse(text)
    if ref.tag is not None:
        raise RuleError(f"image '{text}' should not include a tag; remove ':{ref.tag}'")
    if ref.digest is not None:
        raise RuleError(f"image '{text}' should not include a digest; remove '@{ref.digest}'")
    return ref


_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm/v7", "armel": "arm/v6"}
_VARIANTS = {"arm64/v8": "arm64", "arm64/8": "arm64", "arm": "arm/v7", "amd64/v1": "amd64"}


def normal_platform(text: str) -> str | None:
    """Write `os/architecture[/variant]` in one way, by the aliases of containerd (platforms/database.go); None if it is none.

    >>> normal_platform("linux/arm64/v8"), normal_platform("Linux/x86_64"), normal_platform("linux/arm/7")
    ('linux/arm64', 'linux/amd64', 'linux/arm/v7')
    >>> normal_platform("linux"), normal_platform("linux/amd64/v2/x")
    (None, None)
    """
    match = re.fullmatch(r"([a-z0-9_.-]+)/([a-z0-9_.-]+)(?:/([a-z0-9_.-]+))?", text.lower(), re.ASCII)
    if match is None:
        return None
    system, architecture, variant = match.groups()
    machine = _ARCHITECTURES.get(architecture, architecture)
    if variant is not None:  # that of the text counts, not the one that an alias such as `armhf` stands for
        machine = f"{machine.partition('/')[0]}/{f'v{variant}' if variant.isdigit() else variant}"
    return f"{system}/{_VARIANTS.get(machine, machine)}"

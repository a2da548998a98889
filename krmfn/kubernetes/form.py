"""The form of a field: how its text spells an image, a tag, a name or a digest, and what stands around that.

A whole reference, `tag@digest` in one scalar, `--flag=image:tag`, `KEY=value`, `docker://image`, and a reference of the
policy's image inside any other text are forms that can be written again with nothing lost.
"""

from __future__ import annotations

import re
from functools import lru_cache

from krmfn.errors import RuleError
from krmfn.image import HUB, ImageRef, is_tag, version_suffix
from krmfn.model import Part
from krmfn.namedtuple import NamedTuple

_OPENED = r"[\s\"'(\[]*(?:-{0,2}[A-Za-z_][A-Za-z0-9_./-]*=)?[\"']?"
"""What may stand before a value: quotes, and the name of a flag or variable."""
_CLOSED = r"[\s\"')\]]*"
_FRAME = rf"({_OPENED})((?:[A-Za-z][A-Za-z0-9+.-]*://)?)(.*?)({_CLOSED})"


class Form(NamedTuple):
    """The text of a field, cut: `before` and `after` stay, the rest is what the field holds.

    `is_hex` says that the digest stands without its `sha256:`.
    """

    before: str = ""
    name: str = ""
    tag: str = ""
    digest: str = ""
    after: str = ""
    is_hex: bool = False
    of: str = ""
    """Of a name with variables: the repository that it may be. The name stays as it is."""

    @property
    def canonical(self) -> str:
        """The repository that the field holds, in the form that compares equal; nothing when it holds none."""
        if self.of:
            return self.of
        ref = parsed(self.name) if self.name else None
        return ref.canonical if ref else ""

    @property
    def is_embedded(self) -> bool:
        """True when other text stands around what the field holds."""
        return bool(self.before.strip() or self.after.strip())

    def write(self, part: Part, name: str, tag: str, digest: str | None) -> str:
        """Return the text with another choice in it; `digest` is None where the field is to hold none."""
        if part is Part.NAME:
            return f"{self.before}{name}{version_suffix(self.tag, self.digest)}{self.after}"
        if part is Part.DIGEST:
            head, lone = f"{self.name}@" if self.name else "", digest or ""
            return f"{self.before}{head}{lone.partition(':')[2] if self.is_hex else lone}{self.after}"
        if part is Part.VERSION:
            return f"{self.before}{_as_version(tag, self.tag)}{self.after}"
        spelled = name if part is Part.IMAGE and not self.of else self.name
        return f"{self.before}{spelled}{':' if spelled else ''}{tag}{f'@{digest}' if digest else ''}{self.after}"


@lru_cache(4096)
def parsed(value: str) -> ImageRef | None:
    """Return the image reference that a text is, None when it is none."""
    try:
        return ImageRef.parse(value)
    except RuleError:
        return None


@lru_cache(4096)
def read_form(value: str, part: Part, canonical: str) -> Form | None:
    """Return the form of a field's text for a part of a policy's choice, None when no known form is recognized.

    `canonical` is the policy's repository. A field that is empty has the form of whatever is written into it.

    >>> read_form("--image=nginx:1.25", Part.IMAGE, "docker.io/library/nginx")
    Form(before='--image=', name='nginx', tag='1.25', digest='', after='', is_hex=False, of='')
    >>> read_form("^1.2", Part.TAG, "docker.io/library/nginx") is None
    True
    """
    text = value.strip()
    start = value.find(text)
    if not text:
        return Form()
    # Most fields hold a plain reference: what costs a pattern is looked at when there is a reason for it.
    before, scheme, held, after = _framed(text) if "=" in text else ("", "", text, "")
    if before.endswith("=") and not (scheme or held):
        form: Form | None = Form(before, after=after)
    else:
        form = _READERS[part](text, canonical)
    return form and form._replace(before=value[:start] + form.before, after=form.after + value[start + len(text) :])


def _read_image(text: str, canonical: str) -> Form | None:
    # What holds the policy's image somewhere is that, before it is whatever image stands behind a flag or a scheme.
    if whole := _spelled(text) or _varied(text, canonical):
        return whole
    if (inside := _inside(text, canonical)) is not None:
        return inside
    before, scheme, value, after = _framed(text)
    form = _spelled(value) or _varied(value, canonical)
    if form is None or not (form.tag or form.digest or "/" in form.name or form.canonical == canonical):
        return None
    return form._replace(before=before + scheme, after=after)


def _read_tag(text: str, canonical: str) -> Form | None:
    before, scheme, value, after = _framed(text)
    tag, at, digest = f"{scheme}{value}".partition("@")
    if is_tag(tag) and (_is_digest(digest) if at else True):
        return Form(before, "", tag, digest, after)
    image = _image(text, canonical)
    return image if image and image.tag else None


def _read_name(text: str, canonical: str) -> Form | None:
    before, scheme, value, after = _framed(text)
    form = _spelled(value)
    if form and not form.tag and not form.digest:
        return form._replace(before=before + scheme, after=after)
    image = _image(text, canonical)
    return None if image and image.of else image


def _read_digest(text: str, canonical: str) -> Form | None:
    before, scheme, value, after = _framed(text)
    value = scheme + value
    at = "@" if value.startswith("@") else ""
    if _is_digest(value[len(at) :]):
        return Form(before + at, digest=value[len(at) :], after=after)
    if re.fullmatch(r"[0-9a-f]{64}", value, re.ASCII):
        return Form(before, digest=f"sha256:{value}", after=after, is_hex=True)
    image = _image(text, canonical)
    return image if image and image.digest and not image.tag else None


_VERSION = r"([A-Za-z][A-Za-z._-]*)?([0-9][A-Za-z0-9._+-]*)"
_RANGE = r"(?:^|\.)[xX](?:\.|$)"
_BUILD = r"(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)_([0-9A-Za-z.-]+)"


def holds_version(tag: str) -> bool:
    """True if a tag is a version, behind a prefix or not: `1.2.0`, `v1.2.0`, `release-7`."""
    return re.fullmatch(_VERSION, tag) is not None


def _as_version(tag: str, held: str) -> str:
    """Return the version of a tag with the prefix of the version that is held."""
    new, old = re.fullmatch(_VERSION, tag), re.fullmatch(_VERSION, held)
    number = new[2] if new else tag
    build = re.fullmatch(_BUILD, number)
    return (old[1] or "" if old else "") + (f"{build[1]}+{build[2]}" if build else number)


def _read_version(text: str, _canonical: str) -> Form | None:
    before, scheme, value, after = _framed(text)
    is_version = not scheme and holds_version(value) and not re.search(_RANGE, value)
    return Form(before, "", tag, "", after) if is_version and is_tag(tag := value.replace("+", "_", 1)) else None


_READERS = {
    Part.IMAGE: _read_image, Part.TAG: _read_tag, Part.NAME: _read_name, Part.DIGEST: _read_digest, Part.VERSION: _read_version,
}  # fmt: skip


def _is_digest(text: str) -> bool:
    """True for a digest, and for what stands in for one: a placeholder pins too."""
    return re.fullmatch(r"sha(?:256|512):[0-9A-Za-z]+", text, re.ASCII) is not None


def _spelled(text: str) -> Form | None:
    """Return the form of a text that is a reference, whole."""
    head, at, digest = text.partition("@")
    ref = parsed(head) if not at or _is_digest(digest) else None
    return Form(name=ref.name, tag=ref.tag or "", digest=digest) if ref else None


def _image(text: str, canonical: str) -> Form | None:
    """Return the form of a text that is a reference to the image, or holds one."""
    form = _spelled(text) or _varied(text, canonical)
    return form if form and form.canonical == canonical else _inside(text, canonical)


def _varied(text: str, canonical: str) -> Form | None:
    """Return the form of a reference whose name has variables and whose version has none, such as `${REG}/web:1.2.0`.

    What of the name is plain must be part of the policy's image.
    """
    from krmfn.kubernetes import reference  # most fields hold a plain reference

    whole = reference.read(text)
    if whole is None or not whole.variable:
        return None
    ref = whole.ref
    if not (ref.tag or ref.digest) or reference.variables.search(f"{ref.tag}{ref.digest}"):
        return None
    familiar = canonical.removeprefix(f"{HUB}/")
    plain = ".+".join(map(re.escape, reference.variables.split(ref.name)))
    if not any(re.fullmatch(plain, name) for name in (canonical, familiar, familiar.removeprefix("library/"))):
        return None
    return Form(text[: whole.start], ref.name, ref.tag or "", ref.digest or "", of=canonical)


def _framed(text: str) -> tuple[str, str, str, str]:
    """Cut a text into the name of a flag or variable, a scheme (`docker://`), the value, and what closes it."""
    match = re.fullmatch(_FRAME, text, re.DOTALL)
    return (match[1], match[2], match[3], match[4]) if match else ("", "", text, "")


def _inside(text: str, canonical: str) -> Form | None:
    """Return the form of a text that holds the image once, with tag or digest, among other things."""
    forms = []
    for token in re.finditer(r"[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]-]*", text, re.ASCII):
        start = token.start() + token[0].rfind("://") + 3 if "://" in token[0] else token.start()
        piece = text[start : token.end()].rstrip(".:/-@")
        form = _spelled(piece)
        if form and form.canonical == canonical and (form.tag or form.digest):
            forms.append(form._replace(before=text[:start], after=text[start + len(piece) :]))
    return forms[0] if len(forms) == 1 else None

"""Sprig's functions on text: https://masterminds.github.io/sprig/strings.html, and its encodings, checksums and paths.

The `regex*` functions need an engine of Go's dialect: whoever has one adds them, as with Go's `Funcs`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Any

from krmfn.gotemplate.errors import TemplateError
from krmfn.gotemplate.values import MISSING, Strings, check_length, is_list, quoted, shown


def _strings(parts: tuple[Any, ...]) -> list[str]:
    return [shown(part) for part in parts if part is not None and part is not MISSING]


def _title(text: str) -> str:
    return re.sub(r"(^|[^\w'])(\w)", lambda hit: hit[1] + hit[2].upper(), text)


def _untitle(text: str) -> str:
    return re.sub(r"(^|\s)(\w)", lambda hit: hit[1] + hit[2].lower(), text)


def _substr(start: int, end: int, text: str) -> str:
    data = text.encode()
    if 0 <= end < start:
        raise TemplateError(f"error calling substr: slice bounds out of range [{start}:{end}]")
    if start < 0:
        return data[:end].decode("utf-8", "replace")
    return (data[start:] if end < 0 or end > len(data) else data[start:end]).decode("utf-8", "replace")


def _trunc(count: int, text: str) -> str:
    data = text.encode()
    kept = data[len(data) + count :] if count < 0 < len(data) + count else data[:count] if count >= 0 else data
    return kept.decode("utf-8", "ignore")


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def _repeat(count: int, text: str) -> str:
    if count < 0:
        raise TemplateError("error calling repeat: strings: negative Repeat count")
    check_length(count * len(text))
    return text * count


def _indent(count: int, text: str) -> str:
    if not 0 <= count <= 1000:
        raise TemplateError(f"error calling indent: {count} is no number of blanks from 0 to 1000")
    check_length(count * (text.count("\n") + 1))
    pad = " " * count
    return pad + text.replace("\n", "\n" + pad)


def _snake(text: str) -> str:
    parts = re.sub(r"([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])", r"\1\3_\2", text)
    return re.sub(r"[-\s_]+", "_", parts).lower()


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_\s]+", text))


def _wrap(width: int, text: str, joint: str = "\n") -> str:
    lines = textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
    check_length(len(joint) * len(lines))
    return joint.join(lines)


def _replace(old: str, new: str, text: str) -> str:
    check_length(text.count(old) * len(new))
    return text.replace(old, new)


def _initials(text: str) -> str:
    return "".join(part[0] for part in text.split())


def _nospace(text: str) -> str:
    return "".join(text.split())


def _swapcase(text: str) -> str:
    return text.swapcase()


def _join(joint: str, parts: Any) -> str:
    texts = _strings(tuple(parts)) if is_list(parts) else [shown(parts)]
    check_length(len(joint) * len(texts))
    return joint.join(texts)


def _parts(joint: str, text: str, count: int = -1) -> list[str]:
    """Split as Go's strings.SplitN does: an empty separator separates characters, a count of 0 gives nothing."""
    if count == 0:
        return []
    if joint:
        return text.split(joint, count - 1 if count > 0 else -1)
    head = list(text) if count < 0 else [*text[: count - 1], text[count - 1 :]]
    return [part for part in head if part]


def _split(joint: str, text: str) -> dict[str, str]:
    return Strings({f"_{index}": part for index, part in enumerate(_parts(joint, text))})


def _splitn(joint: str, count: int, text: str) -> dict[str, str]:
    return Strings({f"_{index}": part for index, part in enumerate(_parts(joint, text, count))})


def _cat(*parts: Any) -> str:
    return " ".join(_strings(parts))


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


def _unbase64(text: str) -> str:
    import base64

    return base64.b64decode(text, validate=True).decode("utf-8", "replace")


def _sha(name: str) -> Callable[[str], str]:
    def digest(text: str) -> str:
        import hashlib

        return hashlib.new(name, text.encode()).hexdigest()

    return digest


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or ("/" if path.startswith("/") else ".")


def _dir(path: str) -> str:
    import posixpath

    return posixpath.normpath(path.rpartition("/")[0] or ("/" if path.startswith("/") else "."))


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    return "." + name.rpartition(".")[2] if "." in name else ""


def _clean(path: str) -> str:
    import posixpath

    return posixpath.normpath(path) if path else "."


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abbrev": _abbrev,
    "b64dec": _unbase64,
    "b64enc": _base64,
    "base": _base,
    "camelcase": _camel,
    "cat": _cat,
    "clean": _clean,
    "contains": lambda part, text: part in text,
    "dir": _dir,
    "ext": _ext,
    "hasPrefix": lambda part, text: text.startswith(part),
    "hasSuffix": lambda part, text: text.endswith(part),
    "indent": _indent,
    "initials": _initials,
    "isAbs": lambda path: path.startswith("/"),
    "join": _join,
    "kebabcase": lambda text: _snake(text).replace("_", "-"),
    "lower": lambda text: text.lower(),
    "nindent": lambda count, text: "\n" + _indent(count, text),
    "nospace": _nospace,
    "plural": _plural,
    "quote": lambda *parts: " ".join(map(quoted, _strings(parts))),
    "repeat": _repeat,
    "replace": _replace,
    "sha1sum": _sha("sha1"),
    "sha256sum": _sha("sha256"),
    "sha512sum": _sha("sha512"),
    "snakecase": _snake,
    "split": _split,
    "splitList": _parts,
    "splitn": _splitn,
    "squote": lambda *parts: " ".join(f"'{part}'" for part in _strings(parts)),
    "substr": _substr,
    "swapcase": _swapcase,
    "title": _title,
    "toString": shown,
    "trim": lambda text: text.strip(),
    "trimAll": lambda chars, text: text.strip(chars),
    "trimPrefix": lambda part, text: text.removeprefix(part),
    "trimSuffix": lambda part, text: text.removesuffix(part),
    "trimall": lambda chars, text: text.strip(chars),
    "trunc": _trunc,
    "untitle": _untitle,
    "upper": lambda text: text.upper(),
    "wrap": _wrap,
    "wrapWith": lambda width, joint, text: _wrap(width, text, joint),
}

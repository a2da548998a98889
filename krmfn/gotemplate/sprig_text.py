"""Sprig's functions on text: https://masterminds.github.io/sprig/strings.html, and its encodings, checksums and paths.

The `regex*` functions need an engine of Go's dialect: whoever has one adds them, as with Go's `Funcs`.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
import textwrap
from collections.abc import Callable
from typing import Any

from krmfn.gotemplate.values import MISSING, Strings, TemplateError, check_length, is_list, quoted, shown


def _strings(parts: tuple[Any, ...]) -> list[str]:
    return [shown(part) for part in parts if part is not None and part is not MISSING]


def _substr(start: int, end: int, text: str) -> str:
    data = text.encode()  # Go counts bytes, and may cut a character in two
    if 0 <= end < start:
        raise TemplateError(f"error calling substr: slice bounds out of range [{start}:{end}]")
    if start < 0:
        return data[:end].decode("utf-8", "replace")
    return (data[start:] if end < 0 or end > len(data) else data[start:end]).decode("utf-8", "replace")


def _trunc(count: int, text: str) -> str:
    data = text.encode()
    kept = data[count if count > -len(data) else 0 :] if count < 0 else data[:count]
    return kept.decode("utf-8", "ignore")


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


def _wrap(width: int, text: str, joint: str = "\n") -> str:
    lines = textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)
    check_length(len(joint) * len(lines))
    return joint.join(lines)


def _replace(old: str, new: str, text: str) -> str:
    check_length(text.count(old) * len(new))
    return text.replace(old, new)


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


def _splitn(joint: str, count: int, text: str) -> dict[str, str]:
    return Strings({f"_{index}": part for index, part in enumerate(_parts(joint, text, count))})


def _sha(name: str) -> Callable[[str], str]:
    return lambda text: hashlib.new(name, text.encode()).hexdigest()


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    return "." + name.rpartition(".")[2] if "." in name else ""


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abbrev": lambda width, text: text if width < 4 or len(text) <= width else text[: width - 3] + "...",
    "b64dec": lambda text: base64.b64decode(text, validate=True).decode("utf-8", "replace"),
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "base": lambda path: path.rstrip("/").rpartition("/")[2] or ("/" if path.startswith("/") else "."),
    "camelcase": lambda text: "".join(part[:1].upper() + part[1:] for part in re.split(r"[-_\s]+", text)),
    "cat": lambda *parts: " ".join(_strings(parts)),
    "clean": lambda path: posixpath.normpath(path) if path else ".",
    "contains": lambda part, text: part in text,
    "dir": lambda path: posixpath.normpath(path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")),
    "ext": _ext,
    "hasPrefix": lambda part, text: text.startswith(part),
    "hasSuffix": lambda part, text: text.endswith(part),
    "indent": _indent,
    "initials": lambda text: "".join(part[0] for part in text.split()),
    "isAbs": lambda path: path.startswith("/"),
    "join": _join,
    "kebabcase": lambda text: _snake(text).replace("_", "-"),
    "lower": lambda text: text.lower(),
    "nindent": lambda count, text: "\n" + _indent(count, text),
    "nospace": lambda text: "".join(text.split()),
    "plural": lambda one, many, count: one if count == 1 else many,
    "quote": lambda *parts: " ".join(map(quoted, _strings(parts))),
    "repeat": _repeat,
    "replace": _replace,
    "sha1sum": _sha("sha1"),
    "sha256sum": _sha("sha256"),
    "sha512sum": _sha("sha512"),
    "snakecase": _snake,
    "split": lambda joint, text: _splitn(joint, -1, text),
    "splitList": _parts,
    "splitn": _splitn,
    "squote": lambda *parts: " ".join(f"'{part}'" for part in _strings(parts)),
    "substr": _substr,
    "swapcase": lambda text: text.swapcase(),
    "title": lambda text: re.sub(r"(?<![\w'])\w", lambda hit: hit[0].upper(), text),
    "toString": shown,
    "trim": lambda text: text.strip(),
    "trimAll": lambda chars, text: text.strip(chars),
    "trimPrefix": lambda part, text: text.removeprefix(part),
    "trimSuffix": lambda part, text: text.removesuffix(part),
    "trimall": lambda chars, text: text.strip(chars),
    "trunc": _trunc,
    "untitle": lambda text: re.sub(r"(?<!\S)\w", lambda hit: hit[0].lower(), text),
    "upper": lambda text: text.upper(),
    "wrap": _wrap,
    "wrapWith": lambda width, joint, text: _wrap(width, text, joint),
}

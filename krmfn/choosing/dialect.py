"""Where RE2 and Go's regexp differ: the words of their errors, and the long names of Unicode classes (Go 1.25)."""

from __future__ import annotations

import re

# RE2's words for an error (re2.h ErrorCode) that Go (regexp/syntax ErrorCode) says differently.
_GO_WORDS = {
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "trailing \\": "trailing backslash at end of expression",
}
_MOST_REPEATS = 1000
# Property value aliases of General_Category (unicode.CategoryAliases), without case, blanks, `_` and `-`.
_ALIASES = """letter=L uppercaseletter=Lu lowercaseletter=Ll titlecaseletter=Lt modifierletter=Lm otherletter=Lo mark=M
combiningmark=M nonspacingmark=Mn spacingmark=Mc enclosingmark=Me number=N decimalnumber=Nd digit=Nd letternumber=Nl
othernumber=No punctuation=P punct=P connectorpunctuation=Pc dashpunctuation=Pd openpunctuation=Ps closepunctuation=Pe
initialpunctuation=Pi finalpunctuation=Pf otherpunctuation=Po symbol=S mathsymbol=Sm currencysymbol=Sc modifiersymbol=Sk
othersymbol=So separator=Z spaceseparator=Zs lineseparator=Zl paragraphseparator=Zp other=C control=Cc cntrl=Cc
format=Cf surrogate=Cs privateuse=Co"""
_CASED = r"\p{Lu}\p{Ll}\p{Lt}"


def go_error(pattern: str, error: str) -> str:
    """Return what RE2 says in the words of Go."""
    word, _, fragment = error.partition(": ")
    if word.startswith("pattern too large"):
        return "expression too large"
    if word == "invalid UTF-8" and (cut := re.search(r"\\x\{?[0-9a-fA-F]*\Z", pattern)):
        word, fragment = "invalid escape sequence", cut[0]
    elif word == "invalid perl operator" and fragment.startswith("(?<"):
        # Go reads every `(?<` as the start of a name.
        rest = pattern[pattern.index(fragment) :]
        word, fragment = "invalid named capture group", rest[: rest.find(">") + 1] or rest
    elif word in ("invalid repetition size", "bad repetition operator"):
        word, fragment = _repetition(word, fragment)
    elif word == "trailing \\":
        fragment = ""
    return f"{_GO_WORDS.get(word, word)}: `{fragment}`"


def _repetition(word: str, fragment: str) -> tuple[str, str]:
    """Go looks at the count before it looks at what is repeated, and never shows the `?` behind a count."""
    last = re.search(r"\{([0-9]+)(?:(,)([0-9]*))?\}\??\Z", fragment)
    if last is None:
        return word, fragment
    low = int(last[1])
    high = int(last[3]) if last[3] else low
    if word == "invalid repetition size" or low > _MOST_REPEATS or high > _MOST_REPEATS or high < low:
        return "invalid repetition size", fragment[last.start() :].rstrip("?")
    return word, fragment


def short_names(tokens: list[str]) -> str:
    r"""Write a pattern with the short names that RE2 knows: `\p{Letter}` becomes `\p{L}`.

    >>> short_names([r"\p{Letter}", r"[\P{letter_number}\p{ASCII}]", r"\Q\p{Letter}\E"])
    '\\p{L}[\\P{Nl}[:ascii:]]\\Q\\p{Letter}\\E'
    """
    if "[" in tokens:  # a class that never ends
        return "".join(tokens)
    return "".join(token if token.startswith("\\Q") else _shortened(token) for token in tokens)


def _shortened(token: str) -> str:
    is_class = token.startswith("[")
    return re.sub(
        r"\\([pP])\{(\^?)([^}]*)\}|\\.", lambda match: _short(match, is_class=is_class), token, flags=re.DOTALL
    )


def _short(match: re.Match[str], *, is_class: bool) -> str:
    if match[1] is None:
        return match[0]
    name = re.sub(r"[_ -]", "", match[3]).lower()
    not_ = "^" if (match[1] == "P") != bool(match[2]) else ""
    if name == "ascii":
        return f"[:{not_}ascii:]" if is_class else f"[[:{not_}ascii:]]"
    if name == "lc" and not (is_class and not_):
        return _CASED if is_class else f"[{not_}{_CASED}]"
    aliases = dict(pair.split("=") for pair in _ALIASES.split())
    return f"\\{match[1]}{{{match[2]}{aliases.get(name, match[3])}}}"

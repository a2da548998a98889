"""Where RE2 and Go's regexp differ: the words of their errors, and the long names of Unicode classes (Go 1.25)."""

from __future__ import annotations

import re
from functools import cache

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
_MOST_DIGITS = 8
"""From 10^8 on RE2 takes a count for text (re2/parse.cc ParseInteger), and Go for too large (regexp/syntax parseInt)."""
# Property value aliases of General_Category (unicode.CategoryAliases), without case and separators.
_ALIASES = """letter=L uppercaseletter=Lu lowercaseletter=Ll titlecaseletter=Lt modifierletter=Lm otherletter=Lo mark=M
combiningmark=M nonspacingmark=Mn spacingmark=Mc enclosingmark=Me number=N decimalnumber=Nd digit=Nd letternumber=Nl
othernumber=No punctuation=P punct=P connectorpunctuation=Pc dashpunctuation=Pd openpunctuation=Ps closepunctuation=Pe
initialpunctuation=Pi finalpunctuation=Pf otherpunctuation=Po symbol=S mathsymbol=Sm currencysymbol=Sc modifiersymbol=Sk
othersymbol=So separator=Z spaceseparator=Zs lineseparator=Zl paragraphseparator=Zp other=C control=Cc cntrl=Cc
format=Cf surrogate=Cs privateuse=Co casedletter=Lc unassigned=Cn"""
_CASED = r"\p{Lu}\p{Ll}\p{Lt}"
_ASSIGNED = r"\p{C}\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z}"
_NOTHING = r"\P{Any}"
_UNIONS = {
    "Lc": (_CASED, r"\p{C}\p{Lm}\p{Lo}\p{M}\p{N}\p{P}\p{S}\p{Z}"),
    "Assigned": (_ASSIGNED, _NOTHING),
    "Cn": (_NOTHING, _ASSIGNED),
}
"""Names that RE2 lacks: what they hold, and what they do not, inside a class. No tag has a character that is not assigned."""


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


def engine_spelling(tokens: list[str]) -> list[str]:
    r"""Return the tokens with Unicode classes as RE2 spells them; Go >= 1.25 takes any case, blanks, `_`, `-` and aliases.

    >>> "".join(engine_spelling([r"\p{Letter}", r"[\P{letter_number}\p{A-scii}]", r"\pl", r"\Q\p{Letter}\E"]))
    '\\p{L}[\\P{Nl}[:ascii:]]\\p{L}\\Q\\p{Letter}\\E'
    """
    end = tokens.index("[") if "[" in tokens else len(tokens)  # a class that never ends
    return [token if token.startswith("\\Q") else _spelled(token) for token in tokens[:end]] + tokens[end:]


def go_words(message: str, tokens: list[str]) -> str:
    """Return an error about the engine's spelling with the classes as they were written."""
    for token in tokens:
        for match in _unicode_grammar().finditer(token):
            spelled = _unicode_class(match, is_class=token.startswith("["))
            if spelled not in (match[0], _NOTHING) and spelled.startswith("\\"):
                message = message.replace(spelled, match[0])
    return message


def oversized_repeat(tokens: list[str]) -> str | None:
    """Return the first count that is too long for RE2 to take as a number: it takes the text, and Go refuses it."""
    text = "".join(token if len(token) == 1 else "x" for token in tokens)
    number = "(?:0|[1-9][0-9]*)"
    for match in re.finditer(rf"\{{{number}(?:,(?:{number})?)?\}}", text):
        if any(len(digits) > _MOST_DIGITS for digits in re.findall("[0-9]+", match[0])):
            return match[0]
    return None


@cache
def _unicode_grammar() -> re.Pattern[str]:
    return re.compile(r"\\([pP])(?:\{(\^?)([^}]*)\}|([A-Za-z]))|\\.", re.DOTALL)


def _spelled(token: str) -> str:
    is_class = token.startswith("[")
    return _unicode_grammar().sub(lambda match: _unicode_class(match, is_class=is_class), token)


def _unicode_class(match: re.Match[str], *, is_class: bool) -> str:
    if match[1] is None:
        return match[0]
    # Go's canonicalName: without separators, the first letter large and the others small, of ASCII alone.
    name = re.sub(r"[_ -]", "", match[3] if match[4] is None else match[4])
    name = name[:1].upper() + re.sub("[A-Z]+", lambda letters: letters[0].lower(), name[1:]) if name.isascii() else name
    is_negated = (match[1] == "P") != bool(match[2])
    aliases = dict(pair.split("=") for pair in _ALIASES.split())
    name = aliases.get(name.lower(), name)
    if name == "Ascii":
        not_ = "^" if is_negated else ""
        return f"[:{not_}ascii:]" if is_class else f"[[:{not_}ascii:]]"
    if name in _UNIONS:
        inside, outside = _UNIONS[name][:: -1 if is_negated else 1]
        # RE2 has no name for what is not assigned: outside of a class it is what nothing else is.
        return inside if is_class else f"[^{outside}]" if inside == _NOTHING else f"[{inside}]"
    return f"\\{'P' if is_negated else 'p'}{{{name}}}"

"""Parser of Go's text/template: text with actions in `{{ }}` to nodes, which `execution` runs.

Grammar: https://pkg.go.dev/text/template. Complete but for complex numbers and calls of methods with arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from krmfn.gotemplate.tokens import Piece, Token, constant, pieces, place, tokens_of
from krmfn.gotemplate.values import TemplateError

_WORDS: dict[str, tuple[str, object]] = {"nil": ("nil", None), "true": ("constant", True), "false": ("constant", False)}
"""Names that are values."""
MOST_DEPTH = 100
MOST_TEMPLATE = 1 << 16
"""Characters of a template."""


class Text(NamedTuple):
    """Text that is written as it stands."""

    text: str


class Operand(NamedTuple):
    """A value: `kind` is dot, variable, constant, function, nil or pipe; `fields` are read from it in turn."""

    kind: str
    value: object
    fields: tuple[str, ...]
    at: int


class Pipe(NamedTuple):
    """Commands joined by `|`; `names` are declared (or assigned, with `assigns`) from the last value.

    As an action of its own it writes that value, unless it names variables.
    """

    commands: tuple[tuple[Operand, ...], ...]
    names: tuple[str, ...]
    assigns: bool
    at: int


class Branch(NamedTuple):
    """`if`, `with` or `range`."""

    kind: str
    pipe: Pipe
    body: tuple[Node, ...]
    other: tuple[Node, ...]


class Call(NamedTuple):
    """`template`: runs another one."""

    name: str
    pipe: Pipe | None
    at: int


class Jump(NamedTuple):
    """`break` or `continue`."""

    kind: str


Node = Text | Pipe | Branch | Call | Jump


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: its nodes, and those of the templates that it defines."""

    source: str
    nodes: tuple[Node, ...]
    defined: dict[str, tuple[Node, ...]]

    @classmethod
    def parse(cls, source: str) -> Template:
        """Parse a template. Raise TemplateError with line and column."""
        if len(source) > MOST_TEMPLATE:
            raise TemplateError(f"the template has more than {MOST_TEMPLATE} characters")
        parser = _Parser(source)
        nodes, _ = parser.nodes(())
        return cls(source, nodes, parser.defined)


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.pieces = pieces(source)
        self.defined: dict[str, tuple[Node, ...]] = {}
        self.depth = 0
        self.loops = 0

    def fail(self, message: str, at: int) -> TemplateError:
        return TemplateError(message, *place(self.source, at))

    def nodes(self, ends: tuple[str, ...], opened: int = 0) -> tuple[tuple[Node, ...], list[Token]]:
        """Return the nodes up to one of the words in `ends`, and the tokens of that word's action."""
        nodes: list[Node] = []
        for piece in self.pieces:
            if not piece.is_action:
                if piece.text:
                    nodes.append(Text(piece.text))
                continue
            tokens = list(tokens_of(self.source, piece))
            word = tokens[0].text if tokens and tokens[0].kind == "name" else ""
            if word in ("end", "else"):
                if word not in ends:
                    raise self.fail(f"unexpected {{{{{word}}}}}", piece.start)
                return tuple(nodes), tokens
            nodes += self._action(word, tokens, piece)
        if ends:
            raise self.fail("unexpected EOF: an {{end}} is missing for this action", opened)
        return tuple(nodes), []

    def _action(self, word: str, tokens: list[Token], piece: Piece) -> list[Node]:
        if not tokens:
            raise self.fail("missing value for command", piece.start)
        if word in ("if", "with", "range"):
            return [self._branch(word, tokens)]
        if word in ("define", "block"):
            return self._define(word, tokens)
        if word == "template":
            name, rest = self._name(tokens)
            return [Call(name, self.pipe(rest, tokens[0].at) if rest else None, tokens[0].at)]
        if word in ("break", "continue"):
            if not self.loops:
                raise self.fail(f"{{{{{word}}}}} outside {{{{range}}}}", tokens[0].at)
            return [Jump(word)]
        return [self.pipe(tokens, piece.start)]

    def _branch(self, word: str, tokens: list[Token]) -> Branch:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.fail(f"actions are nested more than {MOST_DEPTH} deep", tokens[0].at)
        pipe = self.pipe(tokens[1:], tokens[0].at, in_range=word == "range")
        self.loops += word == "range"
        body, end = self.nodes(("end", "else"), tokens[0].at)
        self.loops -= word == "range"
        other: tuple[Node, ...] = ()
        if end[0].text == "else" and len(end) > 1:  # `{{else if x}}` opens a branch that has no `end` of its own
            if word == "range" or end[1].text != word:
                raise self.fail(f"expected {{{{else}}}} or {{{{else {word}}}}}", end[1].at)
            other = (self._branch(word, end[1:]),)
        elif end[0].text == "else":
            other, end = self.nodes(("end",), tokens[0].at)
        self.depth -= 1
        return Branch(word, pipe, body, other)

    def _define(self, word: str, tokens: list[Token]) -> list[Node]:
        name, rest = self._name(tokens)
        pipe = self.pipe(rest, tokens[0].at) if word == "block" else None
        loops, self.loops = self.loops, 0  # `break` in a definition does not leave the loop that this stands in
        self.defined[name], _ = self.nodes(("end",), tokens[0].at)
        self.loops = loops
        return [Call(name, pipe, tokens[0].at)] if pipe else []

    def _name(self, tokens: list[Token]) -> tuple[str, list[Token]]:
        if len(tokens) < 2 or tokens[1].kind not in ("string", "raw"):
            raise self.fail(f"{tokens[0].text} needs a name in quotes", tokens[0].at)
        return str(constant(tokens[1], self.source)), tokens[2:]

    def pipe(self, tokens: list[Token], at: int, *, in_range: bool = False) -> Pipe:
        """Parse a pipeline; `range` may declare two variables."""
        names, assigns, rest = _declared(tokens)
        if len(names) > 1 and not in_range:
            raise self.fail("only range declares two variables", at)
        return Pipe(self._commands(rest, at), names, assigns, at)

    def _commands(self, tokens: list[Token], at: int) -> tuple[tuple[Operand, ...], ...]:
        commands: list[list[Operand]] = [[]]
        while tokens:
            token, operands = tokens.pop(0), commands[-1]
            if token.text == "|" and token.kind == "sign":
                self._check(operands, token.at)
                commands.append([])
            elif token.kind == "field" and token.glued and operands:
                last = operands.pop()  # `$a.b` and `(f).b` read a field; behind a blank `.b` is an argument of its own
                operands.append(last._replace(fields=(*last.fields, token.text[1:])))
            else:
                operands.append(self._operand(token, tokens))
        self._check(commands[-1], at)
        return tuple(map(tuple, commands))

    def _check(self, operands: list[Operand], at: int) -> None:
        if not operands:
            raise self.fail("missing value for command", at)

    def _operand(self, token: Token, rest: list[Token]) -> Operand:
        if token.kind in ("field", "dot"):
            return Operand("dot", None, (token.text[1:],) if token.kind == "field" else (), token.at)
        if token.kind in ("variable", "name"):
            kind, value = _WORDS.get(token.text, ("variable" if token.kind == "variable" else "function", token.text))
            return Operand(kind, value, (), token.at)
        if token.text == "(":
            return Operand("pipe", self.pipe(self._inside(token, rest), token.at), (), token.at)
        if token.kind == "sign":
            raise self.fail(f"unexpected {token.text!r} in operand", token.at)
        return Operand("constant", constant(token, self.source), (), token.at)

    def _inside(self, opening: Token, rest: list[Token]) -> list[Token]:
        depth = 1
        inner: list[Token] = []
        while rest:
            token = rest.pop(0)
            depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "sign" else 0
            if depth == 0:
                return inner
            if depth > MOST_DEPTH:
                raise self.fail(f"parentheses are nested more than {MOST_DEPTH} deep", opening.at)
            inner.append(token)
        raise self.fail("unclosed left paren", opening.at)


def _declared(tokens: list[Token]) -> tuple[tuple[str, ...], bool, list[Token]]:
    """Split `$a, $b := ...` or `$a = ...` from the pipeline."""
    shape = [token.text if token.kind == "sign" else token.kind for token in tokens[:4]]
    end = 4 if shape[1:3] == [",", "variable"] else 2
    if shape[:1] != ["variable"] or shape[end - 1 : end] not in ([":="], ["="]):
        return (), False, list(tokens)
    return tuple(token.text for token in tokens[:end:2]), shape[end - 1] == "=", tokens[end:]

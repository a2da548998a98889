"""The rules of a policy: read once from plain data, then handed to `select`. Every problem is found, not the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from krmfn.errors import RuleError, RulesError
from krmfn.namedtuple import NamedTuple
from krmfn.policies.policy import DEFAULT, PRECEDENCE, parse_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.policies.pattern import Pattern, Template
    from krmfn.policies.protocol import Followed, Policy


class Ending(NamedTuple):
    """A pattern that only says how a tag ends, without an engine: everybody has the default exclusion list."""

    text: str
    tail: str

    def matches(self, tags: Sequence[str]) -> bytearray:
        """See Pattern.matches."""
        flags = bytearray([tag.endswith(self.tail) for tag in tags])
        at = flags.find(1)
        while at >= 0:
            # `.` takes no line end.
            flags[at] = "\n" not in tags[at]
            at = flags.find(1, at + 1)
        return flags


_SIGNATURES = Ending(r"^.*\.sig$", ".sig")
DEFAULT_EXCLUSIONS = (_SIGNATURES.text,)


class Filter(NamedTuple):
    """filterTags: a pattern, and a template for the text that the policy reads; without one it reads the tag."""

    pattern: Pattern
    extract: Template | None = None


class Rules(NamedTuple):
    """Everything that decides about a tag. Equal rules choose equally."""

    policy: Policy
    filter: Filter | None = None
    exclude: tuple[Pattern | Ending, ...] = ()
    allow: tuple[Pattern | Ending, ...] = ()
    ignore: tuple[Pattern | Ending, ...] = ()

    @property
    def described(self) -> str:
        """The policy for people, such as `semver >=1.2.0 <2.0.0`."""
        return self.policy.described

    @property
    def pins_current(self) -> bool:
        """True when the policy keeps the deployed tag and only asks for its digest."""
        return self.policy.pins_current

    @property
    def followed(self) -> Followed | None:
        """What the policy follows instead of a list: another environment's lock."""
        return self.policy.followed

    @property
    def follows_current(self) -> bool:
        """True when the policy chooses for each deployed tag anew, and so for each field."""
        return self.policy.follows_current

    @property
    def needs_created(self) -> bool:
        """True when the policy has to know when images were built."""
        return self.policy.needs_created

    def canonical(self) -> dict[str, Any]:
        """Return the rules as plain data that can be written as JSON; a lock's policyHash is computed from it."""
        data: dict[str, Any] = {"policy": self.policy.canonical()}
        if self.filter is not None:
            extract = self.filter.extract.text if self.filter.extract else ""
            data["filterTags"] = {"pattern": self.filter.pattern.text, "extract": extract}
        lists = {"exclusionList": self.exclude, "allowTags": self.allow, "ignoreTags": self.ignore}
        data.update(
            {name: sorted(pattern.text for pattern in patterns) for name, patterns in lists.items() if patterns}
        )
        return data


def parse_rules(
    policy: Mapping[str, Any] | None,
    *,
    filter_tags: Mapping[str, Any] | None = None,
    exclusion_list: Sequence[str] | None = None,
    allow_tags: Sequence[str] | None = (),
    ignore_tags: Sequence[str] | None = (),
) -> Rules:
    """Read the rules of a policy from plain data; raises RulesError that holds every problem, each with its field.

    No policy at all means the newest image. An empty exclusion list is the default one, as in Flux.
    """
    problems: list[RuleError] = []
    rules = Rules(
        _attempt(problems, "policy", _policy, policy) or parse_policy(DEFAULT, {}),
        _attempt(problems, "filterTags", _filter, filter_tags),
        _patterns(problems, "exclusionList", exclusion_list or DEFAULT_EXCLUSIONS),
        _patterns(problems, "allowTags", allow_tags),
        _patterns(problems, "ignoreTags", ignore_tags),
    )
    if problems:
        raise RulesError(problems)
    return rules


def _attempt(problems: list[RuleError], name: str, read: Callable[[Any], Any], data: Any) -> Any:
    try:
        return read(data)
    except RuleError as error:
        place = f"{name}.{error.field}" if error.field else name
        problems.append(RuleError(error.message, field=place, help=error.help))
        return None


def _policy(data: Any) -> Policy:
    if data is None:
        return parse_policy(DEFAULT, {})
    members = _mapping(data)
    name = next((name for name in PRECEDENCE if members.get(name) is not None), None)
    if name is None:
        raise RuleError(f"invalid policy: given ImagePolicyChoice object is invalid: {_no_member(members)}")
    try:
        return parse_policy(name, _mapping(members[name]))
    except RuleError as error:
        place = f"{name}.{error.field}" if error.field else name
        raise RuleError(f"invalid policy: {error.message}", field=place, help=error.help) from None


def _no_member(members: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    for member in members:
        if near := get_close_matches(str(member), PRECEDENCE, 1, 0.5):
            return (
                f"write {near[0]}: {{...}} instead of {member}"
                if member != near[0]
                else f"{member} is empty, write {member}: {{...}}"
            )
    return f"expected one of {', '.join(PRECEDENCE)}"


def _filter(data: Any) -> Filter | None:
    if data is None:
        return None
    from krmfn.policies.pattern import Pattern, Template

    options = _mapping(data)
    pattern, extract = _scalar(options, "pattern"), _scalar(options, "extract")
    try:
        compiled = Pattern.parse(pattern)
    except RuleError as error:
        message = f"failed to filter tags: invalid regular expression pattern '{pattern}': {error.message}"
        raise RuleError(message, field="pattern") from None
    try:
        return Filter(compiled, Template.parse(extract) if extract else None)
    except RuleError as error:
        raise RuleError(error.message, field="extract") from None


def _patterns(problems: list[RuleError], name: str, texts: Any) -> tuple[Pattern | Ending, ...]:
    if not isinstance(texts, list | tuple | None):
        problems.append(RuleError("expected a list of patterns", field=name))
        return ()
    patterns = (_attempt(problems, f"{name}[{index}]", _one_pattern, text) for index, text in enumerate(texts or ()))
    return tuple(pattern for pattern in patterns if pattern is not None)


def _one_pattern(text: Any) -> Pattern | Ending:
    if not isinstance(text, str):
        raise RuleError("expected a pattern as text")
    if text == _SIGNATURES.text:
        return _SIGNATURES
    from krmfn.policies.pattern import Pattern  # brings an engine of regular expressions

    try:
        return Pattern.parse(text)
    except RuleError as error:
        raise RuleError(f"failed to compile regex {text}: {error.message}") from None


def _mapping(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise RuleError(
            f"expected a mapping, found {data!r}" if isinstance(data, str) else "expected a mapping, found a list"
        )
    return data


def _scalar(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise RuleError("expected text", field=name)

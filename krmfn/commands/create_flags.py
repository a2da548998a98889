"""What the flags of `krmfn create image` mean, checked: a mistake that a controller would report later is refused now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from krmfn.config.flux import go_duration
from krmfn.diagnostics import misconfigured
from krmfn.errors import RuleError, RulesError
from krmfn.policies.policy import POLICIES

if TYPE_CHECKING:
    from collections.abc import Mapping

REFLECTIONS = ("Never", "IfNotPresent", "Always")
FLAGS = {policy: member.flag for policy, member in POLICIES.items() if member.flag}
"""The flags that select a policy, by policy."""


def selection_of(values: Mapping[str, str | None]) -> tuple[str, str]:
    """Return the policy whose flag is used, and the flag's value; `values` are by policy. Raise ConfigError for a mistake."""
    selected = {policy: value for policy, value in values.items() if value is not None}
    if not selected:
        of_krmfn = " or ".join(f"--select-{flag.name}" for policy, flag in FLAGS.items() if not POLICIES[policy].is_of_flux)
        raise misconfigured(f"a policy must be provided with either --select-semver, --select-alpha or --select-numeric (or {of_krmfn}, for krmfn alone)")
    if len(selected) > 1:
        if own := next((policy for policy in selected if not POLICIES[policy].is_of_flux), None):
            raise misconfigured(f"--select-{FLAGS[own].name} can not be used with another --select flag")
        raise misconfigured("only one of --select-semver, --select-alpha or --select-numeric can be specified")
    ((policy, value),) = selected.items()
    if POLICIES[policy].key_option == "order" and value not in ("asc", "desc"):
        raise misconfigured(f'--select-{FLAGS[policy].name} must be one of ["asc", "desc"]')
    return policy, value


def reflection_of(value: str) -> str:
    """Return what `--reflect-digest` says. Raise ConfigError for a mistake."""
    if value not in REFLECTIONS:
        names = ", ".join(f"'{name}'" for name in REFLECTIONS)
        raise misconfigured(f"invalid value for --reflect-digest, must be one of {names}")
    return value


def digest_interval(interval: str | None, reflection: str | None) -> str:
    """Return the interval of a policy that follows digests. Raise ConfigError for a mistake."""
    if interval and reflection != "Always":
        message = "the --interval flag can only be used with the 'Always' digest reflection policy, use --reflect-digest=Always"
        raise misconfigured(message)
    if reflection == "Always" and not interval:
        raise misconfigured("--reflect-digest=Always needs --interval, for example --interval=10m")
    return duration_of("--interval", interval) if interval else ""


def filter_of(pattern: str | None, extract: str | None) -> dict[str, str]:
    """Return filterTags, the pattern and the template checked. Raise ConfigError for a mistake."""
    from krmfn.policies.pattern import Pattern

    if extract and not pattern:
        raise misconfigured("cannot specify --filter-extract without specifying --filter-regex")
    if not pattern:
        return {}
    try:
        compiled = Pattern.parse(pattern)
    except RuleError as error:
        raise misconfigured(f"--filter-regex is an invalid regex pattern: {error}") from None
    if not extract:
        return {"pattern": pattern}
    _check_extract(extract, compiled.names)
    return {"extract": extract, "pattern": pattern}


def _check_extract(extract: str, names: tuple[str, ...]) -> None:
    import re

    from krmfn.policies.pattern import Template

    if "$" in re.sub(r"\$\$|\$\w+|\$\{\w+\}", "", extract):
        raise misconfigured("--filter-extract is malformed: expected $name, ${name}, $1 or $$ behind every $")
    for part in Template.parse(extract).parts:
        if isinstance(part, tuple) and (part[0] not in names if part[1] < 0 else part[1] >= len(names)):
            named = part[0] if part[1] < 0 else part[1]
            raise misconfigured(f"capture group ${named} used in --filter-extract not found in --filter-regex")


def check_rules(spec: dict[str, Any]) -> None:
    """Parse the rules as a run would: what a controller would only report later is refused now."""
    from krmfn.policies.rules import parse_rules

    try:
        parse_rules(spec["policy"], filter_tags=spec.get("filterTags"))
    except RulesError as error:
        problems = error.problems
        raise misconfigured(
            *(f"spec.{one.field}: {one.message}" + (f" ({one.help})" if one.help else "") for one in problems)
        ) from None


def duration_of(flag: str, value: str) -> str:
    """Return a duration, checked. Raise ConfigError for a mistake."""
    if go_duration(value) is None:
        raise misconfigured(f"{flag}: expected a duration such as 10m, found {value!r}")
    return value


def label_of(label: str) -> tuple[str, str]:
    """Return key and value of a label. Raise ConfigError for a mistake."""
    key, equals, value = label.partition("=")
    if not key or not equals:
        raise misconfigured(f"invalid label format {label!r}, must be key=value")
    return key, value


def check_name(name: str) -> None:
    """Refuse what is no name of an object. Raise ConfigError for a mistake."""
    import re

    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name) or len(name) > 253:
        raise misconfigured(f"{name!r} is no name for an object: expected lower case letters, digits, - and .")

"""How a run behaves: what configuration, the environment and the command line may say, in one record."""

from __future__ import annotations

from collections.abc import Mapping

from krmfn.access import MACHINE, Mirror, Provenance
from krmfn.diagnostics import misconfigured
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, TypeAlias


Mode: TypeAlias = 'Literal["update", "check", "frozen"]'
_CHOICES = {
    "mode": ("update", "check", "frozen"),
    "on_error": ("fail", "keep"),
    "on_downgrade": ("keep", "allow", "fail"),
    "keep_pins": ("true", "false"),
}
"""What the variables `KRMFN_MODE`, `KRMFN_ON_ERROR`, ... may say."""


class Unnamed(NamedTuple):
    """What images that no policy names follow: `version` inside a bound, or, without one, the tag that they have.

    `pin` pins what is not; `on_error` says what becomes of an image that cannot be asked about.
    """

    within: Literal["patch", "minor", "major"] | None = None
    pin: bool = False
    on_error: Literal["fail", "keep"] = "keep"

    @property
    def described(self) -> str:
        """The bound for people: `within minor`."""
        return f"within {self.within}" if self.within else "pin"

    @property
    def policy(self) -> dict[str, Any]:
        """The policy as configuration spells it."""
        return {"version": {"within": self.within}} if self.within else {"digest": {}}


class Settings(NamedTuple):
    """What a run does with what it finds. `layout` is the root of an OCI layout tree, None asks the registries."""

    mode: Mode = "update"
    on_error: Literal["fail", "keep"] = "fail"
    on_downgrade: Literal["keep", "allow", "fail"] = "keep"
    immutable_tags: bool = False
    annotate: bool = False
    layout: str | None = None
    mirrors: tuple[Mirror, ...] = ()
    realm_hosts: tuple[str, ...] = ()
    is_check: bool = False
    """The command line writes nothing and says what would change; what it cannot read may hide a change."""
    strict: bool = False
    """Warnings are errors."""
    now: float | None = None
    """The time, in seconds since 1970; None takes that of the TagSnapshots. Nothing else knows a clock."""
    ignore_windows: bool = False
    """The command line lets tags move although their windows are closed."""
    is_build: bool = False
    """What is written goes nowhere that the next run could read: kustomize called."""
    is_floored: bool = False
    """Rules come from outside: what the tree pins or recorded is no evidence."""
    keep_pins: bool = True
    """A field that holds a digest goes on holding one, whatever `digestReflectionPolicy` says."""
    unnamed: Unnamed | None = None
    """What images follow that no policy names; None leaves them alone."""
    artifact: str | None = None
    """The scan of a fleet that stands in for the registries, `oci://HOST/PATH@DIGEST`; None asks the registries."""
    artifact_provenance: Provenance = MACHINE
    layout_provenance: Provenance = MACHINE
    """Who named the layout: an item may name folders below the one where krmfn runs."""


def overridden(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Let `KRMFN_MODE`, `KRMFN_ON_ERROR`, `KRMFN_ON_DOWNGRADE`, `KRMFN_KEEP_PINS`, `KRMFN_LAYOUT`, `KRMFN_ARTIFACT` and `KRMFN_NOW` speak.

    Raises ConfigError.

    The environment wins over configuration, because kustomize cannot pass arguments everywhere.
    """
    changes: dict[str, Any] = {}
    wrong: list[str] = []
    for name, choices in _CHOICES.items():
        variable = f"KRMFN_{name.upper()}"
        value = environment.get(variable)
        if value and value not in choices:
            wrong.append(f"{variable}: expected one of {', '.join(choices)}, found {value!r}")
        elif value:
            changes[name] = value == "true" if name == "keep_pins" else value
    if environment.get("KRMFN_NOW"):
        changes["now"] = _time("KRMFN_NOW", environment["KRMFN_NOW"], wrong)
    if "KUSTOMIZE_PLUGIN_CONFIG_ROOT" in environment:
        changes["is_build"] = True
    if wrong:
        raise misconfigured(*wrong)
    if environment.get("KRMFN_LAYOUT"):
        settings = settings._replace(layout=environment["KRMFN_LAYOUT"], layout_provenance=MACHINE, artifact=None)
    if environment.get("KRMFN_ARTIFACT"):
        settings = settings._replace(artifact=environment["KRMFN_ARTIFACT"], artifact_provenance=MACHINE, layout=None)
    return settings._replace(**changes) if changes else settings


def dated(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Let `SOURCE_DATE_EPOCH` say the time where nothing else did: builds that are repeated set it."""
    epoch = environment.get("SOURCE_DATE_EPOCH")
    is_time = epoch is not None and epoch.isascii() and epoch.isdigit() and len(epoch) < 12
    if settings.now is not None or epoch is None or not is_time:
        return settings
    return settings._replace(now=float(epoch))


def _time(variable: str, written: str, wrong: list[str]) -> float:
    """Read an RFC 3339 time or seconds since 1970."""
    from krmfn.policies.number import read_time

    if written.isascii() and written.isdigit() and len(written) < 12:
        return float(written)
    time = read_time(written)
    if time is None:
        wrong.append(f"{variable}: expected an RFC 3339 time such as 2026-01-31T09:00:00Z, found {written!r}")
    return time or 0.0

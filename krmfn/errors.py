"""The exceptions, and only those. They leave a module at its door; between the steps failures travel as values."""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from krmfn.model import Diagnostic

RegistryFailure: TypeAlias = 'Literal["not-found", "denied", "rate-limited", "unavailable", "integrity", "limit"]'
"""What went wrong at a registry. `integrity` and `limit` fail the run even under `onError: keep`."""
PASSING: tuple[RegistryFailure, ...] = ("unavailable", "rate-limited")
"""The failures that pass by themselves, so that what was recorded earlier may stand in."""


class KrmfnError(Exception):
    """Everything that a user's input or a registry can cause. Anything else that escapes is a bug."""


class InputError(KrmfnError):
    """The text that was read is not what it must be. Line and column count from one; zero means unknown."""

    def __init__(self, message: str, *, name: str = "", line: int = 0, column: int = 0) -> None:
        self.message, self.name, self.line, self.column = message, name, line, column
        super().__init__(message)

    def __str__(self) -> str:
        """Return `name:line:column: message`, leaving out what is not known."""
        place = self.name or "stdin"
        if self.line:
            place += f":{self.line}" + (f":{self.column}" if self.column else "")
        return f"{place}: {self.message}"


class RuleError(KrmfnError):
    """A rule of a policy cannot be parsed: `field` is the path inside the policy's spec, `help` what to do."""

    def __init__(self, message: str, *, field: str = "", help: str = "") -> None:  # noqa: A002 - the word users see
        self.message, self.field, self.help = message, field, help
        super().__init__(message)


class RulesError(KrmfnError):
    """The rules of one policy are wrong. Holds every problem found, each with its field."""

    def __init__(self, problems: Iterable[RuleError]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class ConfigError(KrmfnError):
    """Configuration is wrong. Holds every problem found, not only the first."""

    def __init__(self, problems: Iterable[Diagnostic]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class RegistryError(KrmfnError):
    """A source of tags could not answer. Carries the class of failure, never a credential.

    `common` is what the source says of all repositories that it fails alike, such as those that a layout lacks; empty
    where a failure is about one repository, or about its host.
    """

    def __init__(
        self,
        failure: RegistryFailure,
        repository: str,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        common: str = "",
    ) -> None:
        self.failure, self.repository, self.message, self.status, self.code = failure, repository, message, status, code
        self.common = common
        super().__init__(f"{repository}: {message}")

    def reworded(self, message: str, common: str = "") -> RegistryError:
        """Return the same failure in other words."""
        return RegistryError(self.failure, self.repository, message, status=self.status, code=self.code, common=common)

    @property
    def host(self) -> str:
        """The registry that the repository belongs to."""
        return self.repository.partition("/")[0]


class GitError(KrmfnError):
    """git refused, or krmfn refused to let git do something. `help` says what to do next."""

    def __init__(self, message: str, *, help: str = "") -> None:  # noqa: A002 - the word users see
        self.message, self.help = message, help
        super().__init__(message)

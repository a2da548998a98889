"""The one exception of this package."""

from __future__ import annotations


class TemplateError(Exception):
    """A template cannot be read or run. Line and column count from one; zero means unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        self.message, self.line, self.column = message, line, column
        place = f"line {line}, column {column}: " if line else ""
        super().__init__(place + message)

"""Make a value at most once per key, however many threads ask."""

from __future__ import annotations

from _thread import LockType, allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any, TypeVar

    Value = TypeVar("Value")


class Once:
    """Remembers values by key. Askers of one key wait for the first of them; different keys do not wait for each other.

    >>> once = Once()
    >>> once.get("a", lambda: 1), once.get("a", lambda: 2)
    (1, 1)
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, LockType] = {}
        self._lock = allocate_lock()

    def __bool__(self) -> bool:
        """True if any value is known."""
        return bool(self._values)

    def known(self, key: Hashable) -> object:
        """Return the value of `key` if there is one, and wait for nobody."""
        return self._values.get(key)

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of `key`; what `make` raises goes to its caller, and the next asker tries again."""
        with self._lock:
            lock = self._locks.setdefault(key, allocate_lock())
        with lock:
            if key not in self._values:
                self._values[key] = make()
            value: Value = self._values[key]
            return value

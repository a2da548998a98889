"""Holding back the signals that end the program, while something is half done that has to be undone or finished."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signals_held() -> Iterator[Sequence[int]]:
    """Hold back the signals that end the program until the block is done; yields those that came."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    handlers = {number: signal.getsignal(number) for number in _ENDING}
    held = [number for number in _ENDING if handlers[number] not in (signal.SIG_IGN, None)]
    for number in held:
        signal.signal(number, note)
    try:
        yield came
    finally:
        for number in held:
            signal.signal(number, handlers[number])
        for one in came:
            signal.raise_signal(one)

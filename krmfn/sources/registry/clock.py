"""What the client takes from the machine besides sockets, so that a test can hand it another."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from krmfn.sources.registry.origin import is_public


@dataclass(frozen=True, slots=True)
class World:
    """Clocks, sleep, chance, and which addresses count as public."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    is_public: Callable[[str], bool] = is_public

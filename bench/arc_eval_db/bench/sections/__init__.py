"""What is measured, by section: which candidates there are, and how each is run once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Figures = dict[str, float | None]
"""What one run found; None where this machine cannot tell."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    events: int = 200_000
    """Of each workload that goes through the sink."""
    partitions: int = 4
    """Of each topic."""
    seed: int = 1
    calls: int = 20_000
    """Of `emit`."""
    produced: int = 50_000
    """Events that the SDK sends."""
    rate: int = 2_000
    """Events a second while latency is measured."""
    latency_s: float = 15.0
    plain_events: int = 10_000
    """Of the loop that writes one event after the other."""
    imports: int = 10
    """Fresh interpreters."""

    @classmethod
    def quick(cls) -> Sizes:
        """To see whether everything works; the figures say little."""
        return cls(
            events=5_000,
            calls=1_000,
            produced=2_000,
            rate=200,
            latency_s=3.0,
            plain_events=300,
            imports=1,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that is measured; each run of it is checked."""

    section: str
    name: str
    run: Callable[[], Awaitable[Figures]]
    workload: str | None = None
    guarantee: str | None = None
    """What it promises about each event, where it delivers any."""

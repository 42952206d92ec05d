"""Random tests by seed: a few in every run, and all of them where there is time."""

from __future__ import annotations

from typing import Any

import pytest

_FEW = 3


def some_of(seeds: int) -> list[Any]:
    """For `parametrize`: from 0 on; those after the first few are marked `long`."""
    return [seed if seed < _FEW else pytest.param(seed, marks=pytest.mark.long) for seed in range(seeds)]

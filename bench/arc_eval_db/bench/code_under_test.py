"""Which code a measured process runs: this release, or another whose folders come first on its path."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import arc_eval_db


@dataclass(frozen=True, slots=True)
class Code:
    """What a measured process runs, and the database that it runs on."""

    environment: Mapping[str, str] | None = None
    """Besides the arena's: where the code is, and settings of its own."""
    database: str = "full"
    """The name of the arena's database."""
    without_indexes: Sequence[str] = ()
    """Dropped from it."""
    python: str = sys.executable


def folders_of_this_release() -> str:
    """The value of PYTHONPATH that makes another interpreter import this release."""
    return os.pathsep.join(str(Path(folder).parent) for folder in arc_eval_db.__path__)

"""Resolve Maven coordinates with jgo: `python -P resolve.py <directory> <coordinate>…` prints the jars' paths.

A program of its own, so that fetching has a deadline, can be interrupted, and prints nothing of its own: what jgo says
may name the registry it was configured with, which is nobody's business but the machine's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jgo


def main(directory: str, *coordinates: str) -> None:
    """Resolve each coordinate by itself: resolved together, log4j's bill of materials replaces kafka-clients by 3.9."""
    for coordinate in coordinates:
        # The environment holds `jars/` and `modules/`, and Kafka needs both.
        environment = jgo.build(coordinate, cache_dir=Path(directory))
        for jar in sorted(environment.path.rglob("*.jar")):
            sys.stdout.write(f"{jar}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

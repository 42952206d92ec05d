"""`arc-eval-db consume` with fail points: `python -m fault.worker_process`, and settings from the environment."""

from __future__ import annotations

import sys

from arc_eval_db.cli.main import run
from fault.fail_points import FailPoints, tell

if __name__ == "__main__":
    FailPoints.from_environment().install()
    tell("started")
    sys.argv[1:1] = ["consume"]
    run()

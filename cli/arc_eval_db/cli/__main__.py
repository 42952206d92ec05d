"""`python -m arc_eval_db.cli` is `arc-eval-db`."""

from __future__ import annotations

from arc_eval_db.cli.main import run

if __name__ == "__main__":
    run()

"""The measured processes of this project's own parts: `python -m arc_eval_db.bench.runs.<name> '<options>'`."""

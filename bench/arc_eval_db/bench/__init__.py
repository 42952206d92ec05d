"""How fast everything is: `arc-eval-db bench`.

Each measured run is a process of its own (`arc_eval_db.bench.runs`, `arc_eval_db.bench.peers`); what starts, repeats
and reports them is here.
"""

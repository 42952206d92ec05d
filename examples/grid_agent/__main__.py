"""`python examples/grid_agent --puzzle 3 …`: the sandbox by path, without setting PYTHONPATH."""

import runpy
import sys
from pathlib import Path

# At the end, so that nothing beside this package hides a module of the standard library.
sys.path.append(str(Path(__file__).resolve().parents[1]))
runpy.run_module("grid_agent.sandbox", run_name="__main__")

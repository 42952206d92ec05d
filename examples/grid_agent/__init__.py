"""A program-search agent that solves generated grid puzzles: a real evaluation, small enough to read in one sitting."""

"""The command `arc-eval-db`: thin, one module per noun."""

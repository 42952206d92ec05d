"""The web dashboard: pages over the pipeline, its database and what agents did. docs/dashboard.md tells of it."""

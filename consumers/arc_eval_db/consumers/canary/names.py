"""What a canary's executions are called, so that nobody's figures hold them. docs/canary.md says why so."""

from __future__ import annotations

from types import MappingProxyType

from arc_eval_db.schemas import ids

CANARY_NAME = "arc-eval-canary"
"""The scenario, the configuration and the tool of every canary. They are in no simulation."""

# Its content decides the version's id: to change it is to make a second version, unknown to filters by the id.
CANARY_CONFIGURATION = MappingProxyType(
    {"name": CANARY_NAME, "purpose": "a synthetic execution that shows whether events arrive"}
)

CANARY_CONFIGURATION_VERSION_ID = ids.configuration_version_id(dict(CANARY_CONFIGURATION))
CANARY_SCENARIO_ID = ids.scenario_id(CANARY_NAME)

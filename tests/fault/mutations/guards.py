"""Every guard that is proved."""

from __future__ import annotations

from fault.mutations.guards_alerts import ALERT_MUTATIONS
from fault.mutations.guards_api import API_MUTATIONS
from fault.mutations.guards_backfill import BACKFILL_MUTATIONS
from fault.mutations.guards_canary import CANARY_MUTATIONS
from fault.mutations.guards_configurations import CONFIGURATION_MUTATIONS
from fault.mutations.guards_consumer import CONSUMER_MUTATIONS
from fault.mutations.guards_dashboard import DASHBOARD_MUTATIONS
from fault.mutations.guards_database import DATABASE_MUTATIONS
from fault.mutations.guards_dead_letters import DEAD_LETTER_MUTATIONS
from fault.mutations.guards_health import HEALTH_MUTATIONS
from fault.mutations.guards_lag import LAG_MUTATIONS
from fault.mutations.guards_monitoring import MONITORING_MUTATIONS
from fault.mutations.guards_producer import PRODUCER_MUTATIONS
from fault.mutations.guards_replay import REPLAY_MUTATIONS
from fault.mutations.guards_sink import SINK_MUTATIONS

MUTATIONS = (
    *DATABASE_MUTATIONS,
    *CONSUMER_MUTATIONS,
    *SINK_MUTATIONS,
    *LAG_MUTATIONS,
    *CANARY_MUTATIONS,
    *MONITORING_MUTATIONS,
    *HEALTH_MUTATIONS,
    *ALERT_MUTATIONS,
    *BACKFILL_MUTATIONS,
    *REPLAY_MUTATIONS,
    *DEAD_LETTER_MUTATIONS,
    *CONFIGURATION_MUTATIONS,
    *API_MUTATIONS,
    *DASHBOARD_MUTATIONS,
    *PRODUCER_MUTATIONS,
)

DROP MATERIALIZED VIEW failures_daily;
DROP MATERIALIZED VIEW failures_hourly;
DROP MATERIALIZED VIEW tool_usage_daily;
DROP MATERIALIZED VIEW tool_usage_hourly;
DROP MATERIALIZED VIEW errors_daily;
DROP MATERIALIZED VIEW errors_hourly;
DROP MATERIALIZED VIEW scenario_outcomes_daily;
DROP MATERIALIZED VIEW scenario_outcomes_hourly;
DROP MATERIALIZED VIEW outcomes_daily;
DROP MATERIALIZED VIEW outcomes_hourly;
ALTER TABLE outcomes SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE tool_usage SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE failures SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE execution_events SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
DROP TABLE storage_policies;

-- One-day chunks, compressed after a week; how long each is kept follows from what it is asked for.
SELECT create_hypertable('outcomes', by_range('time', INTERVAL '1 day'), create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('tool_usage', by_range('time', INTERVAL '1 day'), create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('failures', by_range('time', INTERVAL '1 day'), create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('execution_events', by_range('time', INTERVAL '1 day'), create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('consumer_lag_samples', by_range('time', INTERVAL '1 day'), create_default_indexes => false, migrate_data => true);

ALTER TABLE outcomes SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE tool_usage SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE failures SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE execution_events SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'time DESC'
);
ALTER TABLE consumer_lag_samples SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'consumer_group, topic, partition', timescaledb.orderby = 'time DESC'
);

CALL add_columnstore_policy('outcomes', after => INTERVAL '7 days');
CALL add_columnstore_policy('tool_usage', after => INTERVAL '7 days');
CALL add_columnstore_policy('failures', after => INTERVAL '7 days');
CALL add_columnstore_policy('execution_events', after => INTERVAL '7 days');
CALL add_columnstore_policy('consumer_lag_samples', after => INTERVAL '7 days');

SELECT add_retention_policy('outcomes', drop_after => INTERVAL '365 days');
SELECT add_retention_policy('tool_usage', drop_after => INTERVAL '90 days');
SELECT add_retention_policy('failures', drop_after => INTERVAL '180 days');
SELECT add_retention_policy('execution_events', drop_after => INTERVAL '30 days');
SELECT add_retention_policy('consumer_lag_samples', drop_after => INTERVAL '14 days');

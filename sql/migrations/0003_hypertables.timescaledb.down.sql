-- A hypertable cannot be turned back, so its rows move into an ordinary table of the same shape.

CREATE TABLE outcomes_plain (LIKE outcomes INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO outcomes_plain SELECT * FROM outcomes;
DROP TABLE outcomes;
ALTER TABLE outcomes_plain RENAME TO outcomes;
CREATE UNIQUE INDEX outcomes_event_id_time_key ON outcomes (event_id, time);
CREATE INDEX outcomes_execution_id_idx ON outcomes (execution_id);
CREATE INDEX outcomes_configuration_version_id_idx ON outcomes (configuration_version_id, time DESC);

CREATE TABLE tool_usage_plain (LIKE tool_usage INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO tool_usage_plain SELECT * FROM tool_usage;
DROP TABLE tool_usage;
ALTER TABLE tool_usage_plain RENAME TO tool_usage;
CREATE UNIQUE INDEX tool_usage_event_id_time_key ON tool_usage (event_id, time);
CREATE INDEX tool_usage_execution_id_idx ON tool_usage (execution_id);

CREATE TABLE failures_plain (LIKE failures INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO failures_plain SELECT * FROM failures;
DROP TABLE failures;
ALTER TABLE failures_plain RENAME TO failures;
CREATE UNIQUE INDEX failures_event_id_time_key ON failures (event_id, time);
CREATE INDEX failures_execution_id_idx ON failures (execution_id);
CREATE INDEX failures_pattern_id_idx ON failures (pattern_id, time DESC);

CREATE TABLE execution_events_plain (LIKE execution_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO execution_events_plain SELECT * FROM execution_events;
DROP TABLE execution_events;
ALTER TABLE execution_events_plain RENAME TO execution_events;
CREATE UNIQUE INDEX execution_events_event_id_time_key ON execution_events (event_id, time);
CREATE INDEX execution_events_execution_id_idx ON execution_events (execution_id);

CREATE TABLE consumer_lag_samples_plain (LIKE consumer_lag_samples INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO consumer_lag_samples_plain SELECT * FROM consumer_lag_samples;
DROP TABLE consumer_lag_samples;
ALTER TABLE consumer_lag_samples_plain RENAME TO consumer_lag_samples;
CREATE INDEX consumer_lag_samples_consumer_group_idx ON consumer_lag_samples (consumer_group, topic, partition, time DESC);

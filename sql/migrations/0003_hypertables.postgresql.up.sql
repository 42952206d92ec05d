-- Rows arrive nearly in the order of time, so a block-range index finds a window at almost no cost for the writer.
-- On TimescaleDB the chunks do the same.
CREATE INDEX outcomes_time_idx ON outcomes USING brin (time);
CREATE INDEX tool_usage_time_idx ON tool_usage USING brin (time);
CREATE INDEX failures_time_idx ON failures USING brin (time);
CREATE INDEX execution_events_time_idx ON execution_events USING brin (time);
CREATE INDEX consumer_lag_samples_time_idx ON consumer_lag_samples USING brin (time);

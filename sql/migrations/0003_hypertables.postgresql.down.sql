DROP INDEX consumer_lag_samples_time_idx;
DROP INDEX execution_events_time_idx;
DROP INDEX failures_time_idx;
DROP INDEX tool_usage_time_idx;
DROP INDEX outcomes_time_idx;

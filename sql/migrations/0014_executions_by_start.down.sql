DROP INDEX executions_started_at_idx;

-- not-required
-- independent
-- The newest executions of all, a page at a time: the dashboard's search. Without it every page reads the whole table
-- (1.8 s of 5.7 million rows; 0.1 ms with it). To make it takes about a second for a million rows, in which workers wait.
CREATE INDEX executions_started_at_idx ON executions (started_at DESC);

-- not-required
-- Workers keep samples of their lag, at most one a partition and interval, whichever of them had the partition: so they
-- look when the last one was taken. What it says is not theirs to read. Without this right a worker takes no samples, and does
-- all else.
GRANT SELECT (time, consumer_group, topic, partition) ON consumer_lag_samples TO arc_eval_writer;

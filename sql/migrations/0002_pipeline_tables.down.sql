DROP TABLE replay_jobs;
DROP TABLE consumer_lag_samples;
DROP TABLE dead_letters;
DROP TABLE consumer_offsets;

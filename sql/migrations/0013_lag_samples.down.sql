REVOKE SELECT (time, consumer_group, topic, partition) ON consumer_lag_samples FROM arc_eval_writer;

-- What the pipeline page of the dashboard shows of the past. The rights of arc_eval_reader suffice.

-- name: lag_history
-- A row a topic and bucket, oldest first: the most that was unread of each partition in the bucket, added up; the oldest
-- unread event; and what came in and went out since the partition's bucket before, which is null where an offset went back.
-- $1 group, $2 for how long, $3 width of a bucket.
WITH sampled AS (
    SELECT
        date_bin($3::interval, time, timestamptz '2020-01-01') AS bucket, topic, partition,
        max(time) AS last_at,
        max(lag_messages) AS messages,
        max(lag_seconds) AS seconds,
        max(next_offset) AS next_offset,
        max(log_end_offset) AS log_end
    FROM consumer_lag_samples
    WHERE consumer_group = $1 AND time > now() - $2::interval
    GROUP BY 1, topic, partition
), moved AS (
    SELECT
        bucket, topic, messages, seconds,
        next_offset - lag(next_offset) OVER before AS went_out,
        log_end - lag(log_end) OVER before AS came_in,
        EXTRACT(EPOCH FROM last_at - lag(last_at) OVER before)::float8 AS took_s
    FROM sampled
    WINDOW before AS (PARTITION BY topic, partition ORDER BY bucket)
)
SELECT
    bucket AS time, topic,
    sum(messages)::bigint AS messages,
    max(seconds) AS seconds,
    sum(came_in / took_s) FILTER (WHERE came_in >= 0 AND took_s > 0)::float8 AS in_per_s,
    sum(went_out / took_s) FILTER (WHERE went_out >= 0 AND took_s > 0)::float8 AS out_per_s
FROM moved
GROUP BY bucket, topic
ORDER BY bucket, topic;

-- name: count_dead_letters
-- How many records were set aside in ranges of the log. $1 topics, $2 partitions, $3 first offsets, $4 ends (same length).
SELECT given.topic, count(*) AS letters
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS given (topic, partition, first_offset, end_offset)
JOIN dead_letters AS letter
    ON letter.topic = given.topic AND letter.log_partition = given.partition
    AND letter.log_offset >= given.first_offset AND letter.log_offset < given.end_offset
GROUP BY given.topic;

-- name: insert_dead_letters
-- A record is set aside once, however often it is read again. Its time tells it from one of a topic that was made anew.
-- $1 group, $2 consumer version, then one array a column, all of the same length.
INSERT INTO dead_letters (
    consumer_group, consumer_version, topic, log_partition, log_offset, log_timestamp, reason, error_class, sqlstate,
    detail, event_id, event_type, key, value, headers
)
SELECT $1, $2, topic, log_partition, log_offset, log_timestamp, reason, error_class, sqlstate, detail, event_id, event_type,
    key, value, headers::jsonb
FROM unnest(
    $3::text[], $4::int[], $5::bigint[], $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[], $11::uuid[],
    $12::text[], $13::bytea[], $14::bytea[], $15::text[]
) AS given (
    topic, log_partition, log_offset, log_timestamp, reason, error_class, sqlstate, detail, event_id, event_type, key, value,
    headers
)
ORDER BY topic, log_partition, log_offset
ON CONFLICT (topic, log_partition, log_offset, log_timestamp) DO NOTHING;

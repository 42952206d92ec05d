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

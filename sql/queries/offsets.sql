-- name: read_offsets
-- Where a group stands. $1 group, $2 topics, $3 partitions (same length).
SELECT o.topic, o.partition, o.next_offset, o.anchor_offset, o.anchor_timestamp_ms, o.anchor_hash
FROM consumer_offsets AS o
JOIN unnest($2::text[], $3::int[]) AS wanted (topic, partition) USING (topic, partition)
WHERE o.consumer_group = $1;

-- name: read_offsets_of_topic
-- Where a group stands on one topic, the partitions that it no longer has included. $1 group, $2 topic.
SELECT topic, partition, next_offset, anchor_offset, anchor_timestamp_ms, anchor_hash
FROM consumer_offsets
WHERE consumer_group = $1 AND topic = $2;

-- name: insert_offsets
-- First sight of a partition. $1 group, $2 topics, $3 partitions, $4 offsets (same length).
INSERT INTO consumer_offsets (consumer_group, topic, partition, next_offset)
SELECT $1, topic, partition, next_offset
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS first (topic, partition, next_offset)
ORDER BY topic, partition
ON CONFLICT (consumer_group, topic, partition) DO NOTHING;

-- name: advance_offsets
-- The fence. A consumer moves an offset only from where it believes the group stands; where somebody else has moved it,
-- no row comes back. Rows are locked in one order, so that two consumers cannot deadlock on them.
-- An anchor that is null leaves the one that is there.
-- $1 group, $2 topics, $3 partitions, $4 offsets before, $5 offsets after, $6 anchors' offsets, $7 their timestamps, $8 their
-- hashes (same length).
WITH locked AS (
    SELECT o.topic, o.partition, step.after_offset, step.anchor_offset, step.anchor_timestamp_ms, step.anchor_hash
    FROM consumer_offsets AS o
    JOIN unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[])
        AS step (topic, partition, before_offset, after_offset, anchor_offset, anchor_timestamp_ms, anchor_hash)
        ON o.topic = step.topic AND o.partition = step.partition AND o.next_offset = step.before_offset
    WHERE o.consumer_group = $1
    ORDER BY o.topic, o.partition
    FOR UPDATE OF o
)
UPDATE consumer_offsets AS o
SET next_offset = locked.after_offset,
    updated_at = clock_timestamp(), -- the end of the transaction, and not its beginning: lag is reckoned from it
    anchor_offset = COALESCE(locked.anchor_offset, o.anchor_offset),
    anchor_timestamp_ms = COALESCE(locked.anchor_timestamp_ms, o.anchor_timestamp_ms),
    anchor_hash = COALESCE(locked.anchor_hash, o.anchor_hash)
FROM locked
WHERE o.consumer_group = $1 AND o.topic = locked.topic AND o.partition = locked.partition
RETURNING o.topic, o.partition;

-- name: reset_offsets
-- A jump, by the same fence: what was read before it says nothing of the log any more.
-- $1 group, $2 topics, $3 partitions, $4 offsets before, $5 offsets after (same length).
WITH locked AS (
    SELECT o.topic, o.partition, step.after_offset
    FROM consumer_offsets AS o
    JOIN unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS step (topic, partition, before_offset, after_offset)
        ON o.topic = step.topic AND o.partition = step.partition AND o.next_offset = step.before_offset
    WHERE o.consumer_group = $1
    ORDER BY o.topic, o.partition
    FOR UPDATE OF o
)
UPDATE consumer_offsets AS o
SET next_offset = locked.after_offset,
    updated_at = now(),
    anchor_offset = NULL,
    anchor_timestamp_ms = NULL,
    anchor_hash = NULL
FROM locked
WHERE o.consumer_group = $1 AND o.topic = locked.topic AND o.partition = locked.partition
RETURNING o.topic, o.partition;

-- name: insert_log_gaps
-- What a group will never read. $1 group, $2 topics, $3 partitions, $4 first offsets (same length), $5 end or null, $6 reason,
-- $7 consumer version.
INSERT INTO log_gaps (consumer_group, topic, partition, first_offset, end_offset, reason, consumer_version)
SELECT $1, topic, partition, first_offset, $5::bigint, $6, $7
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS gap (topic, partition, first_offset)
ORDER BY topic, partition;

-- name: read_offsets
-- Where a group stands. $1 group, $2 topics, $3 partitions (same length).
SELECT o.topic, o.partition, o.next_offset
FROM consumer_offsets AS o
JOIN unnest($2::text[], $3::int[]) AS wanted (topic, partition) USING (topic, partition)
WHERE o.consumer_group = $1;

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
SET next_offset = locked.after_offset, updated_at = now()
FROM locked
WHERE o.consumer_group = $1 AND o.topic = locked.topic AND o.partition = locked.partition
RETURNING o.topic, o.partition;

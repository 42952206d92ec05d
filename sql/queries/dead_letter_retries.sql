-- What people do with dead letters. The filter is the same everywhere, null where it does not matter:
-- $1 ids, $2 reasons, $3 topics, $4 set aside since, $5 set aside before.

-- name: list_dead_letters
-- Newest first. No payload, which not everybody may read. $6 states, $7 whether resolved ones are among them (so that the
-- index of the others can be used where not), $8 only ids below this one, $9 how many.
SELECT id, dead_lettered_at, topic, log_partition, log_offset, log_timestamp, reason, error_class, sqlstate, detail, event_id,
    event_type, consumer_group, consumer_version, attempts, last_attempt_at, last_detail, quarantined_at, resolved_at,
    resolution, resolved_by
FROM dead_letters
WHERE ($1::bigint[] IS NULL OR id = ANY($1))
    AND ($2::text[] IS NULL OR reason = ANY($2))
    AND ($3::text[] IS NULL OR topic = ANY($3))
    AND ($4::timestamptz IS NULL OR dead_lettered_at >= $4)
    AND ($5::timestamptz IS NULL OR dead_lettered_at < $5)
    AND (resolved_at IS NULL OR $7::boolean)
    AND CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN quarantined_at IS NOT NULL THEN 'quarantined' ELSE 'open' END
        = ANY($6::text[])
    AND ($8::bigint IS NULL OR id < $8)
ORDER BY id DESC
LIMIT $9;

-- name: count_dead_letters_by_reason
-- $6 states, $7 whether resolved ones are among them.
SELECT topic, reason,
    count(*) FILTER (WHERE resolved_at IS NULL AND quarantined_at IS NULL) AS open,
    count(*) FILTER (WHERE resolved_at IS NULL AND quarantined_at IS NOT NULL) AS quarantined,
    count(*) FILTER (WHERE resolved_at IS NOT NULL) AS resolved,
    min(dead_lettered_at) AS oldest_at,
    max(dead_lettered_at) AS newest_at
FROM dead_letters
WHERE ($1::bigint[] IS NULL OR id = ANY($1))
    AND ($2::text[] IS NULL OR reason = ANY($2))
    AND ($3::text[] IS NULL OR topic = ANY($3))
    AND ($4::timestamptz IS NULL OR dead_lettered_at >= $4)
    AND ($5::timestamptz IS NULL OR dead_lettered_at < $5)
    AND (resolved_at IS NULL OR $7::boolean)
    AND CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN quarantined_at IS NOT NULL THEN 'quarantined' ELSE 'open' END
        = ANY($6::text[])
GROUP BY topic, reason
ORDER BY topic, reason;

-- name: read_dead_letter_content
-- $1 an id.
SELECT key, value, headers FROM dead_letters WHERE id = $1;

-- name: existing_dead_letters
-- $1 ids.
SELECT id FROM dead_letters WHERE id = ANY($1::bigint[]);

-- name: newest_dead_letter
-- What one run goes up to, and since when: letters that come meanwhile, or are tried by another run, are not for this one.
SELECT COALESCE(max(id), 0) AS id, clock_timestamp() AS now FROM dead_letters;

-- name: privileges_on_dead_letters
SELECT
    current_user AS role,
    has_column_privilege('dead_letters', 'value', 'SELECT') AS reads_content,
    has_table_privilege('dead_letters', 'UPDATE') AS changes;

-- name: claim_dead_letters
-- The next letters to try, locked; those that another run has at the moment are passed over. $6 only ids above this one,
-- $7 up to this one, $8 not those that were tried since, $9 quarantined ones too, $10 how many.
SELECT id, topic, log_partition, log_offset, log_timestamp, key, value, headers
FROM dead_letters
WHERE ($1::bigint[] IS NULL OR id = ANY($1))
    AND ($2::text[] IS NULL OR reason = ANY($2))
    AND ($3::text[] IS NULL OR topic = ANY($3))
    AND ($4::timestamptz IS NULL OR dead_lettered_at >= $4)
    AND ($5::timestamptz IS NULL OR dead_lettered_at < $5)
    AND resolved_at IS NULL
    AND (quarantined_at IS NULL OR $9::boolean)
    AND (last_attempt_at IS NULL OR last_attempt_at < $8)
    AND id > $6
    AND id <= $7
ORDER BY id
LIMIT $10
FOR UPDATE SKIP LOCKED;

-- name: mark_dead_letters
-- After an attempt. $1 ids, $2 resolutions (null: refused again), $3 what they were refused for (the same length),
-- $4 by whom, $5 how many attempts there are before one is quarantined.
UPDATE dead_letters AS letter
SET attempts = letter.attempts + 1,
    last_attempt_at = clock_timestamp(),
    last_detail = COALESCE(given.detail, letter.last_detail),
    quarantined_at = CASE
        WHEN given.resolution IS NULL AND letter.attempts + 1 >= $5::int THEN COALESCE(letter.quarantined_at, clock_timestamp())
        ELSE letter.quarantined_at
    END,
    resolution = given.resolution,
    resolved_at = CASE WHEN given.resolution IS NOT NULL THEN clock_timestamp() END,
    resolved_by = CASE WHEN given.resolution IS NOT NULL THEN $4::text END
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS given (id, resolution, detail)
WHERE letter.id = given.id
RETURNING letter.id, letter.resolved_at IS NULL AND letter.quarantined_at IS NOT NULL AS is_quarantined;

-- name: discard_dead_letters
-- The oldest of those that are meant. $6 quarantined ones (true), open ones (false) or both (null), $7 ids up to this one,
-- $8 how many, $9 by whom.
WITH chosen AS (
    SELECT id
    FROM dead_letters
    WHERE ($1::bigint[] IS NULL OR id = ANY($1))
        AND ($2::text[] IS NULL OR reason = ANY($2))
        AND ($3::text[] IS NULL OR topic = ANY($3))
        AND ($4::timestamptz IS NULL OR dead_lettered_at >= $4)
        AND ($5::timestamptz IS NULL OR dead_lettered_at < $5)
        AND resolved_at IS NULL
        AND ($6::boolean IS NULL OR (quarantined_at IS NOT NULL) = $6)
        AND id <= $7
    ORDER BY id
    LIMIT $8
    FOR UPDATE
)
UPDATE dead_letters AS letter
SET resolution = 'discarded', resolved_at = clock_timestamp(), resolved_by = $9
FROM chosen
WHERE letter.id = chosen.id
RETURNING letter.id;

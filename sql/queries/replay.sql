-- name: insert_replay_job
-- Written again where the answer was lost. $1 id, $2 who, $3 plan (JSON), $4 progress (JSON).
INSERT INTO replay_jobs (id, requested_by, plan, status, progress)
VALUES ($1, $2, $3::jsonb, 'running', $4::jsonb)
ON CONFLICT (id) DO NOTHING;

-- name: read_replay_job
-- $1 id.
SELECT id, requested_by, plan::text, status, progress::text, report::text, error, created_at, updated_at, finished_at
FROM replay_jobs
WHERE id = $1;

-- name: list_replay_jobs
-- The newest first. $1 how many.
SELECT id, requested_by, plan::text, status, progress::text, report::text, error, created_at, updated_at, finished_at
FROM replay_jobs
ORDER BY created_at DESC, id DESC
LIMIT $1;

-- name: lock_replay_job
-- Until the connection ends. $1 id as text.
SELECT pg_try_advisory_lock(hashtextextended('arc-eval-db replay ' || $1, 0));

-- name: resume_replay_job
-- Whoever held it before cannot go on. Returns how many batches are done; no row where the job is. $1 id, $2 the run that holds it (JSON).
UPDATE replay_jobs
SET status = 'running', report = NULL, error = NULL, finished_at = NULL, updated_at = now(),
    progress = '{"batches": 0, "positions": [], "counts": {}}'::jsonb
        || COALESCE(progress, '{}'::jsonb)
        || jsonb_build_object('run', $2::jsonb)
WHERE id = $1 AND status NOT IN ('completed', 'cancelled')
RETURNING (progress ->> 'batches')::bigint;

-- name: lock_replay_progress
-- In the transaction of the rows, before them. $1 id.
SELECT progress::text FROM replay_jobs WHERE id = $1 FOR UPDATE;

-- name: note_replay_progress
-- In the transaction of the rows. $1 id, $2 progress (JSON).
UPDATE replay_jobs SET progress = $2::jsonb, updated_at = now() WHERE id = $1;

-- name: end_replay_job
-- $1 id, $2 status, $3 report (JSON), $4 error, $5 the run that held it.
UPDATE replay_jobs
SET status = $2, report = $3::jsonb, error = $4, updated_at = now(),
    finished_at = CASE WHEN $2 = 'paused' THEN NULL ELSE now() END
WHERE id = $1 AND progress ->> 'run' = $5;

-- name: compressed_chunks
-- TimescaleDB only. Chunks of tables that are compressed and hold times of a window.
-- $1 tables, $2 first time, $3 last time.
SELECT count(*)
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema() AND hypertable_name = ANY ($1::text[])
    AND is_compressed AND range_start <= $3 AND range_end > $2;

-- name: refreshable_from
-- TimescaleDB only. From when on each continuous aggregate may be computed anew: earlier, rows were dropped that it still
-- counts. $1, $2: the aggregates, and the hypertable that each is computed from (same length).
SELECT computed.aggregate, now() - policy.drop_after + INTERVAL '2 days' AS refreshable_from
FROM unnest($1::text[], $2::text[]) AS computed (aggregate, source)
JOIN storage_policies AS policy ON policy.relation = computed.source;

-- Where each consumer group stands. This, not Kafka's own record of it, is what consumers start from: it is written in
-- the transaction of the rows.
CREATE TABLE consumer_offsets (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT consumer_offsets_pkey PRIMARY KEY (consumer_group, topic, partition),
    CONSTRAINT consumer_offsets_next_offset_check CHECK (next_offset >= 0)
)
-- Updated with every batch and never indexed otherwise: room on the page keeps the updates in place (HOT).
WITH (fillfactor = 50);

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY,
    dead_lettered_at timestamptz NOT NULL DEFAULT now(),
    topic text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    log_timestamp timestamptz NOT NULL,
    reason text NOT NULL,
    error_class text NOT NULL,
    sqlstate text,
    detail text NOT NULL,
    event_id uuid,
    event_type text,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,
    consumer_group text NOT NULL,
    consumer_version text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    resolved_at timestamptz,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (id),
    CONSTRAINT dead_letters_topic_log_partition_log_offset_key UNIQUE (topic, log_partition, log_offset)
);
CREATE INDEX dead_letters_reason_idx ON dead_letters (reason, dead_lettered_at DESC);
CREATE INDEX dead_letters_event_id_idx ON dead_letters (event_id);

CREATE TABLE consumer_lag_samples (
    time timestamptz NOT NULL,
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    log_start_offset bigint NOT NULL,
    log_end_offset bigint NOT NULL,
    lag_messages bigint NOT NULL,
    lag_seconds double precision
);
CREATE INDEX consumer_lag_samples_consumer_group_idx ON consumer_lag_samples (consumer_group, topic, partition, time DESC);

CREATE TABLE replay_jobs (
    id uuid NOT NULL,
    requested_by text NOT NULL,
    plan jsonb NOT NULL,
    status text NOT NULL,
    progress jsonb,
    report jsonb,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT replay_jobs_pkey PRIMARY KEY (id),
    CONSTRAINT replay_jobs_status_check CHECK (status IN ('running', 'paused', 'completed', 'failed', 'cancelled'))
);
CREATE INDEX replay_jobs_created_at_idx ON replay_jobs (created_at DESC);

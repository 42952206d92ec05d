-- Ids are computed by whoever emits, so a row may be met before what describes it: a name or a content that is still
-- unknown is null and is filled in when its event arrives.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE configurations (
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT configurations_pkey PRIMARY KEY (id),
    CONSTRAINT configurations_name_key UNIQUE (name)
);

CREATE TABLE configuration_versions (
    id uuid NOT NULL,
    configuration_id uuid,
    content_hash text,
    content jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT configuration_versions_pkey PRIMARY KEY (id),
    CONSTRAINT configuration_versions_configuration_id_fkey FOREIGN KEY (configuration_id) REFERENCES configurations (id)
);
CREATE INDEX configuration_versions_configuration_id_idx ON configuration_versions (configuration_id);

CREATE TABLE scenarios (
    id uuid NOT NULL,
    name text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT scenarios_pkey PRIMARY KEY (id)
);
CREATE INDEX scenarios_name_idx ON scenarios (name);

CREATE TABLE simulations (
    id uuid NOT NULL,
    name text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT simulations_pkey PRIMARY KEY (id)
);
CREATE INDEX simulations_name_idx ON simulations (name);

CREATE TABLE executions (
    id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    started_at timestamptz,
    ended_at timestamptz,
    attempt integer NOT NULL DEFAULT 1,
    source text,
    metadata jsonb,
    CONSTRAINT executions_pkey PRIMARY KEY (id),
    CONSTRAINT executions_configuration_version_id_fkey
        FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions (id),
    CONSTRAINT executions_scenario_id_fkey FOREIGN KEY (scenario_id) REFERENCES scenarios (id),
    CONSTRAINT executions_simulation_id_fkey FOREIGN KEY (simulation_id) REFERENCES simulations (id)
);
CREATE INDEX executions_configuration_version_id_idx ON executions (configuration_version_id, started_at DESC);
CREATE INDEX executions_scenario_id_idx ON executions (scenario_id, started_at DESC);
CREATE INDEX executions_simulation_id_idx ON executions (simulation_id, started_at DESC);

-- The four tables below grow with every event and become hypertables on TimescaleDB. They have no foreign keys: one
-- costs a COPY 40 %, and the writer creates the parents in the same transaction.
CREATE TABLE outcomes (
    time timestamptz NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    status text NOT NULL,
    success boolean NOT NULL,
    score double precision,
    duration_ms double precision,
    cost_usd double precision,
    input_tokens bigint,
    output_tokens bigint,
    error_kind text,
    error_message text,
    metadata jsonb,
    last_sequence bigint,
    dropped jsonb,
    log_partition integer,
    log_offset bigint,
    CONSTRAINT outcomes_status_check CHECK (status IN ('succeeded', 'failed', 'errored', 'timed_out', 'cancelled')),
    CONSTRAINT outcomes_success_check CHECK (success = (status = 'succeeded'))
);
CREATE UNIQUE INDEX outcomes_event_id_time_key ON outcomes (event_id, time);
CREATE INDEX outcomes_execution_id_idx ON outcomes (execution_id);
CREATE INDEX outcomes_configuration_version_id_idx ON outcomes (configuration_version_id, time DESC);

CREATE TABLE tool_usage (
    time timestamptz NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    tool text NOT NULL,
    success boolean NOT NULL,
    duration_ms double precision,
    error text,
    arguments jsonb,
    result_bytes bigint,
    log_partition integer,
    log_offset bigint
);
CREATE UNIQUE INDEX tool_usage_event_id_time_key ON tool_usage (event_id, time);
CREATE INDEX tool_usage_execution_id_idx ON tool_usage (execution_id);

CREATE TABLE failures (
    time timestamptz NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    message text NOT NULL,
    details jsonb,
    pattern_id uuid NOT NULL,
    log_partition integer,
    log_offset bigint
);
CREATE UNIQUE INDEX failures_event_id_time_key ON failures (event_id, time);
CREATE INDEX failures_execution_id_idx ON failures (execution_id);
CREATE INDEX failures_pattern_id_idx ON failures (pattern_id, time DESC);

CREATE TABLE execution_events (
    time timestamptz NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    traceparent text,
    data jsonb NOT NULL,
    log_partition integer,
    log_offset bigint
);
CREATE UNIQUE INDEX execution_events_event_id_time_key ON execution_events (event_id, time);
CREATE INDEX execution_events_execution_id_idx ON execution_events (execution_id);

-- 384 dimensions: what common small sentence-embedding models give. Filled in by the recommendation engine.
CREATE TABLE failure_patterns (
    id uuid NOT NULL,
    kind text NOT NULL,
    signature text NOT NULL,
    example text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    embedding vector(384),
    CONSTRAINT failure_patterns_pkey PRIMARY KEY (id)
);
CREATE INDEX failure_patterns_kind_idx ON failure_patterns (kind, last_seen_at DESC);
CREATE INDEX failure_patterns_embedding_idx ON failure_patterns USING hnsw (embedding vector_cosine_ops);

CREATE TABLE llm_recommendation_sessions (
    id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    status text NOT NULL,
    model text,
    prompt_hash text,
    window_from timestamptz NOT NULL,
    window_to timestamptz NOT NULL,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT llm_recommendation_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT llm_recommendation_sessions_configuration_version_id_fkey
        FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions (id),
    CONSTRAINT llm_recommendation_sessions_status_check CHECK (status IN ('running', 'completed', 'degraded', 'failed')),
    CONSTRAINT llm_recommendation_sessions_window_check CHECK (window_from < window_to)
);
CREATE INDEX llm_recommendation_sessions_configuration_version_id_idx
    ON llm_recommendation_sessions (configuration_version_id, created_at DESC);

CREATE TABLE recommendations (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    applied_version_id uuid,
    title text NOT NULL,
    rationale text NOT NULL,
    patch jsonb NOT NULL,
    evidence jsonb NOT NULL,
    predicted_effect jsonb,
    measured_effect jsonb,
    status text NOT NULL DEFAULT 'proposed',
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    CONSTRAINT recommendations_pkey PRIMARY KEY (id),
    CONSTRAINT recommendations_session_id_fkey FOREIGN KEY (session_id) REFERENCES llm_recommendation_sessions (id),
    CONSTRAINT recommendations_configuration_version_id_fkey
        FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions (id),
    CONSTRAINT recommendations_applied_version_id_fkey
        FOREIGN KEY (applied_version_id) REFERENCES configuration_versions (id),
    CONSTRAINT recommendations_status_check
        CHECK (status IN ('proposed', 'accepted', 'rejected', 'applied', 'measured', 'kept', 'reverted'))
);
CREATE INDEX recommendations_session_id_idx ON recommendations (session_id);
CREATE INDEX recommendations_configuration_version_id_idx ON recommendations (configuration_version_id, created_at DESC);
CREATE INDEX recommendations_applied_version_id_idx ON recommendations (applied_version_id);

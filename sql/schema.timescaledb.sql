-- Made from the migrations by `make schema`; a test compares the two. Not to be edited.

CREATE TABLE configuration_versions (
    id uuid NOT NULL,
    configuration_id uuid,
    content_hash text,
    content jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configuration_versions_configuration_id_fkey FOREIGN KEY (configuration_id) REFERENCES configurations(id),
    CONSTRAINT configuration_versions_pkey PRIMARY KEY (id)
);
CREATE TABLE configurations (
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configurations_pkey PRIMARY KEY (id),
    CONSTRAINT configurations_name_key UNIQUE (name)
);
CREATE TABLE consumer_lag_samples (
    time timestamp with time zone NOT NULL,
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    log_start_offset bigint NOT NULL,
    log_end_offset bigint NOT NULL,
    lag_messages bigint NOT NULL,
    lag_seconds double precision
);
CREATE TABLE consumer_offsets (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT consumer_offsets_next_offset_check CHECK ((next_offset >= 0)),
    CONSTRAINT consumer_offsets_pkey PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor=50);
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    dead_lettered_at timestamp with time zone DEFAULT now() NOT NULL,
    topic text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    log_timestamp timestamp with time zone NOT NULL,
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
    attempts integer DEFAULT 0 NOT NULL,
    resolved_at timestamp with time zone,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (id),
    CONSTRAINT dead_letters_topic_log_partition_log_offset_key UNIQUE (topic, log_partition, log_offset)
);
CREATE TABLE execution_events (
    time timestamp with time zone NOT NULL,
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
CREATE TABLE executions (
    id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    attempt integer DEFAULT 1 NOT NULL,
    source text,
    metadata jsonb,
    CONSTRAINT executions_configuration_version_id_fkey FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT executions_scenario_id_fkey FOREIGN KEY (scenario_id) REFERENCES scenarios(id),
    CONSTRAINT executions_simulation_id_fkey FOREIGN KEY (simulation_id) REFERENCES simulations(id),
    CONSTRAINT executions_pkey PRIMARY KEY (id)
);
CREATE TABLE failure_patterns (
    id uuid NOT NULL,
    kind text NOT NULL,
    signature text NOT NULL,
    example text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    embedding vector(384),
    CONSTRAINT failure_patterns_pkey PRIMARY KEY (id)
);
CREATE TABLE failures (
    time timestamp with time zone NOT NULL,
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
CREATE TABLE llm_recommendation_sessions (
    id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    status text NOT NULL,
    model text,
    prompt_hash text,
    window_from timestamp with time zone NOT NULL,
    window_to timestamp with time zone NOT NULL,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT llm_recommendation_sessions_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'degraded'::text, 'failed'::text]))),
    CONSTRAINT llm_recommendation_sessions_window_check CHECK ((window_from < window_to)),
    CONSTRAINT llm_recommendation_sessions_configuration_version_id_fkey FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT llm_recommendation_sessions_pkey PRIMARY KEY (id)
);
CREATE TABLE outcomes (
    time timestamp with time zone NOT NULL,
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
    CONSTRAINT outcomes_status_check CHECK ((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'errored'::text, 'timed_out'::text, 'cancelled'::text]))),
    CONSTRAINT outcomes_success_check CHECK ((success = (status = 'succeeded'::text)))
);
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
    status text DEFAULT 'proposed'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_at timestamp with time zone,
    CONSTRAINT recommendations_status_check CHECK ((status = ANY (ARRAY['proposed'::text, 'accepted'::text, 'rejected'::text, 'applied'::text, 'measured'::text, 'kept'::text, 'reverted'::text]))),
    CONSTRAINT recommendations_applied_version_id_fkey FOREIGN KEY (applied_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT recommendations_configuration_version_id_fkey FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT recommendations_session_id_fkey FOREIGN KEY (session_id) REFERENCES llm_recommendation_sessions(id),
    CONSTRAINT recommendations_pkey PRIMARY KEY (id)
);
CREATE TABLE replay_jobs (
    id uuid NOT NULL,
    requested_by text NOT NULL,
    plan jsonb NOT NULL,
    status text NOT NULL,
    progress jsonb,
    report jsonb,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT replay_jobs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'paused'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT replay_jobs_pkey PRIMARY KEY (id)
);
CREATE TABLE scenarios (
    id uuid NOT NULL,
    name text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT scenarios_pkey PRIMARY KEY (id)
);
CREATE TABLE simulations (
    id uuid NOT NULL,
    name text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT simulations_pkey PRIMARY KEY (id)
);
CREATE TABLE tool_usage (
    time timestamp with time zone NOT NULL,
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
CREATE INDEX configuration_versions_configuration_id_idx ON configuration_versions USING btree (configuration_id);
CREATE INDEX consumer_lag_samples_consumer_group_idx ON consumer_lag_samples USING btree (consumer_group, topic, partition, "time" DESC);
CREATE INDEX dead_letters_event_id_idx ON dead_letters USING btree (event_id);
CREATE INDEX dead_letters_reason_idx ON dead_letters USING btree (reason, dead_lettered_at DESC);
CREATE UNIQUE INDEX execution_events_event_id_time_key ON execution_events USING btree (event_id, "time");
CREATE INDEX execution_events_execution_id_idx ON execution_events USING btree (execution_id);
CREATE INDEX executions_configuration_version_id_idx ON executions USING btree (configuration_version_id, started_at DESC);
CREATE INDEX executions_scenario_id_idx ON executions USING btree (scenario_id, started_at DESC);
CREATE INDEX executions_simulation_id_idx ON executions USING btree (simulation_id, started_at DESC);
CREATE INDEX failure_patterns_embedding_idx ON failure_patterns USING hnsw (embedding vector_cosine_ops);
CREATE INDEX failure_patterns_kind_idx ON failure_patterns USING btree (kind, last_seen_at DESC);
CREATE UNIQUE INDEX failures_event_id_time_key ON failures USING btree (event_id, "time");
CREATE INDEX failures_execution_id_idx ON failures USING btree (execution_id);
CREATE INDEX failures_pattern_id_idx ON failures USING btree (pattern_id, "time" DESC);
CREATE INDEX llm_recommendation_sessions_configuration_version_id_idx ON llm_recommendation_sessions USING btree (configuration_version_id, created_at DESC);
CREATE INDEX outcomes_configuration_version_id_idx ON outcomes USING btree (configuration_version_id, "time" DESC);
CREATE UNIQUE INDEX outcomes_event_id_time_key ON outcomes USING btree (event_id, "time");
CREATE INDEX outcomes_execution_id_idx ON outcomes USING btree (execution_id);
CREATE INDEX recommendations_applied_version_id_idx ON recommendations USING btree (applied_version_id);
CREATE INDEX recommendations_configuration_version_id_idx ON recommendations USING btree (configuration_version_id, created_at DESC);
CREATE INDEX recommendations_session_id_idx ON recommendations USING btree (session_id);
CREATE INDEX replay_jobs_created_at_idx ON replay_jobs USING btree (created_at DESC);
CREATE INDEX scenarios_name_idx ON scenarios USING btree (name);
CREATE INDEX simulations_name_idx ON simulations USING btree (name);
CREATE UNIQUE INDEX tool_usage_event_id_time_key ON tool_usage USING btree (event_id, "time");
CREATE INDEX tool_usage_execution_id_idx ON tool_usage USING btree (execution_id);
-- hypertable consumer_lag_samples: chunks of 1 day by time; columnstore: segmentby consumer_group,topic,partition, orderby "time" DESC
-- hypertable execution_events: chunks of 1 day by time; columnstore: segmentby configuration_version_id, orderby "time" DESC
-- hypertable failures: chunks of 1 day by time; columnstore: segmentby configuration_version_id, orderby "time" DESC
-- hypertable outcomes: chunks of 1 day by time; columnstore: segmentby configuration_version_id, orderby "time" DESC
-- hypertable tool_usage: chunks of 1 day by time; columnstore: segmentby configuration_version_id, orderby "time" DESC
-- policy policy_compression on consumer_lag_samples: compress_after 7 days
-- policy policy_retention on consumer_lag_samples: drop_after 14 days
-- policy policy_compression on execution_events: compress_after 7 days
-- policy policy_retention on execution_events: drop_after 30 days
-- policy policy_compression on failures: compress_after 7 days
-- policy policy_retention on failures: drop_after 180 days
-- policy policy_compression on outcomes: compress_after 7 days
-- policy policy_retention on outcomes: drop_after 365 days
-- policy policy_compression on tool_usage: compress_after 7 days
-- policy policy_retention on tool_usage: drop_after 90 days

-- not-required
-- independent
-- Numbers and labels for the versions of a configuration, where they are deployed, and who did what. Workers do without:
-- versions that arrive by an event get their numbers from a trigger.

ALTER TABLE configurations
    -- Grows with every change of the configuration, its versions and labels: who writes can say what was read.
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    -- A JSON Schema that people's contents must fit; a sandbox's event is never refused for it.
    ADD COLUMN content_schema jsonb,
    ADD COLUMN archived_at timestamptz,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

-- No version may come between those that are numbered below and the trigger.
LOCK TABLE configuration_versions IN SHARE ROW EXCLUSIVE MODE;

-- By the beginning of the hash.
CREATE INDEX configuration_versions_content_hash_idx ON configuration_versions (content_hash text_pattern_ops);

-- 1, 2, 3, ... for each configuration. The same content may have a number under two names.
CREATE TABLE configuration_version_numbers (
    configuration_id uuid NOT NULL,
    number integer NOT NULL,
    configuration_version_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Null: it arrived with a sandbox's event.
    created_by text,
    CONSTRAINT configuration_version_numbers_pkey PRIMARY KEY (configuration_id, number),
    CONSTRAINT configuration_version_numbers_version_key UNIQUE (configuration_id, configuration_version_id),
    CONSTRAINT configuration_version_numbers_configuration_id_fkey
        FOREIGN KEY (configuration_id) REFERENCES configurations (id),
    CONSTRAINT configuration_version_numbers_version_id_fkey
        FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions (id),
    CONSTRAINT configuration_version_numbers_number_check CHECK (number > 0)
);
CREATE INDEX configuration_version_numbers_version_id_idx ON configuration_version_numbers (configuration_version_id);

-- The primary key keeps a label of a configuration on one version.
CREATE TABLE configuration_labels (
    configuration_id uuid NOT NULL,
    label text NOT NULL,
    number integer NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_by text NOT NULL,
    CONSTRAINT configuration_labels_pkey PRIMARY KEY (configuration_id, label),
    CONSTRAINT configuration_labels_number_fkey
        FOREIGN KEY (configuration_id, number) REFERENCES configuration_version_numbers (configuration_id, number)
);

-- Which version ran where, from when until when. Several may be in a deployment at once.
CREATE TABLE configuration_deployments (
    id bigint GENERATED ALWAYS AS IDENTITY,
    configuration_id uuid NOT NULL,
    number integer NOT NULL,
    deployment text NOT NULL,
    environment text NOT NULL,
    deployed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deployed_by text NOT NULL,
    undeployed_at timestamptz,
    undeployed_by text,
    CONSTRAINT configuration_deployments_pkey PRIMARY KEY (id),
    CONSTRAINT configuration_deployments_number_fkey
        FOREIGN KEY (configuration_id, number) REFERENCES configuration_version_numbers (configuration_id, number),
    CONSTRAINT configuration_deployments_times_check CHECK (deployed_at <= undeployed_at)
);
CREATE UNIQUE INDEX configuration_deployments_current_key
    ON configuration_deployments (deployment, environment, configuration_id, number) WHERE undeployed_at IS NULL;
CREATE INDEX configuration_deployments_deployment_idx ON configuration_deployments (deployment, deployed_at DESC);
CREATE INDEX configuration_deployments_configuration_id_idx
    ON configuration_deployments (configuration_id, deployed_at DESC);

CREATE TABLE configuration_audit (
    id bigint GENERATED ALWAYS AS IDENTITY,
    configuration_id uuid NOT NULL,
    time timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Null: a sandbox's event.
    actor text,
    action text NOT NULL,
    number integer,
    label text,
    details jsonb,
    CONSTRAINT configuration_audit_pkey PRIMARY KEY (id),
    CONSTRAINT configuration_audit_configuration_id_fkey FOREIGN KEY (configuration_id) REFERENCES configurations (id)
);
CREATE INDEX configuration_audit_configuration_id_idx ON configuration_audit (configuration_id, id DESC);

-- Versions that are there already, in the order in which they came.
INSERT INTO configuration_version_numbers (configuration_id, number, configuration_version_id, created_at)
SELECT configuration_id, row_number() OVER (PARTITION BY configuration_id ORDER BY created_at, id), id, created_at
FROM configuration_versions
WHERE configuration_id IS NOT NULL;

-- The number of a version under a configuration, taken now if it has none. The configuration's row is the lock under which
-- numbers are taken, so that they have no gaps: what is rolled back takes its number with it. A version that has a number
-- costs one look-up, and no lock.
CREATE FUNCTION number_configuration_version(configuration uuid, version uuid, actor text) RETURNS integer
LANGUAGE plpgsql AS
$$
DECLARE
    known integer;
BEGIN
    SELECT number INTO known FROM configuration_version_numbers AS given
    WHERE given.configuration_id = configuration AND given.configuration_version_id = version;
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    PERFORM FROM configurations WHERE id = configuration FOR NO KEY UPDATE;
    -- A statement of its own sees what was committed while the lock was waited for.
    SELECT number INTO known FROM configuration_version_numbers AS given
    WHERE given.configuration_id = configuration AND given.configuration_version_id = version;
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    UPDATE configurations SET revision = revision + 1, updated_at = clock_timestamp() WHERE id = configuration;
    INSERT INTO configuration_version_numbers (configuration_id, number, configuration_version_id, created_by)
    SELECT configuration, COALESCE(max(given.number), 0) + 1, version, actor
    FROM configuration_version_numbers AS given
    WHERE given.configuration_id = configuration
    RETURNING number INTO known;
    INSERT INTO configuration_audit (configuration_id, actor, action, number)
    VALUES (configuration, actor, 'version_added', known);
    RETURN known;
END
$$;
REVOKE ALL ON FUNCTION number_configuration_version(uuid, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION number_configuration_version(uuid, uuid, text) TO arc_eval_admin;

-- After the statement, and by it: a row that ON CONFLICT drops fires nothing, and where a batch brings versions of several
-- configurations, these are locked in the order of their ids, as by every other. With its owner's rights: the writer gets
-- none to numbers.
DO $make$
BEGIN
    EXECUTE format($function$
CREATE FUNCTION number_configuration_versions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = %I, pg_temp AS
$$
DECLARE
    version record;
BEGIN
    FOR version IN
        SELECT id, configuration_id FROM changed WHERE configuration_id IS NOT NULL ORDER BY configuration_id, id
    LOOP
        PERFORM number_configuration_version(version.configuration_id, version.id, NULL);
    END LOOP;
    RETURN NULL;
END
$$
    $function$, current_schema());
END
$make$;
REVOKE ALL ON FUNCTION number_configuration_versions() FROM PUBLIC;

CREATE TRIGGER configuration_versions_number_inserted AFTER INSERT ON configuration_versions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION number_configuration_versions();
CREATE TRIGGER configuration_versions_number_updated AFTER UPDATE ON configuration_versions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION number_configuration_versions();

GRANT SELECT ON
    configuration_version_numbers, configuration_labels, configuration_deployments, configuration_audit
    TO arc_eval_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    configuration_version_numbers, configuration_labels, configuration_deployments
    TO arc_eval_admin;
-- What was done stays written.
GRANT SELECT, INSERT ON configuration_audit TO arc_eval_admin;

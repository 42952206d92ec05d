-- What a schema consists of, in a fixed order. Tables of extensions are left out.

-- name: columns
SELECT
    c.relname AS "table",
    a.attname AS "column",
    format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS not_null,
    a.attidentity <> '' AS identity,
    pg_get_expr(d.adbin, d.adrelid) AS "default"
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = current_schema()::regnamespace
    AND c.relkind IN ('r', 'p')
    AND c.relname <> 'schema_migrations'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
ORDER BY c.relname, a.attnum;

-- name: constraints
-- Not-null constraints stand with their columns; PostgreSQL lists them here only from version 18 on.
SELECT c.relname AS "table", con.conname AS name, pg_get_constraintdef(con.oid) AS definition
FROM pg_constraint AS con
JOIN pg_class AS c ON c.oid = con.conrelid
WHERE c.relnamespace = current_schema()::regnamespace
    AND c.relname <> 'schema_migrations'
    AND con.contype IN ('p', 'u', 'f', 'c')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
ORDER BY c.relname, con.contype, con.conname;

-- name: table_options
SELECT relname AS "table", array_to_string(reloptions, ', ') AS options
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND reloptions IS NOT NULL
ORDER BY relname;

-- name: indexes
SELECT replace(pg_get_indexdef(i.indexrelid), quote_ident(current_schema()) || '.', '') AS definition
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
WHERE t.relnamespace = current_schema()::regnamespace
    AND t.relname <> 'schema_migrations'
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = t.oid AND deptype = 'e')
ORDER BY t.relname, c.relname;

-- name: views
-- Continuous aggregates are described by what they were made from: the view of one names its hypertable by a number.
SELECT c.relname AS name, pg_get_viewdef(c.oid, true) AS definition
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace
    AND c.relkind = 'v'
    AND pg_get_viewdef(c.oid) NOT LIKE '%\_materialized\_hypertable\_%'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
ORDER BY c.relname;

-- name: functions
SELECT pg_get_functiondef(p.oid) AS definition
FROM pg_proc AS p
WHERE p.pronamespace = current_schema()::regnamespace
    AND p.prokind = 'f'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
ORDER BY p.proname;

-- name: triggers
SELECT pg_get_triggerdef(t.oid, true) AS definition
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = current_schema()::regnamespace
    AND NOT t.tgisinternal
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = t.tgfoid AND deptype = 'e')
ORDER BY c.relname, t.tgname;

-- name: privileges
-- What this project's roles may do with each table, view and column.
SELECT
    c.relname || COALESCE('.' || granted.column_name, '') AS "on",
    r.rolname AS role,
    string_agg(granted.privilege_type, ', ' ORDER BY granted.privilege_type) AS privileges
FROM pg_class AS c
CROSS JOIN LATERAL (
    SELECT NULL AS column_name, acl.grantee, acl.privilege_type FROM aclexplode(c.relacl) AS acl
    UNION ALL
    SELECT a.attname, acl.grantee, acl.privilege_type
    FROM pg_attribute AS a
    CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
    WHERE a.attrelid = c.oid AND NOT a.attisdropped
) AS granted
JOIN pg_roles AS r ON r.oid = granted.grantee
WHERE c.relnamespace = current_schema()::regnamespace AND r.rolname LIKE 'arc\_eval\_%'
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: hypertables
SELECT
    d.hypertable_name AS "table",
    d.column_name AS "column",
    d.time_interval::text AS interval,
    s.segmentby,
    s.orderby
FROM timescaledb_information.dimensions AS d
LEFT JOIN timescaledb_information.hypertable_columnstore_settings AS s
    ON s.hypertable = format('%I.%I', d.hypertable_schema, d.hypertable_name)::regclass
WHERE d.hypertable_schema = current_schema()
ORDER BY d.hypertable_name, d.dimension_number;

-- name: continuous_aggregates
SELECT a.view_name AS name, a.materialized_only, a.view_definition AS definition, s.segmentby, s.orderby
FROM timescaledb_information.continuous_aggregates AS a
LEFT JOIN timescaledb_information.hypertable_columnstore_settings AS s
    ON s.hypertable = format('%I.%I', a.materialization_hypertable_schema, a.materialization_hypertable_name)::regclass
WHERE a.view_schema = current_schema()
ORDER BY a.view_name;

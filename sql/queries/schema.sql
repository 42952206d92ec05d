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
SELECT relname AS name, pg_get_viewdef(oid, true) AS definition
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace
    AND relkind = 'v'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
ORDER BY relname;

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

-- name: jobs
SELECT hypertable_name AS "table", proc_name AS procedure, config::text AS config
FROM timescaledb_information.jobs
WHERE hypertable_schema = current_schema()
ORDER BY hypertable_name, proc_name;

/*
 * tests/memory/statements.h - what is run while memory is short: name, what comes before it, the
 * statement, what to look at after it, and what takes it back. Only the statement itself runs
 * short.
 */
#ifndef TEST_STATEMENTS_H
#define TEST_STATEMENTS_H

#include <stddef.h>

enum how {
    SIMPLE,   /* one Query message */
    TIMED,    /* the same, with times in its answer */
    PARAMS,   /* Parse, Bind, Describe, Execute, Sync; $1 is 7, $2 is 'seven' */
    PREPARED, /* Parse and Sync, then Bind, Describe, Execute and Sync of the name "p" */
    COPY_IN,
    COPY_OUT,
    CONNECT /* a session of its own */
};

struct statement { /* NULL: nothing */
    const char *name;
    enum how how;
    const char *before; /* again before the second try if the statement stands in a block */
    const char *run;
    const char *check;
    const char *after;
};

static const char *const setup[] = {
    "CREATE TABLE t (id int PRIMARY KEY, v int, s text, n numeric(12,2), f float8, d date,"
    " doc jsonb, a int[])",
    "CREATE INDEX t_v ON t (v)",
    "INSERT INTO t SELECT i, i % 97, 'text number ' || i, i * 1.25, i / 7.0, date '2024-01-01' + i "
    "% 400,"
    " jsonb_build_object('k', i % 13, 'name', 'n' || i, 'sub', jsonb_build_object('x', i),"
    " 'list', jsonb_build_array(i, i + 1, 'z')), ARRAY[i, i % 3] FROM generate_series(1, 1500) i",
    "CHECKPOINT",
    "INSERT INTO t SELECT i, i % 97, 'hot text ' || i, i * 1.25, i / 7.0, date '2025-01-01',"
    " jsonb_build_object('k', i % 13), ARRAY[i] FROM generate_series(1501, 1600) i",
    "UPDATE t SET s = s || ' changed' WHERE id % 50 = 0",
    "CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t (id), w text)",
    "INSERT INTO u SELECT i, i * 3, 'w' || i % 10 FROM generate_series(1, 300) i",
    "CREATE TABLE made (id int PRIMARY KEY, v text UNIQUE, x int DEFAULT 3 CHECK (x > 0))",
    "CREATE VIEW seen AS SELECT t.id, t.v, u.w FROM t JOIN u ON u.t_id = t.id",
    "CREATE SEQUENCE counter",
};

#define BLOCK(text)   "BEGIN; " text
#define T_SUM         "SELECT count(*), sum(id), sum(v), sum(length(s)) FROM t"
#define MADE          "SELECT * FROM made ORDER BY id"
#define MADE_EMPTY    "DELETE FROM made"
#define MADE_ROWS     "DELETE FROM made; INSERT INTO made VALUES (1, 'one', 1), (2, 'two', 2)"
#define NO_TABLE      "SELECT count(*) FROM pg_class WHERE relname LIKE 'fresh%'"
#define SMALL_MEMORY  "SET work_mem = '64kB'"
#define NORMAL_MEMORY "RESET work_mem"

/* clang-format off */
static const struct statement statements[] = {
    /* queries */
    {.name = "constant", .run = "SELECT 1 + 2, 'x' || 'y', now() IS NOT NULL, 1.5::numeric / 3"},
    {.name = "key", .run = "SELECT * FROM t WHERE id = 700"},
    {.name = "range of an index", .run = "SELECT id, s FROM t WHERE v BETWEEN 5 AND 6 ORDER BY v, id LIMIT 7"},
    {.name = "scan", .run = "SELECT id, s, n, f, d FROM t WHERE s LIKE '%9%' AND n > 100 AND d < '2024-06-01'"},
    {.name = "expressions",
     .run = "SELECT CASE WHEN v < 10 THEN upper(s) ELSE substr(s, 3) END, coalesce(nullif(v, 3), -1), to_char(d, 'YYYY Mon'),"
            " round(n / 3, 4), s ~ 'ber 1', a[1], d + interval '1 day', v IN (1, 2, 3), greatest(v, 50) FROM t WHERE id < 60"},
    {.name = "aggregate", .run = "SELECT count(*), sum(n), avg(f), min(s), max(d), count(DISTINCT v), string_agg(s, ',') FILTER (WHERE id < 9) FROM t"},
    {.name = "groups", .run = "SELECT v, count(*), sum(n), max(s) FROM t GROUP BY v HAVING count(*) > 3 ORDER BY v"},
    {.name = "grouping sets", .run = "SELECT v % 3, id % 2, count(*) FROM t GROUP BY ROLLUP (1, 2) ORDER BY 1, 2"},
    {.name = "groups on disk",
     .before = SMALL_MEMORY,
     .run = "SELECT count(*) FROM (SELECT s, doc::text, sum(n) FROM t GROUP BY 1, 2) x",
     .after = NORMAL_MEMORY},
    {.name = "distinct", .run = "SELECT DISTINCT v, d FROM t WHERE id < 200 ORDER BY 1, 2"},
    {.name = "distinct on", .run = "SELECT DISTINCT ON (v) v, id FROM t ORDER BY v, id DESC"},
    {.name = "sort", .run = "SELECT s FROM t ORDER BY v, s DESC, n"},
    {.name = "sort on disk",
     .before = SMALL_MEMORY,
     .run = "SELECT sum(r * id) FROM (SELECT id, row_number() OVER () r FROM (SELECT id, s, doc FROM t ORDER BY s || v) x) y",
     .after = NORMAL_MEMORY},
    {.name = "first rows", .run = "SELECT id, s FROM t ORDER BY n DESC LIMIT 5 OFFSET 2"},
    {.name = "join", .run = "SELECT t.id, t.s, u.w FROM t JOIN u ON u.t_id = t.id WHERE u.w < 'w5' ORDER BY 1"},
    {.name = "outer joins",
     .run = "SELECT count(*), count(t.id), count(u.id), count(x.id) FROM t FULL JOIN u ON u.id = t.id LEFT JOIN u x ON x.id = t.v AND x.w > 'w2'"},
    {.name = "join on disk",
     .before = SMALL_MEMORY,
     .run = "SELECT count(*), sum(length(x.s)) FROM t x JOIN t y ON x.s || x.doc::text = y.s || y.doc::text",
     .after = NORMAL_MEMORY},
    {.name = "semi and anti join", .run = "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id) AND id NOT IN (SELECT id FROM u)"},
    {.name = "lateral", .run = "SELECT u.id, x.s FROM u, LATERAL (SELECT s FROM t WHERE t.v = u.id ORDER BY id LIMIT 1) x WHERE u.id < 20 ORDER BY 1"},
    {.name = "scalar subquery",
     .run = "SELECT id, (SELECT max(s) FROM t WHERE t.v = u.id), ARRAY(SELECT id FROM t WHERE v = u.id ORDER BY 1 LIMIT 2) FROM u WHERE id < 5"},
    {.name = "set operations", .run = "SELECT v FROM t INTERSECT SELECT id FROM u EXCEPT SELECT 5 UNION ALL SELECT 1000 ORDER BY 1"},
    {.name = "union on disk",
     .before = SMALL_MEMORY,
     .run = "SELECT count(*) FROM (SELECT s, doc FROM t UNION SELECT w, NULL FROM u) x",
     .after = NORMAL_MEMORY},
    {.name = "common tables",
     .run = "WITH m AS MATERIALIZED (SELECT v, count(*) c FROM t GROUP BY v) SELECT * FROM m x JOIN m y ON x.v = y.v + 1 ORDER BY 1"},
    {.name = "recursion",
     .run = "WITH RECURSIVE r(i, s) AS (SELECT 1, 'a' UNION ALL SELECT i + 1, s || 'b' FROM r WHERE i < 30) SELECT sum(i), max(s) FROM r"},
    {.name = "windows",
     .run = "SELECT id, row_number() OVER (PARTITION BY v ORDER BY id), sum(n) OVER (PARTITION BY v ORDER BY id ROWS 2 PRECEDING),"
            " lag(s) OVER (ORDER BY id), ntile(4) OVER (ORDER BY n) FROM t WHERE id < 300 ORDER BY 1"},
    {.name = "windows on disk",
     .before = SMALL_MEMORY,
     .run = "SELECT sum(x) FROM (SELECT sum(length(s)) OVER (PARTITION BY v % 3 ORDER BY id) x, s, doc FROM t) y",
     .after = NORMAL_MEMORY},
    {.name = "frames of ranges",
     .run = "SELECT id, count(*) OVER (ORDER BY n RANGE BETWEEN 12.5 PRECEDING AND 1e30 FOLLOWING), max(s) OVER (ORDER BY d DESC RANGE BETWEEN '1 month' PRECEDING AND '3 days' FOLLOWING)"
            " FROM t WHERE id < 200 ORDER BY 1"},
    {.name = "values", .run = "SELECT * FROM (VALUES (1, 'a', NULL), (2, 'b', 2.5)) x (i, s, n) ORDER BY 1 DESC"},
    {.name = "set functions", .run = "SELECT i, x FROM generate_series(1, 5) i, unnest(ARRAY['a','b']) WITH ORDINALITY x"},
    {.name = "functions side by side",
     .run = "SELECT id, generate_series(1e30, 1e30 + id % 3), regexp_split_to_table(w, 'w') FROM u WHERE id < 30 ORDER BY 1, 2"},
    {.name = "functions of rows", .run = "SELECT u.id, x.* FROM u LEFT JOIN LATERAL regexp_split_to_table(w || repeat(' long text', id % 3), ' ') x ON true WHERE id < 30"},
    {.name = "fields of json",
     .run = "SELECT doc->>'name', doc->'sub'->>'x', (doc->>'k')::int, doc #> '{list,1}', doc ? 'k', doc || '{\"more\": [1, 2]}' FROM t WHERE doc->>'k' = '5' ORDER BY id"},
    {.name = "containment", .run = "SELECT count(*) FROM t WHERE doc @> '{\"sub\": {\"x\": 44}}' OR doc @> '{\"list\": [\"z\"]}'"},
    {.name = "groups of json", .run = "SELECT doc->'k', count(*), jsonb_agg(doc->'sub' ORDER BY id) FROM t WHERE id < 100 GROUP BY 1 ORDER BY 1"},
    {.name = "elements of json", .run = "SELECT e, count(*) FROM t, jsonb_array_elements(doc->'list') e GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3"},
    {.name = "json functions",
     .run = "SELECT jsonb_set('{\"a\": 1}', '{b}', '[1, 2]'), jsonb_path_query_array(doc, '$.list[*]'), jsonb_pretty(doc), to_jsonb(s),"
            " json_build_object('i', id, 'v', v) FROM t WHERE id < 12"},
    {.name = "view", .run = "SELECT w, count(*) FROM seen GROUP BY w ORDER BY w"},
    {.name = "catalogue",
     .run = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relname = 'made' AND a.attnum > 0 ORDER BY a.attnum"},
    {.name = "information schema", .run = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't' ORDER BY 1"},
    {.name = "plan", .run = "EXPLAIN (COSTS OFF) SELECT * FROM t JOIN u ON u.t_id = t.id WHERE t.v = 3"},
    {.name = "analysed plan", .how = TIMED, .run = "EXPLAIN (ANALYZE, FORMAT json) SELECT v, count(*) FROM t GROUP BY v", .check = "SELECT 1"},

    /* changes */
    {.name = "insert", .run = "INSERT INTO made VALUES (1, 'one', 8), (2, 'two', 9)", .check = MADE, .after = MADE_EMPTY},
    {.name = "insert returning", .run = "INSERT INTO made (id, v) VALUES (3, 'three') RETURNING *, length(v)", .check = MADE, .after = MADE_EMPTY},
    {.name = "insert select",
     .run = "INSERT INTO made SELECT id, s, v + 1 FROM t WHERE id < 400",
     .check = "SELECT count(*), sum(x), max(v) FROM made",
     .after = MADE_EMPTY},
    {.name = "upsert",
     .before = MADE_ROWS,
     .run = "INSERT INTO made VALUES (2, 'zwei'), (3, 'three') ON CONFLICT (id) DO UPDATE SET v = excluded.v, x = made.x + 10",
     .check = MADE,
     .after = MADE_EMPTY},
    {.name = "update",
     .run = "UPDATE t SET s = s || '!', v = v + 1000 WHERE id % 10 = 3",
     .check = T_SUM,
     .after = "UPDATE t SET s = left(s, length(s) - 1), v = v - 1000 WHERE id % 10 = 3"},
    {.name = "update from",
     .run = "UPDATE t SET v = v + 1000 FROM u WHERE u.t_id = t.id AND u.w = 'w3' RETURNING t.id, u.w",
     .check = T_SUM,
     .after = "UPDATE t SET v = v - 1000 WHERE v >= 1000"},
    {.name = "delete",
     .before = "INSERT INTO made SELECT i, 'v' || i FROM generate_series(1, 50) i ON CONFLICT DO NOTHING",
     .run = "DELETE FROM made WHERE id % 2 = 0",
     .check = MADE,
     .after = MADE_EMPTY},
    {.name = "foreign key",
     .run = "INSERT INTO u SELECT i, i, 'new' FROM generate_series(1001, 1020) i",
     .check = "SELECT count(*), sum(t_id) FROM u",
     .after = "DELETE FROM u WHERE id > 1000"},
    {.name = "truncate", .before = MADE_ROWS, .run = "TRUNCATE made", .check = MADE},
    {.name = "common change",
     .run = "WITH x AS (SELECT id, s FROM t WHERE id < 30) INSERT INTO made SELECT id, s FROM x RETURNING id",
     .check = MADE,
     .after = MADE_EMPTY},
    {.name = "sequence", .run = "SELECT nextval('counter') > 0, setval('counter', 10)"},

    /* transactions */
    {.name = "block",
     .run = "BEGIN; INSERT INTO made VALUES (1, 'a'); SAVEPOINT s; INSERT INTO made VALUES (2, 'b'); ROLLBACK TO s; COMMIT",
     .check = MADE,
     .after = MADE_EMPTY},
    {.name = "begin", .run = "BEGIN ISOLATION LEVEL REPEATABLE READ", .after = "ROLLBACK"},
    {.name = "commit",
     .before = BLOCK("INSERT INTO made VALUES (1, 'a'); UPDATE t SET v = v WHERE id < 20"),
     .run = "COMMIT",
     .check = MADE,
     .after = MADE_EMPTY},
    {.name = "rollback", .before = BLOCK("INSERT INTO made VALUES (1, 'a')"), .run = "ROLLBACK", .check = MADE},
    {.name = "savepoint", .before = BLOCK("INSERT INTO made VALUES (1, 'a')"), .run = "SAVEPOINT s", .after = "ROLLBACK"},
    {.name = "serializable", .before = "BEGIN ISOLATION LEVEL SERIALIZABLE", .run = "SELECT sum(v) FROM t WHERE v = 4", .after = "ROLLBACK"},
    {.name = "row locks", .before = BLOCK("SELECT 1"), .run = "SELECT id FROM t WHERE v = 9 FOR UPDATE", .after = "ROLLBACK"},
    {.name = "fetch", .before = BLOCK("DECLARE c CURSOR FOR SELECT id, s FROM t ORDER BY id"), .run = "FETCH 20 FROM c", .after = "ROLLBACK"},
    {.name = "cursor", .before = BLOCK("SELECT 1"), .run = "DECLARE c CURSOR FOR SELECT id, s FROM t ORDER BY id", .after = "ROLLBACK"},

    /* definitions */
    {.name = "create table",
     .run = "CREATE TABLE fresh (id serial PRIMARY KEY, v text UNIQUE NOT NULL, u_id int REFERENCES u (id), x numeric(5,2) DEFAULT 1.5 CHECK (x > 0))",
     .check = NO_TABLE,
     .after = "DROP TABLE fresh"},
    {.name = "create table as", .run = "CREATE TABLE fresh AS SELECT id, s, doc FROM t WHERE id < 300", .check = NO_TABLE, .after = "DROP TABLE fresh"},
    {.name = "temporary table", .run = "CREATE TEMP TABLE fresh (id int PRIMARY KEY, v text)", .check = NO_TABLE, .after = "DROP TABLE fresh"},
    {.name = "drop table", .before = "CREATE TABLE IF NOT EXISTS fresh (id int PRIMARY KEY)", .run = "DROP TABLE fresh", .check = NO_TABLE},
    {.name = "create index", .run = "CREATE INDEX fresh_i ON t (s, v DESC)", .check = NO_TABLE, .after = "DROP INDEX fresh_i"},
    {.name = "unique index", .run = "CREATE UNIQUE INDEX fresh_i ON t USING hash (id)", .check = NO_TABLE, .after = "DROP INDEX fresh_i"},
    {.name = "drop index", .before = "CREATE INDEX IF NOT EXISTS fresh_d ON u (w)", .run = "DROP INDEX fresh_d", .check = NO_TABLE},
    {.name = "add constraint",
     .run = "ALTER TABLE made ADD CONSTRAINT fresh_c CHECK (x < 1000)",
     .check = "SELECT count(*) FROM pg_constraint WHERE conname = 'fresh_c'",
     .after = "ALTER TABLE made DROP CONSTRAINT fresh_c"},
    {.name = "drop constraint",
     .before = "ALTER TABLE made DROP CONSTRAINT IF EXISTS fresh_c; ALTER TABLE made ADD CONSTRAINT fresh_c UNIQUE (x)",
     .run = "ALTER TABLE made DROP CONSTRAINT fresh_c",
     .check = "SELECT count(*) FROM pg_constraint WHERE conname = 'fresh_c'"},
    {.name = "add column",
     .run = "ALTER TABLE made ADD COLUMN fresh int NOT NULL DEFAULT 5",
     .check = "SELECT count(*) FROM pg_attribute WHERE attname = 'fresh'",
     .after = "ALTER TABLE made DROP COLUMN fresh"},
    {.name = "alter type",
     .before = "DELETE FROM made; INSERT INTO made VALUES (1, 'one', 1)",
     .run = "ALTER TABLE made ALTER COLUMN x TYPE bigint USING x + 1",
     .check = MADE,
     .after = "ALTER TABLE made ALTER COLUMN x TYPE int; DELETE FROM made"},
    {.name = "rename", .run = "ALTER TABLE made RENAME TO fresh", .check = NO_TABLE, .after = "ALTER TABLE fresh RENAME TO made"},
    {.name = "create view", .run = "CREATE VIEW fresh AS SELECT v, count(*) AS c FROM t GROUP BY v", .check = NO_TABLE, .after = "DROP VIEW fresh"},
    {.name = "create type",
     .run = "CREATE TYPE fresh_mood AS ENUM ('sad', 'ok', 'happy')",
     .check = "SELECT count(*) FROM pg_type WHERE typname = 'fresh_mood'",
     .after = "DROP TYPE fresh_mood"},
    {.name = "create domain",
     .run = "CREATE DOMAIN fresh_d AS int CHECK (VALUE > 0)",
     .check = "SELECT count(*) FROM pg_type WHERE typname = 'fresh_d'",
     .after = "DROP DOMAIN fresh_d"},
    {.name = "create schema",
     .run = "CREATE SCHEMA fresh",
     .check = "SELECT count(*) FROM pg_namespace WHERE nspname = 'fresh'",
     .after = "DROP SCHEMA fresh"},
    {.name = "create role",
     .run = "CREATE ROLE fresh LOGIN",
     .check = "SELECT count(*) FROM pg_roles WHERE rolname = 'fresh'",
     .after = "DROP ROLE fresh"},
    {.name = "alter role",
     .before = "DROP ROLE IF EXISTS fresh; CREATE ROLE fresh",
     .run = "ALTER ROLE fresh SET work_mem = '1MB'",
     .check = "SELECT rolconfig FROM pg_roles WHERE rolname = 'fresh'",
     .after = "DROP ROLE fresh"},
    {.name = "grant", .run = "GRANT SELECT, UPDATE ON made TO PUBLIC", .after = "REVOKE ALL ON made FROM PUBLIC"},
    {.name = "comment", .run = "COMMENT ON TABLE made IS 'what it is for'", .after = "COMMENT ON TABLE made IS NULL"},
    {.name = "definitions in a block",
     .run = "BEGIN; CREATE TABLE fresh (i int); CREATE INDEX fresh_i ON fresh (i); INSERT INTO fresh VALUES (1); COMMIT",
     .check = NO_TABLE,
     .after = "DROP TABLE fresh"},
    {.name = "analyze", .run = "ANALYZE made"},
    {.name = "vacuum", .run = "VACUUM made"},

    /* settings, names */
    {.name = "set", .run = "SET search_path = public, pg_catalog", .check = "SHOW search_path", .after = "RESET search_path"},
    {.name = "set own", .run = "SET my.setting = 'x'; SHOW my.setting", .after = "RESET ALL"},
    {.name = "show all", .run = "SHOW ALL"},
    {.name = "prepare",
     .run = "PREPARE q (int, text) AS SELECT id, s FROM t WHERE id = $1 OR s = $2",
     .check = "SELECT count(*) FROM pg_prepared_statements",
     .after = "DEALLOCATE q"},
    {.name = "execute",
     .before = "DEALLOCATE ALL; PREPARE q (int) AS SELECT id, s FROM t WHERE id < $1 ORDER BY id",
     .run = "EXECUTE q (9)",
     .after = "DEALLOCATE q"},

    /* the extended protocol */
    {.name = "parameters", .how = PARAMS, .run = "SELECT id, s, n, doc FROM t WHERE id = $1::int OR s = $2::text"},
    {.name = "insert of parameters", .how = PARAMS, .run = "INSERT INTO made VALUES ($1::int, $2::text) RETURNING id", .check = MADE, .after = MADE_EMPTY},
    {.name = "named statement", .how = PREPARED, .run = "SELECT id, s FROM t WHERE v = $1::int OR s = $2::text ORDER BY id", .after = "DEALLOCATE ALL"},
    {.name = "named change", .how = PREPARED, .run = "UPDATE t SET s = s WHERE v = $1::int OR s = $2::text", .check = T_SUM, .after = "DEALLOCATE ALL"},

    /* COPY */
    {.name = "copy in",
     .how = COPY_IN,
     .run = "COPY made (id, v, x) FROM STDIN",
     .check = "SELECT count(*), sum(x), max(v) FROM made",
     .after = MADE_EMPTY},
    {.name = "copy csv in",
     .how = COPY_IN,
     .run = "COPY made (id, v, x) FROM STDIN (FORMAT csv, DELIMITER E'\\t')",
     .check = "SELECT count(*), sum(x), max(v) FROM made",
     .after = MADE_EMPTY},
    {.name = "copy out", .how = COPY_OUT, .run = "COPY t TO STDOUT"},
    {.name = "copy query out", .how = COPY_OUT, .run = "COPY (SELECT id, s, doc FROM t WHERE v < 9 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"},
    {.name = "binary copy out", .how = COPY_OUT, .run = "COPY (SELECT id, s, n FROM t WHERE id < 20 ORDER BY id) TO STDOUT (FORMAT binary)"},

    {.name = "connect", .how = CONNECT, .run = "SELECT count(*) FROM u"},
};
/* clang-format on */

#endif

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

struct statement {
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
    {"constant", SIMPLE, NULL, "SELECT 1 + 2, 'x' || 'y', now() IS NOT NULL, 1.5::numeric / 3", NULL, NULL},
    {"key", SIMPLE, NULL, "SELECT * FROM t WHERE id = 700", NULL, NULL},
    {"range of an index", SIMPLE, NULL, "SELECT id, s FROM t WHERE v BETWEEN 5 AND 6 ORDER BY v, id LIMIT 7", NULL, NULL},
    {"scan", SIMPLE, NULL, "SELECT id, s, n, f, d FROM t WHERE s LIKE '%9%' AND n > 100 AND d < '2024-06-01'", NULL, NULL},
    {"expressions", SIMPLE, NULL,
     "SELECT CASE WHEN v < 10 THEN upper(s) ELSE substr(s, 3) END, coalesce(nullif(v, 3), -1), to_char(d, 'YYYY Mon'),"
     " round(n / 3, 4), s ~ 'ber 1', a[1], d + interval '1 day', v IN (1, 2, 3), greatest(v, 50) FROM t WHERE id < 60", NULL, NULL},
    {"aggregate", SIMPLE, NULL, "SELECT count(*), sum(n), avg(f), min(s), max(d), count(DISTINCT v), string_agg(s, ',') FILTER (WHERE id < 9) FROM t", NULL, NULL},
    {"groups", SIMPLE, NULL, "SELECT v, count(*), sum(n), max(s) FROM t GROUP BY v HAVING count(*) > 3 ORDER BY v", NULL, NULL},
    {"grouping sets", SIMPLE, NULL, "SELECT v % 3, id % 2, count(*) FROM t GROUP BY ROLLUP (1, 2) ORDER BY 1, 2", NULL, NULL},
    {"groups on disk", SIMPLE, SMALL_MEMORY, "SELECT count(*) FROM (SELECT s, doc::text, sum(n) FROM t GROUP BY 1, 2) x", NULL, NORMAL_MEMORY},
    {"distinct", SIMPLE, NULL, "SELECT DISTINCT v, d FROM t WHERE id < 200 ORDER BY 1, 2", NULL, NULL},
    {"distinct on", SIMPLE, NULL, "SELECT DISTINCT ON (v) v, id FROM t ORDER BY v, id DESC", NULL, NULL},
    {"sort", SIMPLE, NULL, "SELECT s FROM t ORDER BY v, s DESC, n", NULL, NULL},
    {"sort on disk", SIMPLE, SMALL_MEMORY, "SELECT sum(r * id) FROM (SELECT id, row_number() OVER () r FROM (SELECT id, s, doc FROM t ORDER BY s || v) x) y", NULL, NORMAL_MEMORY},
    {"first rows", SIMPLE, NULL, "SELECT id, s FROM t ORDER BY n DESC LIMIT 5 OFFSET 2", NULL, NULL},
    {"join", SIMPLE, NULL, "SELECT t.id, t.s, u.w FROM t JOIN u ON u.t_id = t.id WHERE u.w < 'w5' ORDER BY 1", NULL, NULL},
    {"outer joins", SIMPLE, NULL,
     "SELECT count(*), count(t.id), count(u.id), count(x.id) FROM t FULL JOIN u ON u.id = t.id LEFT JOIN u x ON x.id = t.v AND x.w > 'w2'", NULL, NULL},
    {"join on disk", SIMPLE, SMALL_MEMORY, "SELECT count(*), sum(length(x.s)) FROM t x JOIN t y ON x.s || x.doc::text = y.s || y.doc::text", NULL, NORMAL_MEMORY},
    {"semi and anti join", SIMPLE, NULL, "SELECT count(*) FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.t_id = t.id) AND id NOT IN (SELECT id FROM u)", NULL, NULL},
    {"lateral", SIMPLE, NULL, "SELECT u.id, x.s FROM u, LATERAL (SELECT s FROM t WHERE t.v = u.id ORDER BY id LIMIT 1) x WHERE u.id < 20 ORDER BY 1", NULL, NULL},
    {"scalar subquery", SIMPLE, NULL, "SELECT id, (SELECT max(s) FROM t WHERE t.v = u.id), ARRAY(SELECT id FROM t WHERE v = u.id ORDER BY 1 LIMIT 2) FROM u WHERE id < 5", NULL, NULL},
    {"set operations", SIMPLE, NULL, "SELECT v FROM t INTERSECT SELECT id FROM u EXCEPT SELECT 5 UNION ALL SELECT 1000 ORDER BY 1", NULL, NULL},
    {"union on disk", SIMPLE, SMALL_MEMORY, "SELECT count(*) FROM (SELECT s, doc FROM t UNION SELECT w, NULL FROM u) x", NULL, NORMAL_MEMORY},
    {"common tables", SIMPLE, NULL, "WITH m AS MATERIALIZED (SELECT v, count(*) c FROM t GROUP BY v) SELECT * FROM m x JOIN m y ON x.v = y.v + 1 ORDER BY 1", NULL, NULL},
    {"recursion", SIMPLE, NULL, "WITH RECURSIVE r(i, s) AS (SELECT 1, 'a' UNION ALL SELECT i + 1, s || 'b' FROM r WHERE i < 30) SELECT sum(i), max(s) FROM r", NULL, NULL},
    {"windows", SIMPLE, NULL,
     "SELECT id, row_number() OVER (PARTITION BY v ORDER BY id), sum(n) OVER (PARTITION BY v ORDER BY id ROWS 2 PRECEDING),"
     " lag(s) OVER (ORDER BY id), ntile(4) OVER (ORDER BY n) FROM t WHERE id < 300 ORDER BY 1", NULL, NULL},
    {"windows on disk", SIMPLE, SMALL_MEMORY, "SELECT sum(x) FROM (SELECT sum(length(s)) OVER (PARTITION BY v % 3 ORDER BY id) x, s, doc FROM t) y", NULL, NORMAL_MEMORY},
    {"values", SIMPLE, NULL, "SELECT * FROM (VALUES (1, 'a', NULL), (2, 'b', 2.5)) x (i, s, n) ORDER BY 1 DESC", NULL, NULL},
    {"set functions", SIMPLE, NULL, "SELECT i, x FROM generate_series(1, 5) i, unnest(ARRAY['a','b']) WITH ORDINALITY x", NULL, NULL},
    {"fields of json", SIMPLE, NULL,
     "SELECT doc->>'name', doc->'sub'->>'x', (doc->>'k')::int, doc #> '{list,1}', doc ? 'k', doc || '{\"more\": [1, 2]}' FROM t WHERE doc->>'k' = '5' ORDER BY id", NULL, NULL},
    {"containment", SIMPLE, NULL, "SELECT count(*) FROM t WHERE doc @> '{\"sub\": {\"x\": 44}}' OR doc @> '{\"list\": [\"z\"]}'", NULL, NULL},
    {"groups of json", SIMPLE, NULL, "SELECT doc->'k', count(*), jsonb_agg(doc->'sub' ORDER BY id) FROM t WHERE id < 100 GROUP BY 1 ORDER BY 1", NULL, NULL},
    {"elements of json", SIMPLE, NULL, "SELECT e, count(*) FROM t, jsonb_array_elements(doc->'list') e GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 3", NULL, NULL},
    {"json functions", SIMPLE, NULL,
     "SELECT jsonb_set('{\"a\": 1}', '{b}', '[1, 2]'), jsonb_path_query_array(doc, '$.list[*]'), jsonb_pretty(doc), to_jsonb(s),"
     " json_build_object('i', id, 'v', v) FROM t WHERE id < 12", NULL, NULL},
    {"view", SIMPLE, NULL, "SELECT w, count(*) FROM seen GROUP BY w ORDER BY w", NULL, NULL},
    {"catalogue", SIMPLE, NULL,
     "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
     " WHERE c.relname = 'made' AND a.attnum > 0 ORDER BY a.attnum", NULL, NULL},
    {"information schema", SIMPLE, NULL, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't' ORDER BY 1", NULL, NULL},
    {"plan", SIMPLE, NULL, "EXPLAIN (COSTS OFF) SELECT * FROM t JOIN u ON u.t_id = t.id WHERE t.v = 3", NULL, NULL},
    {"analysed plan", TIMED, NULL, "EXPLAIN (ANALYZE, FORMAT json) SELECT v, count(*) FROM t GROUP BY v", "SELECT 1", NULL},

    /* changes */
    {"insert", SIMPLE, NULL, "INSERT INTO made VALUES (1, 'one', 8), (2, 'two', 9)", MADE, MADE_EMPTY},
    {"insert returning", SIMPLE, NULL, "INSERT INTO made (id, v) VALUES (3, 'three') RETURNING *, length(v)", MADE, MADE_EMPTY},
    {"insert select", SIMPLE, NULL, "INSERT INTO made SELECT id, s, v + 1 FROM t WHERE id < 400", "SELECT count(*), sum(x), max(v) FROM made", MADE_EMPTY},
    {"upsert", SIMPLE, MADE_ROWS, "INSERT INTO made VALUES (2, 'zwei'), (3, 'three') ON CONFLICT (id) DO UPDATE SET v = excluded.v, x = made.x + 10", MADE, MADE_EMPTY},
    {"update", SIMPLE, NULL, "UPDATE t SET s = s || '!', v = v + 1000 WHERE id % 10 = 3", T_SUM,
     "UPDATE t SET s = left(s, length(s) - 1), v = v - 1000 WHERE id % 10 = 3"},
    {"update from", SIMPLE, NULL, "UPDATE t SET v = v + 1000 FROM u WHERE u.t_id = t.id AND u.w = 'w3' RETURNING t.id, u.w", T_SUM, "UPDATE t SET v = v - 1000 WHERE v >= 1000"},
    {"delete", SIMPLE, "INSERT INTO made SELECT i, 'v' || i FROM generate_series(1, 50) i ON CONFLICT DO NOTHING", "DELETE FROM made WHERE id % 2 = 0", MADE, MADE_EMPTY},
    {"foreign key", SIMPLE, NULL, "INSERT INTO u SELECT i, i, 'new' FROM generate_series(1001, 1020) i", "SELECT count(*), sum(t_id) FROM u", "DELETE FROM u WHERE id > 1000"},
    {"truncate", SIMPLE, MADE_ROWS, "TRUNCATE made", MADE, NULL},
    {"common change", SIMPLE, NULL, "WITH x AS (SELECT id, s FROM t WHERE id < 30) INSERT INTO made SELECT id, s FROM x RETURNING id", MADE, MADE_EMPTY},
    {"sequence", SIMPLE, NULL, "SELECT nextval('counter') > 0, setval('counter', 10)", NULL, NULL},

    /* transactions */
    {"block", SIMPLE, NULL, "BEGIN; INSERT INTO made VALUES (1, 'a'); SAVEPOINT s; INSERT INTO made VALUES (2, 'b'); ROLLBACK TO s; COMMIT", MADE, MADE_EMPTY},
    {"begin", SIMPLE, NULL, "BEGIN ISOLATION LEVEL REPEATABLE READ", NULL, "ROLLBACK"},
    {"commit", SIMPLE, BLOCK("INSERT INTO made VALUES (1, 'a'); UPDATE t SET v = v WHERE id < 20"), "COMMIT", MADE, MADE_EMPTY},
    {"rollback", SIMPLE, BLOCK("INSERT INTO made VALUES (1, 'a')"), "ROLLBACK", MADE, NULL},
    {"savepoint", SIMPLE, BLOCK("INSERT INTO made VALUES (1, 'a')"), "SAVEPOINT s", NULL, "ROLLBACK"},
    {"serializable", SIMPLE, "BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT sum(v) FROM t WHERE v = 4", NULL, "ROLLBACK"},
    {"row locks", SIMPLE, BLOCK("SELECT 1"), "SELECT id FROM t WHERE v = 9 FOR UPDATE", NULL, "ROLLBACK"},
    {"fetch", SIMPLE, BLOCK("DECLARE c CURSOR FOR SELECT id, s FROM t ORDER BY id"), "FETCH 20 FROM c", NULL, "ROLLBACK"},
    {"cursor", SIMPLE, BLOCK("SELECT 1"), "DECLARE c CURSOR FOR SELECT id, s FROM t ORDER BY id", NULL, "ROLLBACK"},

    /* definitions */
    {"create table", SIMPLE, NULL,
     "CREATE TABLE fresh (id serial PRIMARY KEY, v text UNIQUE NOT NULL, u_id int REFERENCES u (id), x numeric(5,2) DEFAULT 1.5 CHECK (x > 0))", NO_TABLE, "DROP TABLE fresh"},
    {"create table as", SIMPLE, NULL, "CREATE TABLE fresh AS SELECT id, s, doc FROM t WHERE id < 300", NO_TABLE, "DROP TABLE fresh"},
    {"temporary table", SIMPLE, NULL, "CREATE TEMP TABLE fresh (id int PRIMARY KEY, v text)", NO_TABLE, "DROP TABLE fresh"},
    {"drop table", SIMPLE, "CREATE TABLE IF NOT EXISTS fresh (id int PRIMARY KEY)", "DROP TABLE fresh", NO_TABLE, NULL},
    {"create index", SIMPLE, NULL, "CREATE INDEX fresh_i ON t (s, v DESC)", NO_TABLE, "DROP INDEX fresh_i"},
    {"unique index", SIMPLE, NULL, "CREATE UNIQUE INDEX fresh_i ON t USING hash (id)", NO_TABLE, "DROP INDEX fresh_i"},
    {"drop index", SIMPLE, "CREATE INDEX IF NOT EXISTS fresh_d ON u (w)", "DROP INDEX fresh_d", NO_TABLE, NULL},
    {"add constraint", SIMPLE, NULL, "ALTER TABLE made ADD CONSTRAINT fresh_c CHECK (x < 1000)", "SELECT count(*) FROM pg_constraint WHERE conname = 'fresh_c'", "ALTER TABLE made DROP CONSTRAINT fresh_c"},
    {"drop constraint", SIMPLE, "ALTER TABLE made DROP CONSTRAINT IF EXISTS fresh_c; ALTER TABLE made ADD CONSTRAINT fresh_c UNIQUE (x)",
     "ALTER TABLE made DROP CONSTRAINT fresh_c", "SELECT count(*) FROM pg_constraint WHERE conname = 'fresh_c'", NULL},
    {"add column", SIMPLE, NULL, "ALTER TABLE made ADD COLUMN fresh int NOT NULL DEFAULT 5", "SELECT count(*) FROM pg_attribute WHERE attname = 'fresh'", "ALTER TABLE made DROP COLUMN fresh"},
    {"alter type", SIMPLE, "DELETE FROM made; INSERT INTO made VALUES (1, 'one', 1)", "ALTER TABLE made ALTER COLUMN x TYPE bigint USING x + 1", MADE, "ALTER TABLE made ALTER COLUMN x TYPE int; DELETE FROM made"},
    {"rename", SIMPLE, NULL, "ALTER TABLE made RENAME TO fresh", NO_TABLE, "ALTER TABLE fresh RENAME TO made"},
    {"create view", SIMPLE, NULL, "CREATE VIEW fresh AS SELECT v, count(*) AS c FROM t GROUP BY v", NO_TABLE, "DROP VIEW fresh"},
    {"create type", SIMPLE, NULL, "CREATE TYPE fresh_mood AS ENUM ('sad', 'ok', 'happy')", "SELECT count(*) FROM pg_type WHERE typname = 'fresh_mood'", "DROP TYPE fresh_mood"},
    {"create domain", SIMPLE, NULL, "CREATE DOMAIN fresh_d AS int CHECK (VALUE > 0)", "SELECT count(*) FROM pg_type WHERE typname = 'fresh_d'", "DROP DOMAIN fresh_d"},
    {"create schema", SIMPLE, NULL, "CREATE SCHEMA fresh", "SELECT count(*) FROM pg_namespace WHERE nspname = 'fresh'", "DROP SCHEMA fresh"},
    {"create role", SIMPLE, NULL, "CREATE ROLE fresh LOGIN", "SELECT count(*) FROM pg_roles WHERE rolname = 'fresh'", "DROP ROLE fresh"},
    {"alter role", SIMPLE, "DROP ROLE IF EXISTS fresh; CREATE ROLE fresh", "ALTER ROLE fresh SET work_mem = '1MB'", "SELECT rolconfig FROM pg_roles WHERE rolname = 'fresh'", "DROP ROLE fresh"},
    {"grant", SIMPLE, NULL, "GRANT SELECT, UPDATE ON made TO PUBLIC", NULL, "REVOKE ALL ON made FROM PUBLIC"},
    {"comment", SIMPLE, NULL, "COMMENT ON TABLE made IS 'what it is for'", NULL, "COMMENT ON TABLE made IS NULL"},
    {"definitions in a block", SIMPLE, NULL, "BEGIN; CREATE TABLE fresh (i int); CREATE INDEX fresh_i ON fresh (i); INSERT INTO fresh VALUES (1); COMMIT", NO_TABLE, "DROP TABLE fresh"},
    {"analyze", SIMPLE, NULL, "ANALYZE made", NULL, NULL},
    {"vacuum", SIMPLE, NULL, "VACUUM made", NULL, NULL},

    /* settings, names */
    {"set", SIMPLE, NULL, "SET search_path = public, pg_catalog", "SHOW search_path", "RESET search_path"},
    {"set own", SIMPLE, NULL, "SET my.setting = 'x'; SHOW my.setting", NULL, "RESET ALL"},
    {"show all", SIMPLE, NULL, "SHOW ALL", NULL, NULL},
    {"prepare", SIMPLE, NULL, "PREPARE q (int, text) AS SELECT id, s FROM t WHERE id = $1 OR s = $2", "SELECT count(*) FROM pg_prepared_statements", "DEALLOCATE q"},
    {"execute", SIMPLE, "DEALLOCATE ALL; PREPARE q (int) AS SELECT id, s FROM t WHERE id < $1 ORDER BY id", "EXECUTE q (9)", NULL, "DEALLOCATE q"},

    /* the extended protocol */
    {"parameters", PARAMS, NULL, "SELECT id, s, n, doc FROM t WHERE id = $1::int OR s = $2::text", NULL, NULL},
    {"insert of parameters", PARAMS, NULL, "INSERT INTO made VALUES ($1::int, $2::text) RETURNING id", MADE, MADE_EMPTY},
    {"named statement", PREPARED, NULL, "SELECT id, s FROM t WHERE v = $1::int OR s = $2::text ORDER BY id", NULL, "DEALLOCATE ALL"},
    {"named change", PREPARED, NULL, "UPDATE t SET s = s WHERE v = $1::int OR s = $2::text", T_SUM, "DEALLOCATE ALL"},

    /* COPY */
    {"copy in", COPY_IN, NULL, "COPY made (id, v, x) FROM STDIN", "SELECT count(*), sum(x), max(v) FROM made", MADE_EMPTY},
    {"copy csv in", COPY_IN, NULL, "COPY made (id, v, x) FROM STDIN (FORMAT csv, DELIMITER E'\\t')", "SELECT count(*), sum(x), max(v) FROM made", MADE_EMPTY},
    {"copy out", COPY_OUT, NULL, "COPY t TO STDOUT", NULL, NULL},
    {"copy query out", COPY_OUT, NULL, "COPY (SELECT id, s, doc FROM t WHERE v < 9 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)", NULL, NULL},
    {"binary copy out", COPY_OUT, NULL, "COPY (SELECT id, s, n FROM t WHERE id < 20 ORDER BY id) TO STDOUT (FORMAT binary)", NULL, NULL},

    {"connect", CONNECT, NULL, "SELECT count(*) FROM u", NULL, NULL},
};
/* clang-format on */

#endif

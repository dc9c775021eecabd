-- Transactions, prepared statements, cursors, settings, EXPLAIN.
BEGIN;
CREATE TABLE tx (a int);
INSERT INTO tx VALUES (1), (2);
SELECT count(*) FROM tx;
ROLLBACK;
SELECT count(*) FROM tx;
COMMIT;
BEGIN;
SELECT 1/0;
SELECT 1;
COMMIT;
PREPARE p (int, text) AS SELECT $1 + 1 AS n, $2 || '!' AS s;
EXECUTE p (1, 'hi');
EXECUTE p ('2', NULL);
DEALLOCATE p;
EXECUTE p (1, 'x');
BEGIN;
DECLARE c CURSOR FOR SELECT i FROM generate_series(1, 5) i;
FETCH 2 FROM c;
FETCH NEXT FROM c;
FETCH ALL FROM c;
CLOSE c;
COMMIT;
SHOW server_encoding;
SHOW standard_conforming_strings;
SET application_name = 'cases';
SHOW application_name;
SET nosuch_setting = 1;
SHOW nosuch_setting;
SELECT current_user, current_database(), current_schema();
SELECT version() ~ '^PostgreSQL 15', current_setting('server_version_num')::int >= 150000;
CREATE SCHEMA app;
CREATE TABLE app.t (a int);
INSERT INTO app.t VALUES (1);
SELECT * FROM app.t;
SET search_path = app, public;
SELECT * FROM t;
RESET search_path;
SELECT * FROM t;
DROP SCHEMA app;
DROP SCHEMA app CASCADE;
CREATE TABLE ex (a int PRIMARY KEY, b text);
EXPLAIN (COSTS OFF) SELECT nosuch FROM ex;
SELECT relname, relkind FROM pg_class WHERE relname LIKE 'ex%' ORDER BY relname;
SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'ex' ORDER BY ordinal_position;
SELECT 'ex'::regclass, 'ex'::regclass::oid > 0, to_regclass('nosuch') IS NULL;
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'ex'::regclass AND attnum > 0 ORDER BY attnum;
SELECT conname, contype FROM pg_constraint WHERE conrelid = 'ex'::regclass;
COMMENT ON TABLE ex IS 'an example';
SELECT obj_description('ex'::regclass);
DROP TABLE ex;
CREATE TABLE lines (a int, b text, c numeric);
COPY lines FROM STDIN;
1	one	1.5
2	two\tx	\N
3	\N	3
\.
SELECT * FROM lines ORDER BY a;
COPY lines TO STDOUT;
COPY lines (a, b) TO STDOUT WITH (FORMAT csv, HEADER);
COPY (SELECT a FROM lines WHERE a > 1 ORDER BY a DESC) TO STDOUT;
COPY lines FROM STDIN WITH (FORMAT csv);
4,"quo""ted, text",4.25
5,,
\.
SELECT * FROM lines WHERE a >= 4 ORDER BY a;
COPY lines FROM STDIN;
x	bad	1
\.
COPY lines FROM STDIN;
9	too few
\.
SELECT count(*) FROM lines;
DROP TABLE lines;
VACUUM;
ANALYZE;
CHECKPOINT;

CREATE TABLE p (id int PRIMARY KEY, name text);
CREATE TABLE c (id int PRIMARY KEY, p_id int REFERENCES p);
INSERT INTO p VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO c VALUES (1, 1), (2, 2), (3, NULL);
\set VERBOSITY default
INSERT INTO c VALUES (4, 9);
UPDATE c SET p_id = 8 WHERE id = 1;
DELETE FROM p WHERE id = 1;
UPDATE p SET id = 7 WHERE id = 2;
\set VERBOSITY sqlstate
UPDATE p SET name = 'z' WHERE id = 1;
DELETE FROM p WHERE id = 3;
UPDATE p SET id = 2 WHERE id = 2;
INSERT INTO c SELECT 100 + g, g FROM generate_series(1, 2) g;
INSERT INTO c SELECT 200 + g, g FROM generate_series(1, 5) g;
SELECT count(*) FROM c;
SELECT conname, contype, condeferrable, condeferred, confupdtype, confdeltype, confmatchtype, conkey, confkey FROM pg_constraint WHERE conrelid = 'c'::regclass ORDER BY 1;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'c_p_id_fkey';
TRUNCATE p;
DROP TABLE p;
ALTER TABLE p DROP CONSTRAINT p_pkey;
-- actions
CREATE TABLE cc (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE cn (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE cd (id int PRIMARY KEY, p_id int DEFAULT 2 REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
CREATE TABLE cr (id int PRIMARY KEY, p_id int REFERENCES p ON DELETE RESTRICT ON UPDATE RESTRICT);
INSERT INTO p SELECT g, 'p' || g FROM generate_series(10, 20) g;
INSERT INTO cc SELECT g, g FROM generate_series(10, 14) g;
INSERT INTO cn SELECT g, g FROM generate_series(10, 14) g;
INSERT INTO cd SELECT g, g FROM generate_series(10, 14) g;
INSERT INTO cr VALUES (1, 20);
DELETE FROM p WHERE id IN (10, 11);
UPDATE p SET id = id + 100 WHERE id IN (12, 13);
SELECT * FROM cc ORDER BY id;
SELECT * FROM cn ORDER BY id;
SELECT * FROM cd ORDER BY id;
DELETE FROM p WHERE id = 20;
UPDATE p SET id = 21 WHERE id = 20;
DELETE FROM p WHERE id = 2;
-- a chain of actions
CREATE TABLE g (id int PRIMARY KEY, cc_id int REFERENCES cc ON DELETE CASCADE);
INSERT INTO g VALUES (1, 14), (2, 14), (3, 112);
DELETE FROM p WHERE id = 14;
SELECT * FROM g;
SELECT * FROM cc ORDER BY id;
-- itself
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE);
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 1);
INSERT INTO tree VALUES (10, 11), (11, 10);
INSERT INTO tree VALUES (20, 99);
DELETE FROM tree WHERE id = 2;
SELECT * FROM tree ORDER BY id;
DELETE FROM tree WHERE id = 10;
SELECT * FROM tree ORDER BY id;
CREATE TABLE list (id int PRIMARY KEY, next int REFERENCES list);
INSERT INTO list VALUES (1, 2), (2, 3), (3, 1);
UPDATE list SET id = id + 10, next = next + 10;
UPDATE list SET id = id + 1;
DELETE FROM list WHERE id = 11;
DELETE FROM list;
SELECT count(*) FROM list;
-- several columns
CREATE TABLE p2 (a int, b text, v int, PRIMARY KEY (a, b), UNIQUE (v));
CREATE TABLE simple (x int, y text, FOREIGN KEY (x, y) REFERENCES p2);
CREATE TABLE "Full" (x int, "Y" text, CONSTRAINT both FOREIGN KEY (x, "Y") REFERENCES p2 (a, b) MATCH FULL ON DELETE SET NULL);
CREATE TABLE part (x int, y text, FOREIGN KEY (x, y) REFERENCES p2 ON DELETE SET NULL (y));
INSERT INTO p2 VALUES (1, 'a', 1), (1, 'b', 2), (2, 'a', 3);
INSERT INTO simple VALUES (1, 'a'), (NULL, 'zz'), (9, NULL);
\set VERBOSITY default
INSERT INTO simple VALUES (1, 'c');
INSERT INTO "Full" VALUES (1, NULL);
INSERT INTO "Full" VALUES (1, 'zz');
\set VERBOSITY sqlstate
INSERT INTO "Full" VALUES (1, 'b'), (NULL, NULL);
INSERT INTO part VALUES (2, 'a');
DELETE FROM p2 WHERE v > 1;
SELECT * FROM "Full";
SELECT * FROM part;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname IN ('both', 'part_x_y_fkey') ORDER BY 1;
CREATE TABLE wrong (x int, FOREIGN KEY (x) REFERENCES p2 (a));
CREATE TABLE wrong (x int, FOREIGN KEY (x) REFERENCES p2);
CREATE TABLE wrong (x date REFERENCES p2 (v));
CREATE TABLE wrong (x int REFERENCES nowhere);
CREATE TABLE wide (x bigint REFERENCES p2 (v), s smallint REFERENCES p2 (v), n numeric REFERENCES p2 (v));
INSERT INTO wide VALUES (1, 1, 1.0);
INSERT INTO wide VALUES (1, 1, 1.5);
INSERT INTO wide VALUES (9999999999, 1, 1);
-- deferred
CREATE TABLE dp (id int PRIMARY KEY);
CREATE TABLE dc (id int, p int CONSTRAINT late REFERENCES dp DEFERRABLE INITIALLY DEFERRED, q int CONSTRAINT soon REFERENCES dp DEFERRABLE);
BEGIN;
INSERT INTO dc VALUES (1, 5, NULL);
INSERT INTO dp VALUES (5);
COMMIT;
SELECT * FROM dc;
BEGIN;
INSERT INTO dc VALUES (2, 6, NULL);
\set VERBOSITY default
COMMIT;
\set VERBOSITY sqlstate
SELECT * FROM dc;
INSERT INTO dc VALUES (2, 6, NULL);
BEGIN;
INSERT INTO dc VALUES (3, NULL, 6);
ROLLBACK;
BEGIN;
SET CONSTRAINTS soon DEFERRED;
INSERT INTO dc VALUES (3, NULL, 7);
INSERT INTO dp VALUES (7);
COMMIT;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO dc VALUES (4, 8, NULL);
ROLLBACK;
BEGIN;
INSERT INTO dc VALUES (4, 8, NULL);
SET CONSTRAINTS late IMMEDIATE;
ROLLBACK;
BEGIN;
INSERT INTO dc VALUES (4, 8, NULL);
DELETE FROM dc WHERE id = 4;
COMMIT;
BEGIN;
SAVEPOINT s;
INSERT INTO dc VALUES (4, 8, NULL);
ROLLBACK TO s;
COMMIT;
BEGIN;
DELETE FROM dp WHERE id = 5;
INSERT INTO dp VALUES (5);
COMMIT;
BEGIN;
DELETE FROM dp WHERE id = 5;
COMMIT;
SET CONSTRAINTS nothing DEFERRED;
SET CONSTRAINTS c_p_id_fkey DEFERRED;
SELECT * FROM dc ORDER BY id;
-- changes of the table
CREATE TABLE ap (id int PRIMARY KEY);
CREATE TABLE ac (id int, p int);
INSERT INTO ap VALUES (1);
INSERT INTO ac VALUES (1, 1), (2, 2);
\set VERBOSITY default
ALTER TABLE ac ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES ap;
\set VERBOSITY sqlstate
ALTER TABLE ac ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES ap NOT VALID;
INSERT INTO ac VALUES (3, 3);
SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'fk';
ALTER TABLE ac VALIDATE CONSTRAINT fk;
DELETE FROM ac WHERE id = 2;
ALTER TABLE ac VALIDATE CONSTRAINT fk;
SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'fk';
ALTER TABLE ac ALTER CONSTRAINT fk DEFERRABLE INITIALLY DEFERRED;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'fk';
ALTER TABLE ac DROP CONSTRAINT fk;
INSERT INTO ac VALUES (3, 3);
-- other ways to change rows
CREATE TABLE w (id int PRIMARY KEY, p_id int REFERENCES ap);
WITH x AS (INSERT INTO w VALUES (1, 77) RETURNING *) SELECT * FROM x;
WITH x AS (INSERT INTO w VALUES (1, 1) RETURNING *) SELECT * FROM x;
INSERT INTO w VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET p_id = 55;
INSERT INTO w VALUES (1, 66) ON CONFLICT (id) DO NOTHING;
INSERT INTO w VALUES (2, 66) RETURNING *;
INSERT INTO w VALUES (2, 1) RETURNING *;
COPY w FROM STDIN;
3	1
4	1
\.
COPY w FROM STDIN;
5	1
6	4
\.
SELECT * FROM w ORDER BY id;
DROP TABLE ap CASCADE;
INSERT INTO w VALUES (7, 7);
SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints WHERE constraint_type = 'FOREIGN KEY' AND table_name IN ('simple', 'w', 'c') ORDER BY 1;

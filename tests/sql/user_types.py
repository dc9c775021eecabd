"""user_types.py - types that users made outlive a crash, take part in transactions, and have binary forms. TAP.
"""
import io
import os
import sys

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve  # noqa: E402

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE TABLE people (id int PRIMARY KEY, m mood DEFAULT 'ok', ms mood[], p positive);
CREATE INDEX ON people (m);
INSERT INTO people SELECT i, (enum_range(NULL::mood))[1 + i % 3], '{sad,happy}', i
FROM generate_series(1, 3000) i;
ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok';
INSERT INTO people VALUES (3001, 'meh', '{meh,NULL}', 1);
"""
FOUND = """
SELECT enum_range(NULL::mood)::text, count(*) FILTER (WHERE m = 'meh'), count(*) FILTER (WHERE m < 'meh'),
(SELECT ms::text FROM people WHERE m = 'meh'), (SELECT string_agg(DISTINCT m::text, ' ' ORDER BY m::text) FROM people)
FROM people
"""
WANTED = ("{sad,meh,ok,happy}", 1, 1000, "{meh,NULL}", "happy meh ok sad")


def value(server, text):
    with server.connect() as session, session.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchone()


def state_of(server, text):
    """The SQLSTATE a statement ends with."""
    session = server.connect()
    try:
        session.cursor().execute(text)
        return "ok"
    except psycopg2.Error as error:
        return error.pgcode
    finally:
        session.close()


def after_crash(server):
    with server.connect() as session, session.cursor() as cursor:
        cursor.execute(SCHEMA)
    before = value(server, FOUND)
    server.kill()
    server.start()
    server.connect().close()
    return before == WANTED and value(server, FOUND) == WANTED


def still_checked(server):
    return (state_of(server, "INSERT INTO people VALUES (0, 'meh', NULL, -1)") == "23514"
            and state_of(server, "INSERT INTO people VALUES (0, 'nope', NULL, 1)") == "22P02")


def rolled_back(server):
    session = server.connect()
    cursor = session.cursor()
    cursor.execute("ALTER TYPE mood ADD VALUE 'great'")
    cursor.execute("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")
    cursor.execute("SELECT enum_range(NULL::mood)::text")
    inside = cursor.fetchone()[0]
    outside = value(server, "SELECT enum_range(NULL::mood)::text")[0]
    session.rollback()
    session.close()
    return (inside == "{blue,meh,ok,happy,great}" and outside == WANTED[0]
            and value(server, FOUND) == WANTED)


def binary(server):
    with server.connect() as session, session.cursor() as cursor:
        data = io.BytesIO()
        cursor.copy_expert("COPY (SELECT * FROM people ORDER BY id) TO STDOUT (FORMAT binary)", data)
        cursor.execute("CREATE TABLE again (LIKE people)")
        data.seek(0)
        cursor.copy_expert("COPY again FROM STDIN (FORMAT binary)", data)
        cursor.execute("SELECT count(*) FROM again a JOIN people p USING (id) WHERE a.m = p.m AND a.ms = p.ms")
        return cursor.fetchone()[0] == 3001 and b"\x00\x00\x00\x05happy" in data.getvalue()


def text_rows(server):
    with server.connect() as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE loaded (LIKE people)")
        rows = "".join(f"{i}\tmeh\t{{sad}}\t5\n" for i in range(5000))
        cursor.copy_expert("COPY loaded FROM STDIN", io.StringIO(rows))
        cursor.execute("SELECT count(*) FROM loaded WHERE m = 'meh' AND ms = '{sad}'")
        good = cursor.fetchone()[0] == 5000
    with server.connect() as session, session.cursor() as cursor:
        try:
            cursor.copy_expert("COPY loaded FROM STDIN", io.StringIO("1\tmeh\t{}\t-5\n"))
        except psycopg2.Error as error:
            return good and error.pgcode == "23514"
    return False


TESTS = [
    ("enums, their order and their rows outlive a crash", after_crash),
    ("labels and constraints are looked at after it", still_checked),
    ("changes of labels are undone by a rollback, and not seen before a commit", rolled_back),
    ("COPY in binary form writes labels and reads them", binary),
    ("COPY in text form reads labels and looks at domains", text_rows),
]


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    failed = 0
    with Server() as server:
        server.connect().close()
        for number, (name, test) in enumerate(TESTS, 1):
            good = test(server)
            failed += not good
            print(f"{'ok' if good else 'not ok'} {number} - {name}", flush=True)
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

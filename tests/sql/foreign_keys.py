"""foreign_keys.py - two sessions at once over a foreign key: who waits, who fails, and that no row ever
refers to nothing. TAP. The outcomes are PostgreSQL 15's.
"""
import os
import sys
import threading

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve  # noqa: E402

REFER = "INSERT INTO ch (p) VALUES (1)"
DELETE = "DELETE FROM pa WHERE id = 1"
MOVE = "UPDATE pa SET id = 5 WHERE id = 1"
TOUCH = "UPDATE pa SET v = v + 1 WHERE id = 1"

# level, first statement, second one, how the first ends: does the second wait, and what becomes of it
CASES = [
    ("read committed", REFER, DELETE, "commit", True, "23503"),
    ("read committed", REFER, DELETE, "rollback", True, "ok"),
    ("read committed", DELETE, REFER, "commit", True, "23503"),
    ("read committed", DELETE, REFER, "rollback", True, "ok"),
    ("read committed", REFER, TOUCH, "commit", False, "ok"),
    ("read committed", TOUCH, REFER, "commit", False, "ok"),
    ("read committed", REFER, REFER, "commit", False, "ok"),
    ("read committed", MOVE, REFER, "commit", True, "23503"),
    ("read committed", REFER, MOVE, "commit", True, "23503"),
    ("read committed", MOVE, REFER, "rollback", True, "ok"),
    ("repeatable read", REFER, DELETE, "commit", True, "23503"),
    ("repeatable read", DELETE, REFER, "commit", True, "40001"),
    ("repeatable read", DELETE, REFER, "rollback", True, "ok"),
    ("repeatable read", REFER, TOUCH, "commit", False, "ok"),
    ("repeatable read", REFER, MOVE, "commit", True, "23503"),
]


def outcome(server, level, first, second, how):
    with server.connect() as setup, setup.cursor() as cursor:
        cursor.execute("DELETE FROM ch")
        cursor.execute("DELETE FROM pa")
        cursor.execute("INSERT INTO pa VALUES (1, 0), (2, 0)")
    setup.close()
    one, two = server.connect(), server.connect()
    for session in (one, two):
        session.set_session(isolation_level=level)
        session.cursor().execute("SELECT count(*) FROM ch")
    one.cursor().execute(first)
    result = []

    def run():
        try:
            two.cursor().execute(second)
            two.commit()
            result.append("ok")
        except psycopg2.Error as error:
            two.rollback()
            result.append(error.pgcode)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.3)
    waited = thread.is_alive()
    one.commit() if how == "commit" else one.rollback()
    thread.join(20)
    with one.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ch WHERE NOT EXISTS "
                       "(SELECT 1 FROM pa WHERE pa.id = ch.p)")
        lost = cursor.fetchone()[0]
    one.close()
    two.close()
    return waited, result[0] if result else "still waiting", lost


def late_child(server):
    """A row that came after the snapshot of the one who deletes what it refers to."""
    with server.connect() as setup, setup.cursor() as cursor:
        cursor.execute("DELETE FROM ch")
        cursor.execute("DELETE FROM pa")
        cursor.execute("INSERT INTO pa VALUES (1, 0)")
        setup.commit()
        late = server.connect()
        late.set_session(isolation_level="repeatable read")
        late.cursor().execute("SELECT count(*) FROM ch")
        cursor.execute(REFER)
        setup.commit()
    setup.close()
    try:
        late.cursor().execute(DELETE)
        late.commit()
        return "ok"
    except psycopg2.Error as error:
        return error.pgcode
    finally:
        late.close()


def bulk(server):
    """COPY of many rows: all good, then one bad among them."""
    import io
    with server.connect() as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE bp (id int PRIMARY KEY)")
        cursor.execute("CREATE TABLE bc (id int, p int REFERENCES bp)")
        cursor.execute("INSERT INTO bp SELECT generate_series(1, 5000)")
        rows = "".join(f"{i}\t{i % 5000 + 1}\n" for i in range(100000))
        cursor.copy_expert("COPY bc FROM STDIN", io.StringIO(rows))
        session.commit()
        try:
            cursor.copy_expert("COPY bc FROM STDIN", io.StringIO(rows + "1\t5001\n"))
            return "no error"
        except psycopg2.Error as error:
            session.rollback()
            cursor.execute("SELECT count(*) FROM bc")
            return error.pgcode, error.diag.message_detail, cursor.fetchone()[0]


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    number = failed = 0

    def judge(name, want, got):
        nonlocal number, failed
        number += 1
        failed += want != got
        print(f"{'ok' if want == got else 'not ok'} {number} - {name}", flush=True)
        if want != got:
            print(f"# wanted {want}, got {got}", flush=True)

    with Server() as server:
        with server.connect() as setup, setup.cursor() as cursor:
            cursor.execute("CREATE TABLE pa (id int PRIMARY KEY, v int)")
            cursor.execute("CREATE TABLE ch (id serial PRIMARY KEY, p int REFERENCES pa)")
        setup.close()
        for level, first, second, how, waits, end in CASES:
            judge(f"{level}: {first}; beside it {second}; {how}", (waits, end, 0),
                  outcome(server, level, first, second, how))
        judge("a row newer than the snapshot", "23503", late_child(server))
        judge("COPY checks its rows",
              ("23503", 'Key (p)=(5001) is not present in table "bp".', 100000), bulk(server))
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""index_access.py - plans that read indexes: by their names in EXPLAIN, and under other sessions' changes. TAP."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, serve_tap  # noqa: E402

SERVER = Server()


def run(connection, text):
    cursor = connection.cursor()
    cursor.execute(text)
    return cursor.fetchall() if cursor.description else None


def session(autocommit=True):
    connection = SERVER.connect()
    connection.autocommit = autocommit
    return connection


def plan(connection, text):
    return "\n".join(row[0] for row in run(connection, "EXPLAIN " + text))


def ids(connection, text):
    return [row[0] for row in run(connection, text)]


def make(connection):
    run(connection, "DROP TABLE IF EXISTS ia")
    run(connection, "CREATE TABLE ia (id int PRIMARY KEY, grp int, v text)")
    run(connection, "INSERT INTO ia SELECT g, g % 50, 'v' || g FROM generate_series(1, 20000) g")
    run(connection, "CREATE INDEX ia_grp ON ia (grp, id)")


def test_plans_name_the_index():
    s = session()
    make(s)
    for text, wanted in (
            ("SELECT * FROM ia ORDER BY id LIMIT 5", "Index Scan using ia_pkey"),
            ("SELECT * FROM ia ORDER BY id DESC LIMIT 5", "Index Scan Backward using ia_pkey"),
            ("SELECT id FROM ia WHERE grp = 7 ORDER BY id DESC LIMIT 5",
             "Index Scan Backward using ia_grp"),
            ("SELECT * FROM ia WHERE id IN (1, 2, 3)", "Index Lookup using ia_pkey"),
            ("SELECT * FROM ia WHERE id = 1 OR id = 2", "Index Lookup using ia_pkey"),
            ("SELECT * FROM ia WHERE id = ANY ('{1,2}')", "Index Lookup using ia_pkey")):
        got = plan(s, text)
        assert wanted in got and "Sort" not in got, f"{text}:\n{got}"
    for text in ("SELECT * FROM ia ORDER BY v LIMIT 5", "SELECT * FROM ia ORDER BY id, v LIMIT 5",
                 "SELECT * FROM ia ORDER BY id DESC NULLS LAST, grp LIMIT 5"):
        assert "Sort" in plan(s, text), text


def test_a_few_rows_are_read_for_a_limit():
    s = session()
    make(s)
    got = "\n".join(r[0] for r in run(s, "EXPLAIN ANALYZE SELECT * FROM ia ORDER BY id LIMIT 2"))
    line = next(text for text in got.splitlines() if "Index Scan" in text)
    rows = int(line.split("actual")[1].split("rows=")[1].split()[0])
    assert rows <= 64, got


def test_an_old_snapshot_keeps_its_order():
    a, b = session(), session()
    make(a)
    run(a, "BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert ids(a, "SELECT id FROM ia ORDER BY id LIMIT 3") == [1, 2, 3]
    run(b, "DELETE FROM ia WHERE id = 1")
    run(b, "UPDATE ia SET id = -5 WHERE id = 3")
    run(b, "INSERT INTO ia VALUES (0, 7, 'zero')")
    assert ids(a, "SELECT id FROM ia ORDER BY id LIMIT 3") == [1, 2, 3]
    assert ids(a, "SELECT id FROM ia WHERE id IN (-5, 0, 1, 3) ORDER BY id") == [1, 3]
    assert ids(a, "SELECT id FROM ia WHERE grp = 7 ORDER BY id LIMIT 1") == [7]
    run(a, "COMMIT")
    assert ids(a, "SELECT id FROM ia ORDER BY id LIMIT 3") == [-5, 0, 2]
    assert ids(a, "SELECT id FROM ia WHERE id IN (-5, 0, 1, 3) ORDER BY id") == [-5, 0]
    assert ids(a, "SELECT id FROM ia WHERE grp = 7 ORDER BY id LIMIT 1") == [0]


def test_uncommitted_rows_of_others_are_not_seen():
    a, b = session(), session()
    make(a)
    run(b, "BEGIN")
    run(b, "INSERT INTO ia VALUES (-1, 1, 'theirs')")
    run(b, "UPDATE ia SET id = 50000 WHERE id = 20000")
    assert ids(a, "SELECT id FROM ia ORDER BY id LIMIT 1") == [1]
    assert ids(a, "SELECT id FROM ia ORDER BY id DESC LIMIT 1") == [20000]
    assert ids(a, "SELECT id FROM ia WHERE id IN (-1, 50000, 20000)") == [20000]
    assert ids(b, "SELECT id FROM ia WHERE id IN (-1, 50000, 20000) ORDER BY id") == [-1, 50000]
    assert ids(b, "SELECT id FROM ia ORDER BY id DESC LIMIT 1") == [50000]
    run(b, "ROLLBACK")
    assert ids(b, "SELECT id FROM ia ORDER BY id LIMIT 1") == [1]


if __name__ == "__main__":
    TESTS = [test for name, test in sorted(globals().items()) if name.startswith("test_")]
    sys.exit(serve_tap(TESTS, SERVER))

"""large_txn.py - transactions that change more than memory holds: they commit, roll back, conflict and
survive a crash like small ones. TAP."""
import os
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import FULL, Server, sanitized, serve_tap  # noqa: E402

BUDGET = 64 << 20
ROWS = 2000000 if FULL else 40000 if sanitized() else 100000
PARENTS = 1000
SERVER = Server(["--set", "storage.memory_budget=64MB"] +
                ([] if FULL else ["--set", "storage.hot_tier_size=8MB"]))
PEAK = [0]


def session(isolation=None):
    connection = SERVER.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    if isolation:
        cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {isolation}")
    return cursor


def one(cursor, text):
    cursor.execute(text)
    return cursor.fetchone()


def rss():
    with open(f"/proc/{SERVER.pid()}/status", encoding="ascii") as f:
        kib = [line for line in f if line.startswith("VmRSS")][0].split()[1]
    PEAK[0] = max(PEAK[0], int(kib) << 10)


def change(cursor, text):
    """A statement, with an eye on memory while it runs."""
    done = threading.Event()

    def look():
        while not done.wait(0.05):
            rss()
    watch = threading.Thread(target=look)
    watch.start()
    try:
        cursor.execute(text)
    finally:
        done.set()
        watch.join()


def fails(cursor, text, code):
    try:
        cursor.execute(text)
    except psycopg2.Error as error:
        assert error.pgcode == code, f"{text}: {error.pgcode} {error}"
        return
    raise AssertionError(f"{text}: no error {code}")


def restart():
    SERVER.kill()
    result = SERVER.check()
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    SERVER.start()


def sums(cursor, table="big"):
    return one(cursor, f"SELECT count(*), sum(id), sum(a), sum(u), sum(length(pad)) FROM {table}")


def by_index(cursor):
    """Each index finds what a scan finds."""
    for key in (1, 77, ROWS // 2, ROWS - 1, ROWS * 2 + 5):
        for column in ("id", "u", "a"):
            got = one(cursor, f"SELECT count(*), sum(id) FROM big WHERE {column} = {key}")
            all_of = one(cursor, f"SELECT count(*), sum(id) FROM big WHERE {column} + 0 = {key}")
            assert got == all_of, (column, key, got, all_of)


def fill():
    cursor = session()
    cursor.execute("CREATE TABLE parent (p int PRIMARY KEY)")
    cursor.execute(f"INSERT INTO parent SELECT i FROM generate_series(0, {PARENTS - 1}) i")
    cursor.execute("CREATE TABLE big (id int8 PRIMARY KEY, a int8, u int8 UNIQUE, "
                   "ref int REFERENCES parent, pad text)")
    cursor.execute("CREATE INDEX big_a ON big (a)")
    cursor.execute(f"""INSERT INTO big SELECT i, i % 5000, i, i % {PARENTS}, md5(i || 'a') || md5(i || 'b')
        FROM generate_series(1, {ROWS}) i""")
    disk = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in
               os.walk(os.path.join(SERVER.dir, "data")) for name in names)
    return f"{ROWS} rows, {disk >> 20} MB on disk"


def update_and_roll_back():
    cursor, other = session(), session()
    before = sums(cursor)
    cursor.execute("BEGIN")
    change(cursor, "UPDATE big SET a = a + 7, pad = 'x' || pad")
    assert cursor.rowcount == ROWS, cursor.rowcount
    now = sums(cursor)
    assert now == (before[0], before[1], before[2] + 7 * ROWS, before[3], before[4] + ROWS), now
    assert sums(other) == before
    by_index(cursor)
    by_index(other)
    cursor.execute("ROLLBACK")
    assert sums(cursor) == before and sums(other) == before
    by_index(other)


def update_and_commit():
    cursor, old = session(), session("REPEATABLE READ")
    before = sums(cursor)
    old.execute("BEGIN")
    assert sums(old) == before
    change(cursor, "UPDATE big SET a = a + 1, pad = pad || 'y'")
    after = (before[0], before[1], before[2] + ROWS, before[3], before[4] + ROWS)
    assert sums(cursor) == after
    assert sums(old) == before
    by_index(old)
    by_index(cursor)
    old.execute("COMMIT")
    assert sums(old) == after
    restart()
    cursor = session()
    assert sums(cursor) == after
    by_index(cursor)


def keys_change():
    """Every row gets new unique keys; the old ones are free, the new ones are not."""
    cursor = session()
    before = sums(cursor)
    change(cursor, f"UPDATE big SET u = u + {ROWS * 2}")
    assert sums(cursor)[3] == before[3] + 2 * ROWS * ROWS
    by_index(cursor)
    fails(cursor, f"UPDATE big SET u = {ROWS * 2 + 9} WHERE id = 8", "23505")
    cursor.execute("UPDATE big SET u = 8 WHERE id = 8")
    cursor.execute(f"UPDATE big SET u = {ROWS * 2 + 8} WHERE id = 8")
    restart()
    cursor = session()
    by_index(cursor)
    fails(cursor, f"UPDATE big SET u = {ROWS * 2 + 9} WHERE id = 8", "23505")
    fails(cursor, "UPDATE big SET u = 5", "23505")
    change(cursor, f"UPDATE big SET u = u - {ROWS * 2}")
    assert sums(cursor) == before
    by_index(cursor)


def savepoints():
    cursor = session()
    before = sums(cursor)
    cursor.execute("BEGIN")
    change(cursor, f"UPDATE big SET a = a + 1 WHERE id <= {ROWS // 2}")
    half = sums(cursor)
    cursor.execute("SAVEPOINT s")
    change(cursor, "UPDATE big SET a = a + 10, pad = '-'")
    change(cursor, f"DELETE FROM big WHERE id > {ROWS // 3}")
    assert one(cursor, "SELECT count(*) FROM big")[0] == ROWS // 3
    cursor.execute("ROLLBACK TO s")
    assert sums(cursor) == half, (sums(cursor), half)
    by_index(cursor)
    change(cursor, "UPDATE big SET a = a + 2")
    cursor.execute("COMMIT")
    assert sums(cursor)[2] == before[2] + ROWS // 2 + 2 * ROWS
    restart()
    cursor = session()
    assert sums(cursor)[2] == before[2] + ROWS // 2 + 2 * ROWS
    assert sums(cursor)[4] == before[4]
    by_index(cursor)


def open_cursor():
    """A cursor of the transaction itself does not see what came after it."""
    cursor = session()
    cursor.execute("BEGIN")
    cursor.execute("UPDATE big SET a = a + 0 WHERE id <= 1000")
    cursor.execute("DECLARE c CURSOR FOR SELECT id, length(pad) FROM big")
    cursor.execute("FETCH 10 FROM c")
    long = cursor.fetchone()[1]
    change(cursor, "UPDATE big SET pad = 'short'")
    cursor.execute("FETCH ALL FROM c")
    rows = cursor.fetchall()
    assert len(rows) == ROWS - 10, len(rows)
    assert min(row[1] for row in rows) >= long - 9
    assert one(cursor, "SELECT max(length(pad)) FROM big") == (5,)
    cursor.execute("ROLLBACK")


def small_statements():
    """Many statements and savepoints make a large transaction too."""
    cursor = session()
    before = sums(cursor)
    rounds = 12
    cursor.execute("BEGIN")
    for i in range(rounds):
        cursor.execute("SAVEPOINT s")
        change(cursor, f"UPDATE big SET a = a + 1 WHERE id % {rounds} = {i}")
        cursor.execute("RELEASE s")
    cursor.execute("COMMIT")
    assert sums(cursor)[2] == before[2] + ROWS
    by_index(cursor)


def conflicts():
    cursor, other, third = session(), session(), session("REPEATABLE READ")
    third.execute("BEGIN")
    third.execute("SELECT 1 FROM big LIMIT 1")
    cursor.execute("BEGIN")
    change(cursor, "UPDATE big SET a = a + 1")
    other.execute("SET lock_timeout = '300ms'")
    fails(other, "UPDATE big SET a = 0 WHERE id = 5", "55P03")
    fails(other, "SELECT 1 FROM big WHERE id = 5 FOR UPDATE NOWAIT", "55P03")
    assert one(other, "SELECT count(*) FROM (SELECT 1 FROM big WHERE id < 100 "
                      "FOR UPDATE SKIP LOCKED) x") == (0,)
    # No key changes: who only refers to the rows does not wait.
    other.execute("SELECT 1 FROM big WHERE id = 5 FOR KEY SHARE NOWAIT")
    other.execute("SET lock_timeout = 0")
    fails(third, "SELECT 1 FROM big WHERE id = 5 FOR UPDATE NOWAIT", "55P03")
    third.execute("ROLLBACK")
    third.execute("BEGIN")
    third.execute("SELECT 1 FROM big LIMIT 1")
    results = {}

    def work(name, who, text):
        try:
            who.execute(text)
            results[name] = who.rowcount
        except psycopg2.Error as error:
            results[name] = error.pgcode
    threads = [threading.Thread(target=work, args=args) for args in (
        ("read committed", other, "UPDATE big SET a = a + 1000 WHERE id = 5"),
        ("repeatable read", third, "UPDATE big SET a = a + 1000 WHERE id = 6"))]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert not results, results
    was = one(cursor, "SELECT a FROM big WHERE id = 5")[0]
    cursor.execute("COMMIT")
    for thread in threads:
        thread.join()
    assert results == {"read committed": 1, "repeatable read": "40001"}, results
    assert one(cursor, "SELECT a FROM big WHERE id = 5")[0] == was + 1000
    third.execute("ROLLBACK")


def keys_in_progress():
    """Nobody else gets a key that a large transaction is about to take, or may yet give back."""
    cursor, other = session(), session()
    cursor.execute("BEGIN")
    change(cursor, f"UPDATE big SET u = u + {ROWS * 4}")
    other.execute("SET lock_timeout = '300ms'")
    fails(other, f"INSERT INTO big VALUES (-1, 0, {ROWS * 4 + 3}, 0, '')", "55P03")
    fails(other, "INSERT INTO big VALUES (-1, 0, 3, 0, '')", "55P03")
    fails(other, "INSERT INTO big VALUES (3, 0, -3, 0, '')", "55P03")
    other.execute("INSERT INTO big VALUES (-1, 0, -1, 0, '')")
    other.execute("DELETE FROM big WHERE id = -1")
    cursor.execute("ROLLBACK")
    other.execute(f"INSERT INTO big VALUES (-1, 0, {ROWS * 4 + 3}, 0, '')")
    other.execute("DELETE FROM big WHERE id = -1")
    by_index(cursor)


def insert_rows():
    """INSERT .. SELECT row by row (ON CONFLICT), with foreign keys; then a duplicate at the very end."""
    cursor, other = session(), session()
    before = sums(cursor)
    cursor.execute("BEGIN")
    change(cursor, f"""INSERT INTO big SELECT id + {ROWS * 8}, a, u + {ROWS * 8}, ref, pad FROM big
                       ON CONFLICT DO NOTHING""")
    assert cursor.rowcount == ROWS
    assert sums(cursor)[0] == 2 * ROWS and sums(other) == before
    other.execute("SET lock_timeout = '300ms'")
    fails(other, f"INSERT INTO big VALUES ({ROWS * 8 + 1}, 0, -1, 0, '')", "55P03")
    change(cursor, f"UPDATE big SET a = -1 WHERE id > {ROWS * 8}")
    assert one(cursor, "SELECT count(*) FROM big WHERE a = -1")[0] == ROWS
    cursor.execute("ROLLBACK")
    assert sums(cursor) == before
    other.execute(f"INSERT INTO big VALUES ({ROWS * 8 + 1}, 0, -1, 0, '')")
    fails(cursor, f"INSERT INTO big SELECT id + {ROWS * 8}, a, u + {ROWS * 8}, {PARENTS + 5}, pad FROM big",
          "23505")
    other.execute(f"DELETE FROM big WHERE id = {ROWS * 8 + 1}")
    fails(cursor, f"INSERT INTO big SELECT id + {ROWS * 8}, a, u + {ROWS * 8}, {PARENTS + 5}, pad FROM big "
          "ON CONFLICT DO NOTHING", "23503")
    assert sums(cursor) == before
    by_index(cursor)
    change(cursor, f"INSERT INTO big SELECT id + {ROWS * 8}, a, u + {ROWS * 8}, ref, pad FROM big "
           "ON CONFLICT DO NOTHING")
    restart()
    cursor = session()
    assert sums(cursor)[0] == 2 * ROWS
    fails(cursor, "DELETE FROM parent WHERE p = 5", "23503")
    change(cursor, f"DELETE FROM big WHERE id > {ROWS * 8}")
    assert sums(cursor) == before
    by_index(cursor)


def killed():
    """Killed in the middle: nothing is left, of rows or of files. Killed after: all is there."""
    cursor = session()
    before = sums(cursor)
    cursor.execute("CHECKPOINT")
    time.sleep(1)
    cursor.execute("BEGIN")
    cursor.execute("UPDATE big SET a = a + 1, pad = pad || 'lost'")
    cursor.execute(f"DELETE FROM big WHERE id > {ROWS // 2}")
    restart()
    cursor = session()
    assert sums(cursor) == before
    by_index(cursor)
    cursor.execute("UPDATE big SET a = a + 1")
    restart()
    cursor = session()
    assert sums(cursor)[2] == before[2] + ROWS
    by_index(cursor)


def delete_all():
    cursor, other = session(), session("REPEATABLE READ")
    before = sums(cursor)
    cursor.execute("BEGIN")
    change(cursor, "DELETE FROM big")
    assert sums(cursor)[0] == 0
    assert sums(other) == before
    cursor.execute("ROLLBACK")
    assert sums(cursor) == before
    other.execute("BEGIN")
    assert sums(other) == before
    change(cursor, "DELETE FROM big")
    assert sums(other) == before
    fails(other, "DELETE FROM big WHERE id = 1", "40001")
    other.execute("ROLLBACK")
    cursor.execute("INSERT INTO big VALUES (1, 1, 1, 1, 'again')")
    restart()
    cursor = session()
    assert sums(cursor) == (1, 1, 1, 1, 5)
    by_index(cursor)


def memory():
    if sanitized():
        return "SKIP figures mean nothing under a sanitizer"
    assert PEAK[0] <= BUDGET * 5 // 4, f"{PEAK[0] >> 20} MB"
    return f"at most {PEAK[0] >> 20} MB resident with a budget of {BUDGET >> 20} MB"


TESTS = [fill, update_and_roll_back, update_and_commit, keys_change, savepoints, open_cursor,
         small_statements, conflicts, keys_in_progress, insert_rows, killed, delete_all, memory]

if __name__ == "__main__":
    sys.exit(serve_tap(TESTS, SERVER))

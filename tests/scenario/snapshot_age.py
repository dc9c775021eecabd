"""snapshot_age.py - storage.max_snapshot_age: old snapshots end with 72000 and keep nothing. TAP."""
import os
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, serve_tap  # noqa: E402

import psycopg2  # noqa: E402

AGE = 2.0
ROWS = 1000
SERVER = Server(options=["--set", "storage.max_snapshot_age=2s"])


def session(level=None):
    connection = SERVER.connect()
    if level is None:
        connection.autocommit = True
    else:
        connection.set_session(isolation_level=level)
    return connection.cursor()


def one(cursor, text):
    cursor.execute(text)
    return cursor.fetchone()[0]


def too_old(cursor, text):
    try:
        cursor.execute(text)
    except psycopg2.Error as error:
        assert error.pgcode == "72000" and "snapshot too old" in str(error), (text, error)
        return
    raise AssertionError(f"{text} went through")


def marked():
    with urllib.request.urlopen(f"http://127.0.0.1:{SERVER.metrics_port}/metrics", timeout=10) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("lumadb_txn_snapshots_too_old"):
                return float(line.split()[-1])
    raise AssertionError("the counter is not there")


def versions(cursor, at_most):
    """Rows in memory after a checkpoint; those it has written go when no reader looks for them there."""
    for _ in range(100):
        cursor.execute("CHECKPOINT")
        rows = one(cursor, "SELECT sum(rows) FROM lumadb.segments WHERE table_name = 't' AND kind = 'hot'")
        if rows <= at_most:
            break
        time.sleep(0.1)
    return rows


def idle():
    """Transactions that keep a snapshot and do nothing: it is taken away, and their next statement told."""
    writer = session()
    writer.execute("CREATE TABLE t AS SELECT g AS k, 1 AS v, repeat(md5(g::text), 12) AS pad "
                   f"FROM generate_series(1, {ROWS}) g")
    writer.execute("UPDATE t SET v = 0")
    readers = [session("REPEATABLE READ"), session("SERIALIZABLE")]
    for reader in readers:
        assert one(reader, "SELECT sum(v) FROM t") == 0
    fresh = session("READ COMMITTED")
    assert one(fresh, "SELECT sum(v) FROM t") == 0
    for _ in range(3):
        writer.execute("UPDATE t SET v = 1")
    kept = versions(writer, ROWS)
    assert kept == ROWS, kept  # what the readers see
    time.sleep(AGE + 3)
    freed = versions(writer, 0)
    assert freed == 0, freed
    for reader in readers:
        too_old(reader, "SELECT sum(v) FROM t")
        reader.connection.rollback()
        assert one(reader, "SELECT sum(v) FROM t") == ROWS
        reader.connection.rollback()
    assert one(fresh, "SELECT sum(v) FROM t") == ROWS
    fresh.connection.commit()
    return f"{kept} versions before, {freed} after"


def changes():
    """What such a transaction has written can be committed; it writes no more."""
    cursor = session("REPEATABLE READ")
    cursor.execute("INSERT INTO t VALUES (-1, 7)")
    time.sleep(AGE + 3)
    cursor.connection.commit()
    assert one(cursor, "SELECT v FROM t WHERE k = -1") == 7
    time.sleep(AGE + 3)
    too_old(cursor, "UPDATE t SET v = 8 WHERE k = -1")
    cursor.connection.rollback()
    assert one(cursor, "SELECT v FROM t WHERE k = -1") == 7
    cursor.execute("DELETE FROM t WHERE k = -1")
    cursor.connection.commit()


def running():
    """A statement under way ends with the error; so does an open cursor."""
    writer = session()
    writer.execute("CREATE TABLE large AS SELECT g AS k FROM generate_series(1, 300000) g")
    cursor = session("REPEATABLE READ")
    cursor.execute("DECLARE c CURSOR FOR SELECT k FROM large")
    cursor.execute("FETCH 10 FROM c")
    assert len(cursor.fetchall()) == 10
    time.sleep(AGE + 3)
    too_old(cursor, "FETCH ALL FROM c")
    cursor.connection.rollback()
    slow = session("READ COMMITTED")
    too_old(slow, "SELECT count(CASE WHEN k % 2048 = 0 THEN pg_sleep(0.2) END) FROM large")
    slow.connection.rollback()
    assert one(slow, "SELECT count(*) FROM large") == 300000


def many_short():
    """Sessions with short statements are never told, whether anything is committed or not."""
    cursor, block = session(), session("READ COMMITTED")
    before, end = marked(), time.monotonic() + AGE + 4
    while time.monotonic() < end:
        assert one(cursor, "SELECT count(*) FROM t") == ROWS
        assert one(block, "SELECT count(*) FROM t WHERE v = 1") == ROWS
    assert marked() == before, SERVER.tail()


if __name__ == "__main__":
    sys.exit(serve_tap([idle, changes, running, many_short], SERVER))

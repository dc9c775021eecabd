"""small_tables.py - ten thousand small tables share objects: few files, quick checkpoints and starts. TAP."""
import os
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import FULL, Server, sanitized, serve_tap  # noqa: E402

TABLES = 10000 if FULL else 1000
SERVER = Server()
SLACK = 10 if sanitized() else 1 if FULL else 2  # other tests may run beside this one


def session():
    connection = SERVER.connect()
    connection.autocommit = True
    return connection.cursor()


def timed(what):
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


def many(statement):
    cursor = session()
    for first in range(0, TABLES, 200):
        last = min(first + 200, TABLES)
        cursor.execute("BEGIN;" + "".join(statement.format(t=t) for t in range(first, last)) + "COMMIT")


def answer():
    cursor = session()
    cursor.execute(f"SELECT sum(k), count(*) FROM t{TABLES - 1}")
    return cursor.fetchone()


def metric(name):
    with urllib.request.urlopen(f"http://127.0.0.1:{SERVER.metrics_port}/metrics", timeout=10) as page:
        for line in page.read().decode().splitlines():
            if line.startswith(name):
                return float(line.split()[-1])
    raise AssertionError(f"{name} is not there")


def checkpoint():
    session().execute("CHECKPOINT")


def files_and_times():
    many("CREATE TABLE t{t} (k int PRIMARY KEY, v text); INSERT INTO t{t} VALUES (1, 'a'), (2, 'b');")
    first = timed(checkpoint)
    many("INSERT INTO t{t} VALUES (3, 'c');")
    all_touched = timed(checkpoint)
    files = sum(len(names) for _, _, names in os.walk(os.path.join(SERVER.dir, "data")))
    assert SERVER.stop() == 0, SERVER.tail()
    start = timed(lambda: SERVER.start() and answer())
    assert answer() == (6, 3)
    many("INSERT INTO t{t} VALUES (4, 'd');")
    SERVER.kill()
    after_kill = timed(lambda: SERVER.start() and answer())
    assert answer() == (10, 4)
    said = (f"{TABLES} tables: checkpoints {first:.2f} s and {all_touched:.2f} s, {files} files, start "
            f"{start:.2f} s, after a kill {after_kill:.2f} s")
    assert files < 1000, said
    assert max(first, all_touched, start) < 2 * SLACK, said
    return said


def what_they_consist_of():
    """lumadb.segments says it; REINDEX makes runs anew; the folder is sound."""
    cursor = session()
    cursor.execute("CREATE TABLE large (k int PRIMARY KEY, v text)")
    cursor.execute("INSERT INTO large SELECT g, 'v' || g FROM generate_series(1, 50000) g")
    checkpoint()
    parts = "SELECT kind, sum(rows), max(object) FROM lumadb.segments WHERE table_name = 'large' GROUP BY 1"
    cursor.execute(parts)
    before = {kind: (rows, newest) for kind, rows, newest in cursor.fetchall()}
    assert before["segment"][0] == before["index run"][0] == 50000, before
    written = metric("lumadb_store_object_bytes_written")
    cursor.execute("SELECT sum(bytes) FROM lumadb.segments WHERE object IS NOT NULL")
    assert written >= cursor.fetchone()[0], written
    cursor.execute("REINDEX TABLE large")
    assert metric("lumadb_store_object_bytes_written") > written
    cursor.execute(parts)
    after = {kind: (rows, newest) for kind, rows, newest in cursor.fetchall()}
    assert after["index run"][0] == 50000 and after["index run"][1] > before["index run"][1], after
    cursor.execute("SELECT v FROM large WHERE k = 4711")
    assert cursor.fetchone() == ("v4711",)
    assert SERVER.stop() == 0
    result = SERVER.check()
    assert result.returncode == 0, result.stdout[-1000:] + result.stderr


if __name__ == "__main__":
    sys.exit(serve_tap([files_and_times, what_they_consist_of], SERVER))

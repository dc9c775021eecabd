"""memory.py - tables of wide rows, larger than the memory budget: every row is changed, deleted and copied, in
transactions that commit and roll back; sorted, grouped and joined. What is resident stays within the budget and
a quarter. LUMA_TEST_FULL=1: ten times the budget. TAP."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import FULL, Server, sanitized, serve_tap  # noqa: E402

BUDGET = 64 << 20
SERVER = Server(["--set", "storage.memory_budget=64MB"])
TABLES = {"medium": 200, "wide": 2000}  # bytes a row
ROWS = {"medium": 2000000 if FULL else 40000 if sanitized() else 140000,
        "wide": 300000 if FULL else 12000 if sanitized() else 60000}
PEAK = {}


def session():
    connection = SERVER.connect()
    connection.autocommit = True
    return connection.cursor()


def one(cursor, text):
    cursor.execute(text)
    return cursor.fetchone()


def rss():
    with open(f"/proc/{SERVER.pid()}/status", encoding="ascii") as f:
        kib = [line for line in f if line.startswith("VmRSS")][0].split()[1]
    return int(kib) << 10


def run(cursor, text):
    """A statement, with an eye on memory while it runs."""
    done = threading.Event()

    def look():
        while not done.wait(0.02):
            PEAK[text] = max(PEAK.get(text, 0), rss())
    watch = threading.Thread(target=look)
    watch.start()
    try:
        cursor.execute(text)
    finally:
        done.set()
        watch.join()
    return cursor.rowcount


def sums(cursor, table):
    return one(cursor, f"SELECT count(*), sum(id), sum(a), sum(length(pad)), sum(length(more)), "
                       f"count(distinct left(pad, 3)) FROM {table}")


def fill():
    cursor = session()
    for table, width in TABLES.items():
        rows = ROWS[table]
        cursor.execute(f"CREATE TABLE {table} (id int8 PRIMARY KEY, a int, pad text, more text)")
        run(cursor, f"""INSERT INTO {table} SELECT i, i % 1000,
            md5(i::text) || repeat(md5((i + 1)::text), {width // 64 - 1}), repeat('x' || i, {width // 14})
            FROM generate_series(1, {rows}) i""")
        assert sums(cursor, table)[:2] == (rows, rows * (rows + 1) // 2)


def update_rolls_back_and_commits():
    cursor, other = session(), session()
    for table, rows in ROWS.items():
        before = sums(cursor, table)
        cursor.execute("BEGIN")
        assert run(cursor, f"UPDATE {table} SET a = a + 1, pad = pad || 'y'") == rows
        after = (*before[:2], before[2] + rows, before[3] + rows, *before[4:])
        assert sums(cursor, table) == after
        assert sums(other, table) == before
        cursor.execute("ROLLBACK")
        assert sums(cursor, table) == before
        assert run(cursor, f"UPDATE {table} SET a = a + 1, pad = pad || 'y'") == rows
        assert sums(other, table) == after


def copy_of_all_rows():
    """INSERT .. SELECT as columns and, with ON CONFLICT, row by row."""
    cursor = session()
    for table, rows in ROWS.items():
        before = sums(cursor, table)
        cursor.execute(f"CREATE TABLE copy_{table} (id int8 PRIMARY KEY, a int, pad text, more text)")
        assert run(cursor, f"INSERT INTO copy_{table} SELECT * FROM {table}") == rows
        assert sums(cursor, f"copy_{table}") == before
        cursor.execute("BEGIN")
        assert run(cursor, f"INSERT INTO copy_{table} SELECT id + {rows * 2}, a, pad, more FROM {table} "
                           "ON CONFLICT DO NOTHING") == rows
        assert one(cursor, f"SELECT count(*) FROM copy_{table}") == (rows * 2,)
        cursor.execute("ROLLBACK")
        assert sums(cursor, f"copy_{table}") == before


def few_rows_deleted():
    """Rows that are gone stay so, wherever row groups end."""
    cursor = session()
    for table, rows in ROWS.items():
        cursor.execute(f"DELETE FROM copy_{table} WHERE id % 97 = 0")
        left = rows - rows // 97
        assert one(cursor, f"SELECT count(*) FROM copy_{table}") == (left,)
        assert one(cursor, f"SELECT count(*) FROM copy_{table} WHERE id % 97 = 0") == (0,)


def deletes_roll_back_and_commit():
    cursor = session()
    for table in ROWS:
        before = sums(cursor, f"copy_{table}")
        cursor.execute("BEGIN")
        assert run(cursor, f"DELETE FROM copy_{table}") == before[0]
        assert one(cursor, f"SELECT count(*) FROM copy_{table}") == (0,)
        cursor.execute("ROLLBACK")
        assert sums(cursor, f"copy_{table}") == before
        run(cursor, f"DELETE FROM copy_{table}")
        assert one(cursor, f"SELECT count(*) FROM copy_{table}") == (0,)


def queries():
    """Each holds more than the budget and goes to disk."""
    cursor = session()
    for table, rows in ROWS.items():
        for text, wanted in (
                ("SELECT count(*), sum(c) FROM (SELECT pad, more, count(*) c FROM {t} GROUP BY pad, more) x", rows),
                ("SELECT count(*), count(*) FROM (SELECT DISTINCT more, pad FROM {t}) x", rows),
                ("SELECT count(*) + 10, count(pad) + 10 FROM (SELECT pad, more FROM {t} ORDER BY pad, more OFFSET 10) x",
                 rows),
                ("SELECT count(*), count(y.pad) FROM {t} x JOIN {t} y ON x.pad = y.pad AND x.more = y.more", rows),
                ("SELECT count(*), count(pad) FROM (SELECT pad, more FROM {t} INTERSECT SELECT pad, more FROM {t}) x", rows),
                ("SELECT count(*), count(pad) FROM (SELECT pad, more FROM {t} EXCEPT ALL SELECT more, pad FROM {t}) x", rows),
                ("SELECT max(n), count(before) + 1 FROM (SELECT row_number() OVER w n, lag(more) OVER w before FROM {t} "
                 "WINDOW w AS (ORDER BY pad, more)) x", rows),
                ("SELECT max(n), max(c) FROM (SELECT sum(1) OVER (PARTITION BY a < 0 ORDER BY id) n, "
                 "count(pad) OVER () c FROM {t}) x", rows)):
            text = text.replace("{t}", table)
            run(cursor, text)
            assert cursor.fetchone() == (wanted, wanted), text


def long_texts():
    """Rows of 96 kB: batches end by bytes where texts are made, kept, written and read."""
    cursor, rows = session(), 300 if sanitized() else 900
    cursor.execute("CREATE TABLE long (id int8 PRIMARY KEY, pad text)")
    cursor.execute("CREATE TABLE longer (id int8 PRIMARY KEY, pad text)")
    assert run(cursor, f"INSERT INTO long SELECT i, repeat(md5(i::text), 3000) FROM generate_series(1, {rows}) i") == rows
    assert run(cursor, "INSERT INTO longer SELECT id, pad || 'x' FROM long") == rows
    for text, wanted in (
            ("SELECT count(*), sum(length(p)) FROM (SELECT upper(pad) p FROM long ORDER BY 1 OFFSET 0) x", 96000),
            ("SELECT count(*), sum(length(x.pad || y.pad)) FROM long x JOIN longer y ON y.pad = x.pad || 'x'", 192001),
            ("SELECT count(*), sum(length(p)) FROM (SELECT pad || 'z' p, row_number() OVER (ORDER BY pad) FROM long) x",
             96001),
            ("WITH w AS MATERIALIZED (SELECT id, pad || 'zz' p FROM long) SELECT count(*), sum(length(x.p)) "
             "FROM w x JOIN w y USING (id)", 96002)):
        run(cursor, text)
        assert cursor.fetchone() == (rows, rows * wanted), text
    run(cursor, "SELECT pad || 'q' FROM long")
    assert sum(len(row[0]) for row in cursor.fetchall()) == rows * 96001


def rows_of_functions():
    """What a call takes is there again for the next one, what its rows take for the next batch."""
    cursor, rows = session(), ROWS["medium"]
    for text, wanted in (
            ("SELECT count(*), sum(b) FROM (SELECT generate_series(1, 2) a, generate_series(1, 3) b FROM medium) x",
             (rows * 3, rows * 6)),
            ("SELECT count(*), sum(b) FROM (SELECT generate_series(1, 3000000) a, generate_series(1, 2) b) x",
             (3000000, 3)),
            ("SELECT count(*), sum(b) FROM medium, generate_series(1, id * 0 + 2) b", (rows * 2, rows * 3))):
        run(cursor, text)
        assert cursor.fetchone() == wanted, text


def crash():
    cursor = session()
    before = {table: sums(cursor, table) for table in TABLES}
    cursor.execute("BEGIN")
    run(cursor, "UPDATE wide SET a = 0")
    SERVER.kill()
    result = SERVER.check()
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    SERVER.start()
    cursor = session()
    for table in TABLES:
        assert sums(cursor, table) == before[table]


def resident():
    """The budget, and a quarter for all that is not counted one by one."""
    if sanitized():
        return "SKIP figures mean nothing under a sanitizer"
    text, peak = max(PEAK.items(), key=lambda item: item[1])
    assert peak <= BUDGET * 5 // 4, f"{peak / 1048576:.1f} MB in {text}"
    return f"at most {peak / 1048576:.1f} MB with a budget of {BUDGET >> 20} MB"


TESTS = [fill, update_rolls_back_and_commits, copy_of_all_rows, few_rows_deleted,
         deletes_roll_back_and_commit, queries, long_texts,
         rows_of_functions, crash, resident]

if __name__ == "__main__":
    sys.exit(serve_tap(TESTS, SERVER))

"""spill.py - statements that need more memory than they are granted: the same answers, by way of files
that are gone afterwards. TAP."""
import os
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve, run_tap  # noqa: E402

ROWS = 150000
WIDE = Server()
TIGHT = Server(options=("--set", "session.statement_memory=8MB"))
FULL = Server(options=("--set", "session.statement_memory=8MB", "--set", "storage.temp_limit=1MB"))


def connect(server):
    connection = server.connect()
    connection.autocommit = True
    return connection


def run(connection, text):
    cursor = connection.cursor()
    cursor.execute(text)
    return cursor.fetchall() if cursor.description else None


def fill(connection):
    run(connection, "CREATE TABLE a (k int, g int, t text, n numeric(12,2), d date)")
    run(connection, f"""INSERT INTO a SELECT i, i % 40000, 'text of some length ' || i % 50000,
        (i * 7919 % 100000) / 100.0, date '2020-01-01' + i % 700 FROM generate_series(1, {ROWS}) i""")
    run(connection, "INSERT INTO a SELECT null, i % 10, null, null, null FROM generate_series(1, 100) i")
    run(connection, "CREATE TABLE b (k int, v text)")
    run(connection, f"INSERT INTO b SELECT i * 2, 'b' || i FROM generate_series(1, {ROWS // 2}) i")
    run(connection, "INSERT INTO b VALUES (null, 'none'), (-1, 'less'), (-1, 'less')")


def temp_files(server):
    return os.listdir(os.path.join(server.dir, "data", "temp"))


# Each must go to disk with 8 MB, and say what it says with all the memory there is.
STATEMENTS = {
    "group": "SELECT count(*), sum(c), sum(s), max(m), count(t) FROM (SELECT t, count(*) c, sum(n) s, "
             "min(d) m FROM a GROUP BY t) x",
    "group by two": "SELECT count(*), sum(c), sum(length(m)) FROM (SELECT k, g, count(*) c, max(t) m "
                    "FROM a GROUP BY k, g) x",
    "distinct": "SELECT count(*), count(t), min(t), max(t) FROM (SELECT DISTINCT k, t FROM a) x",
    "count distinct": "SELECT count(*), sum(c), max(c), sum(s) FROM (SELECT g, count(DISTINCT t) c, "
                      "sum(k) s FROM a GROUP BY g) x",
    "count distinct of all": "SELECT count(DISTINCT t), max(DISTINCT t), count(DISTINCT t) + 1 FROM a",
    "sum distinct of all": "SELECT count(DISTINCT k), sum(DISTINCT k), avg(DISTINCT k) FROM a",
    "distinct on": "SELECT count(*), count(k), sum(g), max(t) FROM (SELECT DISTINCT ON (k, g) k, g, t FROM (SELECT * "
                   "FROM a UNION ALL SELECT * FROM a) x ORDER BY g DESC, k, t DESC) y",
    "distinct, sorted": "SELECT count(*), count(t), md5(max(t)) FROM (SELECT DISTINCT t, k FROM (SELECT * FROM a UNION "
                        "ALL SELECT * FROM a) x ORDER BY t, k OFFSET 0) y",
    "ordered": "SELECT count(*), sum(length(s)), md5(max(s)) FROM (SELECT g, string_agg(t, ',' ORDER BY k "
               "DESC) s FROM a GROUP BY g) x",
    "grouping sets": "SELECT count(*), sum(c), count(k), count(g), count(t) FROM (SELECT k, g, t, count(*) c "
                     "FROM a GROUP BY GROUPING SETS ((k, g), (t), ())) x",
    "sort": "SELECT md5(string_agg(r, ',')) FROM (SELECT coalesce(k, 0) % 7 || left(t, 1) AS r FROM (SELECT * FROM a "
            "ORDER BY t DESC NULLS LAST, d, k) x) y",
    "sort, offset": "SELECT k, t, n, d FROM a ORDER BY n NULLS FIRST, t, k DESC LIMIT 3 OFFSET 100000",
    "sort, ties": "SELECT count(*), max(d), max(k) FROM (SELECT k, t, d FROM a ORDER BY d "
                  "FETCH FIRST 100000 ROWS WITH TIES) x",
    "window": "SELECT count(*), sum(r), sum(s), max(m), min(f) FROM (SELECT row_number() OVER w r, sum(n) OVER w s, "
              "max(t) OVER (PARTITION BY g) m, first_value(t) OVER w f FROM a WINDOW w AS (PARTITION BY g "
              "ORDER BY k DESC, n)) x",
    "window, one partition": "SELECT count(*), sum(r), sum(k), sum(s), max(s), sum(length(l)), sum(length(f)), max(x), "
                             "sum(q), sum(c) FROM (SELECT row_number() OVER w r, rank() OVER (ORDER BY g) k, sum(n) "
                             "OVER w s, lag(t, 3, t) OVER w l, last_value(t) OVER (ORDER BY t, k, g ROWS BETWEEN "
                             "UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) f, max(t) OVER () x, ntile(7) OVER w q, "
                             "count(n) OVER (ORDER BY d RANGE BETWEEN interval '3 days' PRECEDING AND interval "
                             "'1 day' PRECEDING) c FROM (SELECT * FROM a WHERE k % 3 = 0) a WINDOW w AS (ORDER BY t, "
                             "k, g)) x",
    "window, huge partition": "SELECT count(*), sum(r), sum(length(l)), sum(s), max(c) FROM (SELECT row_number() OVER w "
                              "r, lead(t, 1000) OVER w l, sum(n) OVER (w ROWS BETWEEN 4 PRECEDING AND 2 FOLLOWING "
                              "EXCLUDE CURRENT ROW) s, cume_dist() OVER w c FROM a WINDOW w AS (PARTITION BY "
                              "k < 140000 ORDER BY n, k, g)) x",
    "windows that differ": "SELECT count(*), sum(r), sum(s), sum(r % 100 * length(m)), min(m), max(m) FROM (SELECT g, k, "
                           "dense_rank() OVER (ORDER BY n) r, sum(k) OVER (PARTITION BY g) s, first_value(t) OVER "
                           "(PARTITION BY d ORDER BY k, g) m FROM a) x",
    "intersect": "SELECT count(*), sum(g), min(t), max(t) FROM (SELECT g, t FROM a INTERSECT SELECT g, t FROM a "
                 "WHERE k % 3 > 0) x",
    "intersect all": "SELECT count(*), sum(g), sum(length(t)) FROM (SELECT g, left(t, 19) t FROM a INTERSECT ALL "
                     "SELECT g, left(t, 19) FROM a WHERE g % 3 > 0) x",
    "except": "SELECT count(*), count(t), sum(k) FROM (SELECT k, t FROM a EXCEPT SELECT k + 10, t FROM a) x",
    "except all": "SELECT count(*), sum(g), sum(length(t)) FROM (SELECT g, left(t, 19) t FROM a EXCEPT ALL SELECT "
                  "DISTINCT g, left(t, 19) FROM a) x",
    "join": "SELECT count(*), sum(a.n), min(b.v), max(a.t) FROM a JOIN b ON a.k = b.k",
    "self join": "SELECT count(*), sum(x.n), min(y.t), max(y.t) FROM a x JOIN a y ON x.t = y.t AND x.k > y.k",
    "left join": "SELECT count(*), count(b.v), sum(a.n) FROM a LEFT JOIN (SELECT k + 1 AS k, v || v AS v "
                 "FROM b) b ON a.k = b.k",
    "full join": "SELECT count(*), count(x.k), count(y.k), count(y.t) FROM a x FULL JOIN a y ON x.k = y.k + 75000",
    "with": "WITH w AS (SELECT k, t, n FROM a) SELECT count(*), sum(x.n), max(y.t) FROM w x JOIN w y ON x.k = y.k + 1",
    "semi join": "SELECT count(*), sum(k) FROM a x WHERE EXISTS (SELECT 1 FROM a y WHERE y.k = x.k + 3 "
                 "AND y.t <> x.t)",
    "anti join": "SELECT count(*), sum(k) FROM a x WHERE NOT EXISTS (SELECT 1 FROM a y WHERE y.k = x.k + 75000 "
                 "AND y.t IS NOT NULL)",
    "not in": "SELECT count(*), sum(k) FROM a x WHERE k NOT IN (SELECT k + 10 FROM a WHERE k IS NOT NULL)",
}


def spilled(plan):
    return sum(int(line.split(":")[1]) for line in plan.splitlines() if "Spilled Bytes" in line)


def test_answers_are_the_same():
    wide, tight = connect(WIDE), connect(TIGHT)
    for name, text in STATEMENTS.items():
        wanted, got = run(wide, text), run(tight, text)
        assert wanted == got, f"{name}: {got} instead of {wanted}"
        plan = "\n".join(row[0] for row in run(tight, "EXPLAIN ANALYZE " + text))
        assert spilled(plan) > 0, f"{name} did not go to disk:\n{plan}"
        plan = "\n".join(row[0] for row in run(wide, "EXPLAIN ANALYZE " + text))
        assert spilled(plan) == 0, f"{name} went to disk without need:\n{plan}"
        assert not temp_files(TIGHT), f"{name} left {temp_files(TIGHT)}"


def test_a_frame_that_slides_holds_one_state():
    text = ("SELECT count(*), sum(length(s)), max(n) FROM (SELECT string_agg(i::text, ',') OVER w s, sum(i::numeric * 1e30) "
            "OVER w n FROM generate_series(1, 5000) i WINDOW w AS (ORDER BY i ROWS 100 PRECEDING)) x")
    assert run(connect(TIGHT), text) == run(connect(WIDE), text)


def test_the_limit_of_files_is_an_error():
    full = connect(FULL)
    for name in ("group", "self join"):
        try:
            run(full, STATEMENTS[name])
        except psycopg2.Error as error:
            assert error.pgcode == "53400", f"{name}: {error.pgcode} {error}"
        else:
            raise AssertionError(f"{name}: no error")
        assert not temp_files(FULL), f"{name} left {temp_files(FULL)}"
    assert run(full, "SELECT count(*) FROM b") == [(ROWS // 2 + 3,)]


def test_a_cancelled_statement_leaves_no_files():
    tight = connect(TIGHT)
    seen = []

    def cancel_soon():
        for _ in range(2000):
            if temp_files(TIGHT):
                seen.append(True)
                break
            time.sleep(0.002)
        tight.cancel()

    thread = threading.Thread(target=cancel_soon)
    thread.start()
    try:
        for _ in range(50):
            run(tight, STATEMENTS["self join"])
    except psycopg2.Error as error:
        assert error.pgcode == "57014", f"{error.pgcode} {error}"
    thread.join()
    assert seen, "no file was seen"
    assert not temp_files(TIGHT), temp_files(TIGHT)


def test_a_crash_leaves_nothing_after_the_start():
    with open(os.path.join(FULL.dir, "data", "temp", "00000000000000aa.tmp"), "w", encoding="ascii") as f:
        f.write("left behind")
    FULL.kill()
    FULL.start()
    assert run(connect(FULL), "SELECT count(*) FROM b") == [(ROWS // 2 + 3,)]
    assert not temp_files(FULL)


def test_a_kill_in_a_spilling_statement_leaves_nothing_after_the_start():
    tight = connect(TIGHT)
    seen, over = [], []

    def kill_soon():
        while not over and not seen:
            if any(os.path.getsize(os.path.join(TIGHT.dir, "data", "temp", name)) > 0 for name in temp_files(TIGHT)):
                TIGHT.kill()
                seen.append(temp_files(TIGHT))
            time.sleep(0.001)

    thread = threading.Thread(target=kill_soon)
    thread.start()
    try:
        for _ in range(50):
            run(tight, STATEMENTS["self join"])
    except psycopg2.Error:
        pass
    over.append(True)
    thread.join()
    assert seen and seen[0], "killed without a file"
    TIGHT.start()
    tight = connect(TIGHT)
    assert not temp_files(TIGHT), temp_files(TIGHT)
    assert run(tight, "SELECT count(*) FROM b") == [(ROWS // 2 + 3,)]


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    servers = (WIDE, TIGHT, FULL)
    try:
        for server in servers:
            server.start()
            fill(connect(server))
        return run_tap([test_answers_are_the_same, test_a_frame_that_slides_holds_one_state,
                        test_the_limit_of_files_is_an_error,
                        test_a_cancelled_statement_leaves_no_files,
                        test_a_crash_leaves_nothing_after_the_start,
                        test_a_kill_in_a_spilling_statement_leaves_nothing_after_the_start])
    finally:
        for server in servers:
            server.close()


if __name__ == "__main__":
    sys.exit(main())

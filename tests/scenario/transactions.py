"""transactions.py - what two sessions see of each other. TAP. tests/lib/sessions.py tells of PGPORT_PEER."""
import os
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import sessions  # noqa: E402
from lumaserver import serve_tap  # noqa: E402


SERVER = sessions.server()


def Session():  # pylint: disable=invalid-name
    return sessions.Session(SERVER)


def table(name, *rows):
    s = Session()
    s.run(f"DROP TABLE IF EXISTS {name}")
    s.run(f"CREATE TABLE {name} (k int PRIMARY KEY, v int)")
    for k, v in rows:
        s.run(f"INSERT INTO {name} VALUES ({k}, {v})")
    s.close()


def value(s, name, k=1):
    rows = s.run(f"SELECT v FROM {name} WHERE k = {k}")
    return rows[0][0] if rows else None


def read_your_writes():
    table("ryw")
    a = Session()
    a.run("BEGIN")
    a.run("INSERT INTO ryw VALUES (1, 10), (2, 20)")
    a.run("UPDATE ryw SET v = v + 1 WHERE k = 1")
    a.run("DELETE FROM ryw WHERE k = 2")
    assert a.run("SELECT k, v FROM ryw") == [(1, 11)]
    b = Session()
    assert b.run("SELECT count(*) FROM ryw") == [(0,)]
    a.run("COMMIT")
    assert b.run("SELECT k, v FROM ryw") == [(1, 11)]


def rollback_leaves_nothing():
    table("rb", (1, 1))
    a = Session()
    a.run("BEGIN")
    a.run("UPDATE rb SET v = 2")
    a.run("INSERT INTO rb VALUES (2, 2)")
    a.run("DELETE FROM rb WHERE k = 1")
    a.run("ROLLBACK")
    assert a.run("SELECT k, v FROM rb") == [(1, 1)]
    a.run("INSERT INTO rb VALUES (2, 3)")
    assert value(a, "rb", 2) == 3


def read_committed_sees_new_commits():
    table("rc", (1, 1))
    a, b = Session(), Session()
    a.run("BEGIN")
    assert value(a, "rc") == 1
    b.run("UPDATE rc SET v = 2")
    assert value(a, "rc") == 2
    a.run("COMMIT")


def read_committed_waits_and_rereads():
    """The writer that waited goes on with the newest version, and rechecks its condition."""
    table("rcw", (1, 10), (2, 10))
    a, b = Session(), Session()
    a.run("BEGIN")
    a.run("UPDATE rcw SET v = v + 5 WHERE k = 1")
    assert b.begin_run("UPDATE rcw SET v = v + 100 WHERE k = 1"), "did not wait"
    a.run("COMMIT")
    b.end_run()
    assert value(b, "rcw") == 115
    a.run("BEGIN")
    a.run("UPDATE rcw SET v = 0 WHERE k = 2")
    assert b.begin_run("UPDATE rcw SET v = 77 WHERE v = 10"), "did not wait"
    a.run("COMMIT")
    assert b.end_run() == 0, "a row that no longer matches was changed"
    assert value(b, "rcw", 2) == 0


def read_committed_no_lost_update():
    table("inc", (1, 0))
    errors = []

    def work():
        try:
            s = Session()
            for _ in range(50):
                s.run("UPDATE inc SET v = v + 1 WHERE k = 1")
            s.close()
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors[0]
    assert value(Session(), "inc") == 200


def repeatable_read_is_a_snapshot():
    table("rr", (1, 1))
    a, b = Session(), Session()
    a.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert value(a, "rr") == 1
    b.run("UPDATE rr SET v = 2")
    b.run("INSERT INTO rr VALUES (2, 2)")
    assert a.run("SELECT k, v FROM rr") == [(1, 1)]
    a.run("COMMIT")
    assert a.run("SELECT count(*) FROM rr") == [(2,)]


def repeatable_read_first_updater_wins():
    table("rrw", (1, 1))
    a, b = Session(), Session()
    a.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert value(a, "rrw") == 1
    b.run("UPDATE rrw SET v = 2")
    a.fails("UPDATE rrw SET v = 3", "40001")
    a.fails("SELECT 1", "25P02")
    a.run("ROLLBACK")
    # The other way round: who waited fails when the first commits, goes on when it rolls back.
    a.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    b.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    a.run("SELECT 1 FROM rrw")
    b.run("SELECT 1 FROM rrw")
    a.run("UPDATE rrw SET v = 4")
    assert b.begin_run("UPDATE rrw SET v = 5"), "did not wait"
    a.run("ROLLBACK")
    b.end_run()
    b.run("COMMIT")
    assert value(a, "rrw") == 5


def savepoints():
    table("sp")
    a = Session()
    a.run("BEGIN")
    a.run("INSERT INTO sp VALUES (1, 1)")
    a.run("SAVEPOINT one")
    a.run("INSERT INTO sp VALUES (2, 2)")
    a.run("SAVEPOINT two")
    a.run("UPDATE sp SET v = 9")
    a.fails("INSERT INTO sp VALUES (1, 1)", "23505")
    a.fails("SELECT 1", "25P02")
    a.run("ROLLBACK TO two")
    assert a.run("SELECT k, v FROM sp ORDER BY k") == [(1, 1), (2, 2)]
    a.run("ROLLBACK TO SAVEPOINT one")
    assert a.run("SELECT k, v FROM sp") == [(1, 1)]
    a.run("INSERT INTO sp VALUES (3, 3)")
    a.run("RELEASE one")
    a.fails("ROLLBACK TO one", "3B001")
    a.run("ROLLBACK")
    assert a.run("SELECT count(*) FROM sp") == [(0,)]
    a.run("BEGIN")
    a.run("SAVEPOINT s")
    a.run("INSERT INTO sp VALUES (4, 4)")
    a.run("RELEASE s")
    a.run("COMMIT")
    assert a.run("SELECT k FROM sp") == [(4,)]


def failed_block_commits_nothing():
    table("fb")
    a = Session()
    a.run("BEGIN")
    a.run("INSERT INTO fb VALUES (1, 1)")
    a.fails("SELECT 1/0", "22012")
    a.fails("INSERT INTO fb VALUES (2, 2)", "25P02")
    a.run("COMMIT")
    assert a.run("SELECT count(*) FROM fb") == [(0,)]


def unique_waits_for_the_other():
    """Two inserts of one key: the second waits; a rollback lets it in, a commit refuses it."""
    table("uq")
    a, b = Session(), Session()
    for end, wanted in (("ROLLBACK", None), ("COMMIT", "23505")):
        a.run("DELETE FROM uq")
        a.run("BEGIN")
        a.run("INSERT INTO uq VALUES (1, 1)")
        assert b.begin_run("INSERT INTO uq VALUES (1, 2)"), "did not wait"
        a.run(end)
        try:
            b.end_run()
            got = None
        except psycopg2.Error as error:
            got = error.pgcode
        assert got == wanted, f"after {end}: {got}"


def on_conflict():
    table("oc", (1, 1))
    a = Session()
    got = a.run("INSERT INTO oc VALUES (1, 5), (2, 5) ON CONFLICT DO NOTHING")
    assert got == 1, got
    got = a.run("INSERT INTO oc VALUES (1, 5), (3, 5) "
                "ON CONFLICT (k) DO UPDATE SET v = oc.v + excluded.v RETURNING k, v")
    assert sorted(got) == [(1, 6), (3, 5)], got
    a.fails("INSERT INTO oc VALUES (7, 1), (7, 2) ON CONFLICT (k) DO UPDATE SET v = 0", "21000")


def select_for_update():
    table("fu", (1, 1), (2, 2))
    a, b = Session(), Session()
    a.run("BEGIN")
    assert a.run("SELECT v FROM fu WHERE k = 1 FOR UPDATE") == [(1,)]
    b.fails("SELECT v FROM fu WHERE k = 1 FOR UPDATE NOWAIT", "55P03")
    assert b.run("SELECT k FROM fu FOR UPDATE SKIP LOCKED") == [(2,)]
    assert b.begin_run("UPDATE fu SET v = 5 WHERE k = 1"), "did not wait"
    a.run("COMMIT")
    b.end_run()


def deadlock_is_found():
    table("dl", (1, 1), (2, 2))
    a, b = Session(), Session()
    a.run("BEGIN")
    b.run("BEGIN")
    a.run("UPDATE dl SET v = 10 WHERE k = 1")
    b.run("UPDATE dl SET v = 20 WHERE k = 2")
    assert a.begin_run("UPDATE dl SET v = 11 WHERE k = 2"), "did not wait"
    b.begin_run("UPDATE dl SET v = 21 WHERE k = 1")
    codes = []
    for s in (a, b):
        try:
            s.end_run()
            codes.append(None)
            s.run("COMMIT")
        except psycopg2.Error as error:
            codes.append(error.pgcode)
            s.run("ROLLBACK")
    assert sorted(codes, key=str) == ["40P01", None], codes


def timeouts():
    table("to_", (1, 1))
    a, b = Session(), Session()
    b.run("SET statement_timeout = '200ms'")
    begun = time.monotonic()
    b.fails("SELECT pg_sleep(5)", "57014")
    assert time.monotonic() - begun < 3
    b.run("SET statement_timeout = 0")
    a.run("BEGIN")
    a.run("UPDATE to_ SET v = 2")
    b.run("SET lock_timeout = '200ms'")
    b.fails("UPDATE to_ SET v = 3", "55P03")
    a.run("COMMIT")
    b.run("UPDATE to_ SET v = 3")


def cancel_request():
    a = Session()
    assert a.begin_run("SELECT pg_sleep(10)"), "did not wait"
    a.connection.cancel()
    try:
        a.end_run()
    except psycopg2.Error as error:
        assert error.pgcode == "57014", error.pgcode
    else:
        raise AssertionError("was not canceled")
    assert a.run("SELECT 1") == [(1,)]


def fruitless_join_is_cancelled():
    """A join whose condition refuses every pair still hears the clock, and does not pile up."""
    s = Session()
    s.run("CREATE TABLE fj (k int)")
    s.run("INSERT INTO fj SELECT generate_series(1, 60000)")
    s.run("SET statement_timeout = '500ms'")
    begun = time.monotonic()
    s.fails("SELECT count(*) FROM fj x, fj y WHERE x.k + y.k < 0", "57014")
    assert time.monotonic() - begun < 5
    s.close()


def ddl_in_a_transaction():
    a, b = Session(), Session()
    a.run("DROP TABLE IF EXISTS ddl_a")
    a.run("BEGIN")
    a.run("CREATE TABLE ddl_a (k int PRIMARY KEY)")
    a.run("INSERT INTO ddl_a VALUES (1)")
    b.fails("SELECT * FROM ddl_a", "42P01")
    a.run("ROLLBACK")
    a.fails("SELECT * FROM ddl_a", "42P01")
    a.run("BEGIN")
    a.run("CREATE TABLE ddl_a (k int)")
    a.run("ALTER TABLE ddl_a ADD COLUMN v text DEFAULT 'x'")
    a.run("INSERT INTO ddl_a VALUES (1)")
    a.run("COMMIT")
    assert b.run("SELECT * FROM ddl_a") == [(1, "x")]


def lost_connection_rolls_back():
    table("lc", (1, 1))
    a, b = Session(), Session()
    a.run("BEGIN")
    a.run("UPDATE lc SET v = 2")
    a.close()
    b.run("SET lock_timeout = '5s'")
    b.run("UPDATE lc SET v = v + 10")
    assert value(b, "lc") == 11


def many_wait_for_one_row():
    """Sessions that wait hold no thread: others go on while sixty wait for one row."""
    table("mw", (1, 0), (2, 0))
    a = Session()
    a.run("BEGIN")
    a.run("UPDATE mw SET v = 1 WHERE k = 1")
    waiters = [Session() for _ in range(60)]
    threads = [threading.Thread(target=w.run, args=("UPDATE mw SET v = v + 1 WHERE k = 1",))
               for w in waiters]
    for t in threads:
        t.start()
    time.sleep(0.5)
    b = Session()
    begun = time.monotonic()
    b.run("UPDATE mw SET v = 5 WHERE k = 2")
    assert time.monotonic() - begun < 2
    a.run("COMMIT")
    for t in threads:
        t.join(30)
    assert value(b, "mw") == 61
    for w in waiters:
        w.close()


if __name__ == "__main__":
    sys.exit(serve_tap([read_your_writes, rollback_leaves_nothing, read_committed_sees_new_commits,
                        read_committed_waits_and_rereads, read_committed_no_lost_update,
                        repeatable_read_is_a_snapshot, repeatable_read_first_updater_wins,
                        savepoints, failed_block_commits_nothing, unique_waits_for_the_other,
                        on_conflict, select_for_update, deadlock_is_found, timeouts, cancel_request,
                        fruitless_join_is_cancelled, ddl_in_a_transaction,
                        lost_connection_rolls_back, many_wait_for_one_row], SERVER))

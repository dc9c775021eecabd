"""locks.py - who waits for whom, what is seen after the wait, and how waits end. TAP.

tests/lib/sessions.py tells of PGPORT_PEER: PostgreSQL passes the same scenarios.
"""
import os
import re
import sys
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import sessions  # noqa: E402
from lumaserver import serve_tap  # noqa: E402

SERVER = sessions.server()
MODES = ("KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE")


def Session():  # pylint: disable=invalid-name
    return sessions.Session(SERVER)


def setup(*statements):
    s = Session()
    for statement in statements:
        s.run(statement)
    s.close()


def table(name, rows=2):
    setup(f"DROP TABLE IF EXISTS {name} CASCADE",
          f"CREATE TABLE {name} (k int PRIMARY KEY, v int, t text)",
          f"INSERT INTO {name} SELECT i, i * 10, 't' || i FROM generate_series(1, {rows}) i")


def waits_then(holder, change, waiter, statement):
    """holder changes in a block, waiter waits for it, holder commits: what the waiter got."""
    holder.run("BEGIN")
    holder.run(change)
    assert waiter.begin_run(statement), f"did not wait: {statement}"
    holder.run("COMMIT")
    return waiter.end_run()


def row_lock_modes():
    """PostgreSQL's table of conflicts, every pair."""
    table("lm")
    a, b = Session(), Session()
    for i, held in enumerate(MODES):
        for j, wanted in enumerate(MODES):
            a.run("BEGIN")
            a.run(f"SELECT * FROM lm WHERE k = 1 FOR {held}")
            try:
                b.run(f"SELECT * FROM lm WHERE k = 1 FOR {wanted} NOWAIT")
                got = None
            except psycopg2.Error as error:
                got = error.pgcode
            clash = i + j >= 3 and not (i == 1 and j == 1)
            assert got == ("55P03" if clash else None), f"{held} held, {wanted} wanted: {got}"
            a.run("ROLLBACK")


def changes_and_row_locks():
    """A change of a key, and a deletion, lock the row whole; other changes let KEY SHARE pass."""
    table("ck")
    setup("CREATE UNIQUE INDEX ck_t ON ck (t)")
    a, b = Session(), Session()
    for change, clash in (("UPDATE ck SET v = 5 WHERE k = 1", False),
                          ("UPDATE ck SET k = 7 WHERE k = 1", True),
                          ("UPDATE ck SET t = 'x' WHERE k = 1", True),
                          ("UPDATE ck SET k = k, v = 6 WHERE k = 1", False),
                          ("DELETE FROM ck WHERE k = 1", True)):
        a.run("BEGIN")
        a.run(change)
        try:
            got = b.run("SELECT k FROM ck WHERE k = 1 FOR KEY SHARE NOWAIT")
        except psycopg2.Error as error:
            got = error.pgcode
        assert got == ("55P03" if clash else [(1,)]), f"{change}: {got}"
        a.run("ROLLBACK")
        # The other way round.
        b.run("BEGIN")
        b.run("SELECT k FROM ck WHERE k = 1 FOR KEY SHARE")
        waits = a.begin_run(change)
        b.run("COMMIT")
        a.end_run()
        assert waits == clash, f"{change} against KEY SHARE: waited {waits}"
        setup("DELETE FROM ck WHERE k IN (1, 7)", "INSERT INTO ck VALUES (1, 10, 't1')")


def update_rereads():
    table("ur", 4)
    a, b = Session(), Session()
    assert waits_then(a, "UPDATE ur SET v = v + 1 WHERE k = 1", b,
                      "UPDATE ur SET v = v * 2, t = t || v WHERE k = 1 RETURNING v, t") == [(22, "t111")]
    assert waits_then(a, "UPDATE ur SET v = 99 WHERE k = 2", b, "UPDATE ur SET v = 0 WHERE v = 20") == 0
    assert waits_then(a, "DELETE FROM ur WHERE k = 3", b, "UPDATE ur SET v = 0 WHERE k = 3") == 0
    assert waits_then(a, "UPDATE ur SET v = 20 WHERE k = 4", b, "DELETE FROM ur WHERE v = 40") == 0
    assert waits_then(a, "UPDATE ur SET v = 21 WHERE k = 4", b,
                      "DELETE FROM ur WHERE v > 15 AND k = 4 RETURNING v") == [(21,)]
    assert b.run("SELECT k, v FROM ur ORDER BY k") == [(1, 22), (2, 99)]


def update_from_rereads():
    """The other side of the join stays as the statement saw it; the target is the newest."""
    table("uf", 3)
    table("uo", 3)
    a, b = Session(), Session()
    assert waits_then(a, "UPDATE uf SET v = v + 1 WHERE k = 1", b,
                      "UPDATE uf SET v = uf.v + uo.v FROM uo WHERE uf.k = uo.k AND uf.k = 1 "
                      "RETURNING uf.v") == [(21,)]
    # The new version no longer joins.
    assert waits_then(a, "UPDATE uf SET v = 33 WHERE k = 2", b,
                      "UPDATE uf SET t = uo.t FROM uo WHERE uf.v = uo.v AND uf.k = 2") == 0
    # A change of the other side is not seen.
    a.run("BEGIN")
    a.run("UPDATE uf SET t = 'z' WHERE k = 3")
    a.run("UPDATE uo SET v = 1000 WHERE k = 3")
    assert b.begin_run("UPDATE uf SET v = uo.v FROM uo WHERE uf.k = uo.k AND uf.k = 3 RETURNING uf.v")
    a.run("COMMIT")
    assert b.end_run() == [(30,)]
    assert waits_then(a, "UPDATE uf SET v = -1 WHERE k = 3", b,
                      "DELETE FROM uf USING uo WHERE uf.k = uo.k AND uf.v > 0 AND uf.k = 3") == 0


def update_with_subquery_rereads():
    table("us", 3)
    table("uq", 3)
    a, b = Session(), Session()
    assert waits_then(a, "UPDATE us SET v = v + 1 WHERE k = 1", b,
                      "UPDATE us SET v = v + 100 WHERE k IN (SELECT k FROM uq WHERE v < 15) "
                      "RETURNING v") == [(111,)]
    assert waits_then(a, "UPDATE us SET v = 7 WHERE k = 2", b,
                      "UPDATE us SET v = 0 WHERE EXISTS (SELECT 1 FROM uq WHERE uq.v = us.v AND us.k = 2)") == 0
    assert waits_then(a, "UPDATE us SET v = 50 WHERE k = 3", b,
                      "UPDATE us SET v = us.v + (SELECT max(uq.v) FROM uq) WHERE k = 3 RETURNING v") == [(80,)]
    assert waits_then(a, "UPDATE us SET t = 'gone' WHERE k = 3", b,
                      "DELETE FROM us WHERE k = 3 AND t LIKE 't%'") == 0


def select_for_update_rereads():
    table("sf", 4)
    a, b = Session(), Session()
    assert waits_then(a, "UPDATE sf SET v = 11 WHERE k = 1", b,
                      "SELECT k, v, v + 1 FROM sf WHERE k = 1 FOR UPDATE") == [(1, 11, 12)]
    assert waits_then(a, "UPDATE sf SET v = 12 WHERE k = 1", b,
                      "SELECT k FROM sf WHERE v = 11 FOR SHARE") == []
    assert waits_then(a, "DELETE FROM sf WHERE k = 2", b, "SELECT k FROM sf WHERE k = 2 FOR UPDATE") == []
    got = waits_then(a, "UPDATE sf SET v = 31, t = 'n' WHERE k = 3", b,
                     "SELECT x.k, x.v, y.v FROM sf x JOIN sf y ON y.k = x.k + 1 WHERE x.k = 3 FOR UPDATE OF x")
    assert got == [(3, 31, 40)], got
    assert waits_then(a, "UPDATE sf SET v = 32 WHERE k = 3", b,
                      "SELECT v FROM (SELECT * FROM sf WHERE k = 3) s FOR UPDATE") == [(32,)]


def for_update_of_one_table():
    table("fa")
    table("fb")
    a, b = Session(), Session()
    a.run("BEGIN")
    a.run("SELECT * FROM fa JOIN fb USING (k) WHERE k = 1 FOR UPDATE OF fb")
    assert b.run("SELECT k FROM fa WHERE k = 1 FOR UPDATE NOWAIT") == [(1,)]
    b.fails("SELECT k FROM fb WHERE k = 1 FOR UPDATE NOWAIT", "55P03")
    a.run("ROLLBACK")
    a.fails("SELECT * FROM fa FOR UPDATE OF nobody", "42P01")
    a.fails("SELECT count(*) FROM fa FOR UPDATE", "0A000")
    a.fails("SELECT DISTINCT v FROM fa FOR UPDATE", "0A000")
    a.run("BEGIN")
    a.run("SELECT * FROM fa, fb WHERE fa.k = 1 AND fb.k = 1 FOR UPDATE OF fa FOR SHARE OF fb NOWAIT")
    assert b.run("SELECT k FROM fb WHERE k = 1 FOR SHARE NOWAIT") == [(1,)]
    b.fails("SELECT k FROM fa WHERE k = 1 FOR SHARE NOWAIT", "55P03")
    a.run("ROLLBACK")


def skip_locked_queue():
    """Workers take different jobs, without waiting."""
    table("jobs", 10)
    workers, taken = [Session() for _ in range(4)], []
    for w in workers:
        w.run("BEGIN")
        taken += w.run("SELECT k FROM jobs ORDER BY k LIMIT 2 FOR UPDATE SKIP LOCKED")
    assert sorted(taken) == [(k,) for k in range(1, 9)], taken
    assert workers[0].run("SELECT k FROM jobs WHERE k > 3 ORDER BY k FOR UPDATE SKIP LOCKED") == [(9,), (10,)]
    assert workers[1].run("DELETE FROM jobs WHERE k IN (SELECT k FROM jobs WHERE k > 2 ORDER BY k "
                          "LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING k") == [(3,)]
    for w in workers:
        w.run("ROLLBACK")
        w.close()


def on_conflict_waits():
    table("oc")
    a, b = Session(), Session()
    upsert = "INSERT INTO oc VALUES (5, 1, 'b') ON CONFLICT (k) DO UPDATE SET v = oc.v + 1, t = oc.t || " \
             "excluded.t RETURNING v, t"
    assert waits_then(a, "INSERT INTO oc VALUES (5, 50, 'a')", b, upsert) == [(51, "ab")]
    assert waits_then(a, "UPDATE oc SET v = 100 WHERE k = 5", b, upsert) == [(101, "abb")]
    assert waits_then(a, "DELETE FROM oc WHERE k = 5", b, upsert) == [(1, "b")]
    assert waits_then(a, "UPDATE oc SET v = 7 WHERE k = 5", b,
                      "INSERT INTO oc VALUES (5, 0, '') ON CONFLICT (k) DO UPDATE SET v = 0 WHERE oc.v = 1") == 0
    assert waits_then(a, "INSERT INTO oc VALUES (6, 60, 'a')", b,
                      "INSERT INTO oc VALUES (6, 1, 'b') ON CONFLICT DO NOTHING") == 0
    assert waits_then(a, "UPDATE oc SET k = 8 WHERE k = 6", b,
                      "INSERT INTO oc VALUES (6, 61, 'b') ON CONFLICT (k) DO UPDATE SET v = 0 RETURNING v") == [(61,)]
    a.run("BEGIN")
    a.run("INSERT INTO oc VALUES (9, 90, 'a')")
    assert b.begin_run("INSERT INTO oc VALUES (9, 1, 'b') ON CONFLICT DO NOTHING")
    a.run("ROLLBACK")
    assert b.end_run() == 1


def deadlock_of_three():
    table("d3", 3)
    ring = [Session() for _ in range(3)]
    for k, s in enumerate(ring, 1):
        s.run("BEGIN")
        s.run(f"UPDATE d3 SET v = v + 1 WHERE k = {k}")
    for k, s in enumerate(ring, 1):
        s.begin_run(f"UPDATE d3 SET v = v + 1 WHERE k = {k % 3 + 1}")
    failed = []
    while len(failed) < 1:
        for s in ring:
            if s.failed is not None:
                failed.append(s)
        time.sleep(0.05)
    error = failed[0].failed
    assert error.pgcode == "40P01", error
    assert re.search(r"waits for .*blocked by", error.diag.message_detail or ""), error.diag.message_detail
    assert "deadlock detected" in error.diag.message_primary
    failed[0].run("ROLLBACK")
    for _ in range(2):
        for s in ring:
            if s not in failed and not s.thread.is_alive() and s.connection.info.transaction_status == 2:
                s.end_run()
                s.run("COMMIT")
        time.sleep(0.5)
    for s in ring:
        if s not in failed:
            s.end_run()
        s.close()
    assert sum(v for (v,) in Session().run("SELECT v FROM d3")) == 64


def deadlock_by_upgrade():
    """Both share a row, both want to change it."""
    table("du")
    a, b = Session(), Session()
    for s in (a, b):
        s.run("BEGIN")
        s.run("SELECT * FROM du WHERE k = 1 FOR SHARE")
    assert a.begin_run("UPDATE du SET v = 1 WHERE k = 1")
    b.begin_run("UPDATE du SET v = 2 WHERE k = 1")
    got = []
    for s in (b, a):
        try:
            s.end_run()
            s.run("COMMIT")
        except psycopg2.Error as error:
            got.append(error.pgcode)
            s.run("ROLLBACK")
    assert got == ["40P01"], got


def savepoints_and_locks():
    """What a savepoint locked is free after it is rolled back; what came before stays."""
    table("sl", 3)
    a, b = Session(), Session()
    a.run("BEGIN")
    a.run("UPDATE sl SET v = 1 WHERE k = 1")
    a.run("SAVEPOINT one")
    a.run("UPDATE sl SET v = 1 WHERE k = 2")
    a.fails("INSERT INTO sl VALUES (1, 1, '')", "23505")
    a.run("ROLLBACK TO one")
    assert b.run("SELECT k FROM sl WHERE k = 2 FOR UPDATE NOWAIT") == [(2,)]
    b.fails("SELECT k FROM sl WHERE k = 1 FOR UPDATE NOWAIT", "55P03")
    for _ in range(30):
        a.run("SAVEPOINT again")
        a.run("UPDATE sl SET v = v + 1 WHERE k = 3")
        a.fails("SELECT 1 / (v - v) FROM sl", "22012")
        a.run("ROLLBACK TO again")
        a.run("UPDATE sl SET v = v + 1 WHERE k = 3")
        a.run("RELEASE again")
    a.run("COMMIT")
    assert b.run("SELECT k, v FROM sl ORDER BY k") == [(1, 1), (2, 20), (3, 60)]


def waits_end():
    table("we")
    a, b = Session(), Session()
    a.run("BEGIN")
    a.run("UPDATE we SET v = 1 WHERE k = 1")
    b.run("SET statement_timeout = '250ms'")
    b.fails("UPDATE we SET v = 2 WHERE k = 1", "57014")
    b.run("SET statement_timeout = 0")
    b.run("SET lock_timeout = '250ms'")
    b.run("BEGIN")
    b.fails("SELECT * FROM we WHERE k = 1 FOR UPDATE", "55P03")
    b.run("ROLLBACK")
    b.run("RESET lock_timeout")
    assert b.begin_run("DELETE FROM we WHERE k = 1")
    b.connection.cancel()
    try:
        b.end_run()
        raise AssertionError("was not canceled")
    except psycopg2.Error as error:
        assert error.pgcode == "57014", error.pgcode
    a.run("ROLLBACK")
    assert b.run("UPDATE we SET v = 3 WHERE k = 1") == 1


def idle_in_transaction():
    table("ii")
    a, b = Session(), Session()
    a.run("SET idle_in_transaction_session_timeout = '300ms'")
    time.sleep(0.6)
    a.run("BEGIN")
    a.run("UPDATE ii SET v = 1 WHERE k = 1")
    begun = time.monotonic()
    b.run("UPDATE ii SET v = 2 WHERE k = 1")
    assert 0.1 < time.monotonic() - begun < 5
    try:
        a.run("SELECT 1")
        raise AssertionError("the connection lives")
    except psycopg2.Error as error:
        assert error.pgcode in ("25P03", None), error.pgcode
    assert b.run("SELECT v FROM ii WHERE k = 1") == [(2,)]


def ddl_rolls_back():
    table("dd")
    a, b = Session(), Session()
    a.run("BEGIN")
    a.run("ALTER TABLE dd ADD COLUMN extra int DEFAULT 5")
    a.run("UPDATE dd SET extra = 6 WHERE k = 1")
    a.run("CREATE TABLE dd2 (k int PRIMARY KEY)")
    a.run("INSERT INTO dd2 VALUES (1)")
    assert a.run("SELECT sum(extra) FROM dd") == [(11,)]
    a.run("SAVEPOINT s")
    a.run("DROP TABLE dd")
    a.fails("SELECT * FROM dd", "42P01")
    a.run("ROLLBACK TO s")
    assert a.run("SELECT k, extra FROM dd ORDER BY k") == [(1, 6), (2, 5)]
    a.run("CREATE INDEX dd_v ON dd (v)")
    a.run("TRUNCATE dd")
    assert a.run("SELECT count(*) FROM dd") == [(0,)]
    a.run("ROLLBACK")
    assert b.run("SELECT * FROM dd ORDER BY k") == [(1, 10, "t1"), (2, 20, "t2")]
    b.fails("SELECT * FROM dd2", "42P01")
    assert b.run("SELECT count(*) FROM pg_indexes WHERE indexname = 'dd_v'") == [(0,)]
    b.run("INSERT INTO dd VALUES (3, 30, 't3')")
    assert b.run("SELECT v FROM dd WHERE k = 3") == [(30,)]


def ddl_beside_readers():
    """Who has a snapshot reads what it says, whoever defines what; nobody sees half."""
    table("dr", 100)
    a, b, c = Session(), Session(), Session()
    b.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert b.run("SELECT count(*) FROM dr WHERE k <= 50") == [(50,)]
    b.run("COMMIT")
    a.run("BEGIN")
    a.run("CREATE TABLE dr_new (k int, v int)")
    a.run("INSERT INTO dr_new SELECT k, v FROM dr")
    c.fails("SELECT count(*) FROM dr_new", "42P01")
    a.run("COMMIT")
    assert c.run("SELECT count(*), sum(v) FROM dr_new") == [(100, 50500)]
    c.run("ALTER TABLE dr_new ADD COLUMN w int NOT NULL DEFAULT 7")
    assert a.run("SELECT DISTINCT w FROM dr_new") == [(7,)]
    c.run("ALTER TABLE dr_new DROP COLUMN v")
    a.fails("SELECT v FROM dr_new", "42703")
    c.run("DROP TABLE dr_new")
    a.fails("SELECT k FROM dr_new", "42P01")


def lock_view():
    """pg_locks shows who holds and who waits."""
    table("pl")
    a, b, c = Session(), Session(), Session()
    pid = {}
    for s in (a, b):
        pid[s] = s.run("SELECT pg_backend_pid()")[0][0]
    a.run("BEGIN")
    a.run("UPDATE pl SET v = 1 WHERE k = 1")
    assert b.begin_run("UPDATE pl SET v = 2 WHERE k = 1")
    held = c.run(f"SELECT DISTINCT mode FROM pg_locks WHERE pid = {pid[a]} AND granted "
                 "AND relation = 'pl'::regclass")
    assert ("RowExclusiveLock",) in held, held
    waiting = c.run(f"SELECT locktype, granted FROM pg_locks WHERE pid = {pid[b]} AND NOT granted")
    assert len(waiting) == 1, waiting
    blocked = c.run(f"SELECT pg_blocking_pids({pid[b]})")
    assert blocked == [([pid[a]],)], blocked
    a.run("COMMIT")
    b.end_run()
    left = c.run(f"SELECT count(*) FROM pg_locks WHERE pid IN ({pid[a]}, {pid[b]})")
    assert left == [(0,)], left


if __name__ == "__main__":
    sys.exit(serve_tap([row_lock_modes, changes_and_row_locks, update_rereads, update_from_rereads,
                        update_with_subquery_rereads, select_for_update_rereads,
                        for_update_of_one_table, skip_locked_queue, on_conflict_waits,
                        deadlock_of_three, deadlock_by_upgrade, savepoints_and_locks, waits_end,
                        idle_in_transaction, ddl_rolls_back, ddl_beside_readers,
                        lock_view], SERVER))

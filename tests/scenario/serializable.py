"""serializable.py - what SERIALIZABLE refuses, and what it lets pass. TAP.

tests/lib/sessions.py tells of PGPORT_PEER: PostgreSQL passes the same scenarios.
"""
import os
import random
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import sessions  # noqa: E402
from lumaserver import SEED, serve_tap  # noqa: E402

SERVER = sessions.server()
BEGIN = "BEGIN ISOLATION LEVEL SERIALIZABLE"


def Session():  # pylint: disable=invalid-name
    return sessions.Session(SERVER)


def setup(*statements):
    s = Session()
    for statement in statements:
        s.run(statement)
    s.close()


def codes(steps):
    """Runs (session, statement) in turn; the SQLSTATEs of those that failed, 25P02 aside."""
    failed = []
    for s, statement in steps:
        try:
            s.run(statement)
        except psycopg2.Error as error:
            failed.append(error.pgcode)
    return [code for code in failed if code != "25P02"]




def write_skew():
    """Two doctors on call; each goes when the other is there."""
    setup("DROP TABLE IF EXISTS doctors", "CREATE TABLE doctors (name text PRIMARY KEY, on_call bool)",
          "INSERT INTO doctors VALUES ('a', true), ('b', true)")
    a, b = Session(), Session()
    got = codes([(a, BEGIN), (b, BEGIN),
                 (a, "SELECT count(*) FROM doctors WHERE on_call"),
                 (b, "SELECT count(*) FROM doctors WHERE on_call"),
                 (a, "UPDATE doctors SET on_call = false WHERE name = 'a'"),
                 (b, "UPDATE doctors SET on_call = false WHERE name = 'b'"),
                 (a, "COMMIT"), (b, "COMMIT")])
    assert got == ["40001"], got
    assert a.run("SELECT count(*) FROM doctors WHERE on_call") == [(1,)]


def write_skew_names_its_reason():
    setup("DROP TABLE IF EXISTS ws", "CREATE TABLE ws (k int PRIMARY KEY, v int)",
          "INSERT INTO ws VALUES (1, 1), (2, 2)")
    a, b = Session(), Session()
    for s, read, write in ((a, 1, 2), (b, 2, 1)):
        s.run(BEGIN)
        s.run(f"SELECT v FROM ws WHERE k = {read}")
    a.run("UPDATE ws SET v = 0 WHERE k = 2")
    b.run("UPDATE ws SET v = 0 WHERE k = 1")
    a.run("COMMIT")
    error = b.fails("COMMIT", "40001")
    assert "could not serialize access due to read/write dependencies" in str(error), error
    assert "might succeed if retried" in error.diag.message_hint, error.diag.message_hint
    assert b.run("SELECT v FROM ws WHERE k = 1") == [(1,)]


def predicate_write_skew():
    """Neither reads a row that the other changes: both read that there is none."""
    setup("DROP TABLE IF EXISTS bookings",
          "CREATE TABLE bookings (id int PRIMARY KEY, room int, hour int)",
          "INSERT INTO bookings SELECT i, 100 + i, i FROM generate_series(1, 50) i")
    a, b = Session(), Session()
    got = codes([(a, BEGIN), (b, BEGIN),
                 (a, "SELECT count(*) FROM bookings WHERE room = 7 AND hour BETWEEN 10 AND 11"),
                 (b, "SELECT count(*) FROM bookings WHERE room = 7 AND hour BETWEEN 10 AND 11"),
                 (a, "INSERT INTO bookings VALUES (1001, 7, 10)"),
                 (b, "INSERT INTO bookings VALUES (1002, 7, 11)"),
                 (a, "COMMIT"), (b, "COMMIT")])
    assert got == ["40001"], got
    assert a.run("SELECT count(*) FROM bookings WHERE room = 7") == [(1,)]


def read_only_anomaly():
    """The bank of Fekete, O'Neil and O'Neil: a statement in between shows what cannot be."""
    setup("DROP TABLE IF EXISTS bank", "CREATE TABLE bank (name text PRIMARY KEY, amount int)",
          "INSERT INTO bank VALUES ('checking', 0), ('savings', 0)")
    withdraw, deposit, statement = Session(), Session(), Session()
    got = codes([(withdraw, BEGIN), (withdraw, "SELECT sum(amount) FROM bank"),
                 (deposit, BEGIN), (deposit, "SELECT * FROM bank WHERE name = 'savings'"),
                 (deposit, "UPDATE bank SET amount = amount + 20 WHERE name = 'savings'"),
                 (deposit, "COMMIT"),
                 (statement, BEGIN + " READ ONLY"), (statement, "SELECT * FROM bank"),
                 (statement, "COMMIT"),
                 (withdraw, "UPDATE bank SET amount = amount - 11 WHERE name = 'checking'"),
                 (withdraw, "COMMIT")])
    assert got == ["40001"], got
    # Without the statement in between there is an order: nothing is refused.
    got = codes([(withdraw, "ROLLBACK"), (withdraw, BEGIN), (withdraw, "SELECT sum(amount) FROM bank"),
                 (deposit, BEGIN), (deposit, "SELECT * FROM bank WHERE name = 'savings'"),
                 (deposit, "UPDATE bank SET amount = amount + 20 WHERE name = 'savings'"),
                 (deposit, "COMMIT"),
                 (withdraw, "UPDATE bank SET amount = amount - 11 WHERE name = 'checking'"),
                 (withdraw, "COMMIT")])
    assert got == [], got


def batch_processing():
    """Receipts belong to the batch that is open; a report of a closed batch must be final."""
    setup("DROP TABLE IF EXISTS control", "DROP TABLE IF EXISTS receipts",
          "CREATE TABLE control (deposit int)", "INSERT INTO control VALUES (1)",
          "CREATE TABLE receipts (n int PRIMARY KEY, deposit int, payee text)",
          "INSERT INTO receipts VALUES (1, 1, 'Crosby'), (2, 1, 'Stills')")
    receipt, close, report = Session(), Session(), Session()
    got = codes([(receipt, BEGIN), (receipt, "SELECT deposit FROM control"),
                 (close, BEGIN), (close, "UPDATE control SET deposit = 2"), (close, "COMMIT"),
                 (report, BEGIN), (report, "SELECT * FROM control"),
                 (report, "SELECT * FROM receipts WHERE deposit = 1"), (report, "COMMIT"),
                 (receipt, "INSERT INTO receipts VALUES (3, 1, 'Nash')"), (receipt, "COMMIT")])
    assert got == ["40001"], got


def disjoint_keys_do_not_meet():
    """Forty transactions side by side, each with keys of its own: none is refused."""
    setup("DROP TABLE IF EXISTS dk", "CREATE TABLE dk (k int PRIMARY KEY, v int)",
          "INSERT INTO dk SELECT i, 0 FROM generate_series(1, 20000) i")
    all_sessions = [Session() for _ in range(40)]
    for s in all_sessions:
        s.run(BEGIN)
    for n, s in enumerate(all_sessions):
        assert s.run(f"SELECT count(*) FROM dk WHERE k BETWEEN {n * 10 + 1} AND {n * 10 + 5}") == [(5,)]
        s.run(f"UPDATE dk SET v = v + 1 WHERE k = {n * 10 + 2}")
        s.run(f"DELETE FROM dk WHERE k = {n * 10 + 3}")
        s.run(f"INSERT INTO dk VALUES ({100000 + n}, 1)")
    for s in all_sessions:
        s.run("COMMIT")
        s.close()
    s = Session()
    assert s.run("SELECT count(*), sum(v) FROM dk") == [(20000, 80)]


def other_levels_take_no_part():
    setup("DROP TABLE IF EXISTS ol", "CREATE TABLE ol (k int PRIMARY KEY, v int)",
          "INSERT INTO ol VALUES (1, 1), (2, 2)")
    a, b = Session(), Session()
    got = codes([(a, BEGIN), (b, "BEGIN ISOLATION LEVEL REPEATABLE READ"),
                 (a, "SELECT * FROM ol"), (b, "SELECT * FROM ol"),
                 (a, "UPDATE ol SET v = 0 WHERE k = 1"), (b, "UPDATE ol SET v = 0 WHERE k = 2"),
                 (a, "COMMIT"), (b, "COMMIT")])
    assert got == [], got


def deferrable_waits_for_a_safe_snapshot():
    setup("DROP TABLE IF EXISTS dr", "CREATE TABLE dr (k int PRIMARY KEY, v int)",
          "INSERT INTO dr VALUES (1, 1), (2, 2)")
    writer, reader = Session(), Session()
    writer.run(BEGIN)
    writer.run("UPDATE dr SET v = 10 WHERE k = 1")
    reader.run(BEGIN + " READ ONLY DEFERRABLE")
    assert reader.begin_run("SELECT sum(v) FROM dr"), "did not wait"
    writer.run("COMMIT")
    assert reader.end_run() == [(3,)]  # the snapshot is the one it asked for, and was safe
    reader.run("COMMIT")
    # It may be interrupted, and without a writer it does not wait.
    writer.run(BEGIN)
    writer.run("UPDATE dr SET v = 11 WHERE k = 1")
    reader.run("SET statement_timeout = '200ms'")
    reader.run(BEGIN + " READ ONLY DEFERRABLE")
    reader.fails("SELECT sum(v) FROM dr", "57014")
    reader.run("ROLLBACK")
    writer.run("ROLLBACK")
    reader.run("BEGIN")
    reader.run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE")
    assert reader.run("SHOW transaction_deferrable") == [("on",)]
    assert reader.run("SELECT sum(v) FROM dr") == [(12,)]
    reader.run("COMMIT")


def savepoints_keep_what_was_read():
    """What a rolled back savepoint has read was read all the same."""
    setup("DROP TABLE IF EXISTS sr", "CREATE TABLE sr (k int PRIMARY KEY, v int)",
          "INSERT INTO sr VALUES (1, 1), (2, 2)")
    a, b = Session(), Session()
    got = codes([(a, BEGIN), (a, "SAVEPOINT s"), (a, "SELECT v FROM sr WHERE k = 1"),
                 (a, "ROLLBACK TO s"),
                 (b, BEGIN), (b, "SELECT v FROM sr WHERE k = 2"),
                 (a, "UPDATE sr SET v = 0 WHERE k = 2"), (b, "UPDATE sr SET v = 0 WHERE k = 1"),
                 (a, "COMMIT"), (b, "COMMIT")])
    assert got == ["40001"], got


def random_withdrawals():
    """Pairs of accounts whose sum must not fall below zero: threads that retry keep it so."""
    setup("DROP TABLE IF EXISTS pairs", "CREATE TABLE pairs (pair int, side int, amount int, "
          "PRIMARY KEY (pair, side))",
          "INSERT INTO pairs SELECT p, s, 50 FROM generate_series(1, 4) p, generate_series(1, 2) s")
    problems, counts = [], {"commits": 0, "refused": 0}
    until = time.monotonic() + 3

    def work(seed):
        rng = random.Random(seed)
        s = Session()
        try:
            while time.monotonic() < until:
                pair, side = rng.randint(1, 4), rng.randint(1, 2)
                amount = rng.choice((-30, -20, -10, 10, 20))
                try:
                    s.run(BEGIN)
                    total = s.run(f"SELECT sum(amount) FROM pairs WHERE pair = {pair}")[0][0]
                    if total < 0:
                        problems.append(f"pair {pair} has {total}")
                    if total + amount >= 0:
                        s.run(f"UPDATE pairs SET amount = amount + {amount} "
                              f"WHERE pair = {pair} AND side = {side}")
                    s.run("COMMIT")
                    counts["commits"] += 1
                except psycopg2.Error as error:
                    if error.pgcode not in ("40001", "40P01"):
                        problems.append(f"{error.pgcode} {error}")
                    counts["refused"] += 1
                    s.run("ROLLBACK")
        finally:
            s.close()

    threads = [threading.Thread(target=work, args=(SEED * 100 + n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    s = Session()
    low = s.run("SELECT pair, sum(amount) FROM pairs GROUP BY pair HAVING sum(amount) < 0")
    assert not problems and not low, (problems[:3], low)
    assert counts["commits"] > 20, counts
    return f"{counts['commits']} commits, {counts['refused']} refused"


if __name__ == "__main__":
    sys.exit(serve_tap([write_skew, write_skew_names_its_reason, predicate_write_skew,
                        read_only_anomaly, batch_processing, disjoint_keys_do_not_meet,
                        other_levels_take_no_part, deferrable_waits_for_a_safe_snapshot,
                        savepoints_keep_what_was_read, random_withdrawals], SERVER))

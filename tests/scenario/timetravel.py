"""timetravel.py - reading the store as it was, and tokens of commits on every port. TAP."""
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import sessions  # noqa: E402
from lumaserver import BUILD, FULL, PROGRAM, SEED, Server, serve_tap  # noqa: E402

SERVER = Server(["--set", "storage.history=1h"])
BRIEF = Server(["--set", "storage.history=1s"])
NONE = Server()


def Session(of=SERVER):  # pylint: disable=invalid-name
    return sessions.Session(of)


def one(s, text):
    return s.run(text)[0][0]


def token(s):
    return one(s, "SELECT lumadb_last_commit()")


def as_of(s, when):
    s.run(f"SET lumadb.as_of = '{when}'")


def by_token_and_by_time():
    a, b = Session(), Session()
    a.run("CREATE TABLE tt (k int PRIMARY KEY, v int)")
    states = []
    for statement in ("INSERT INTO tt SELECT i, i FROM generate_series(1, 5) i",
                      "UPDATE tt SET v = v * 10 WHERE k <= 3", "DELETE FROM tt WHERE k = 2",
                      "INSERT INTO tt VALUES (2, 22)", "UPDATE tt SET k = 50 WHERE k = 5",
                      "DELETE FROM tt"):
        a.run(statement)
        states.append((token(a), one(a, "SELECT clock_timestamp()::text"),
                       a.run("SELECT k, v FROM tt ORDER BY k")))
        time.sleep(0.01)
    for _ in range(2):
        for tok, when, rows in states:
            for what in (tok, when):
                as_of(b, what)
                assert b.run("SELECT k, v FROM tt ORDER BY k") == rows, what
                by_key = [b.run(f"SELECT k, v FROM tt WHERE k = {k}") for k in (1, 2, 5, 50)]
                assert by_key == [[r for r in rows if r[0] == k] for k in (1, 2, 5, 50)], what
        b.run("RESET lumadb.as_of")
        assert b.run("SELECT * FROM tt") == []
        a.run("CHECKPOINT")
    as_of(b, states[2][0])
    b.fails("INSERT INTO tt VALUES (9, 9)", "25006")
    b.fails("DELETE FROM tt", "25006")
    b.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
    assert b.run("SELECT k, v FROM tt ORDER BY k") == states[2][2]
    a.run("INSERT INTO tt VALUES (7, 7)")
    assert b.run("SELECT k, v FROM tt ORDER BY k") == states[2][2]
    b.run("COMMIT")
    b.run("SET lumadb.as_of = ''")
    assert b.run("SELECT k FROM tt") == [(7,)]


def every_state_of_a_history():
    """Random transactions over rows in every place they may lie; each state is read again."""
    rng = random.Random(SEED)
    a, b = Session(), Session()
    a.run("DROP TABLE IF EXISTS hist")
    a.run("CREATE TABLE hist (k int PRIMARY KEY, v int, t text)")
    a.run("CREATE INDEX hist_v ON hist (v)")
    a.run("INSERT INTO hist SELECT i, i % 7, 'x' || i FROM generate_series(1, 300) i")
    states, rounds = [], 150 if FULL else 40
    for n in range(rounds):
        a.run("BEGIN")
        for _ in range(rng.randint(1, 4)):
            k = rng.randint(1, 320)
            a.run(rng.choice((f"UPDATE hist SET v = v + 1 WHERE k = {k}",
                              f"UPDATE hist SET t = t || '.' WHERE v = {k % 7}",
                              f"DELETE FROM hist WHERE k = {k}",
                              f"INSERT INTO hist VALUES ({k}, {n}, 'n') ON CONFLICT DO NOTHING")))
        a.run(rng.choice(("COMMIT", "COMMIT", "COMMIT", "ROLLBACK")))
        states.append((token(a), a.run("SELECT * FROM hist ORDER BY k")))
        if rng.random() < 0.15:
            a.run("CHECKPOINT")
    rng.shuffle(states)
    for tok, rows in states:
        as_of(b, tok)
        assert b.run("SELECT * FROM hist ORDER BY k") == rows, tok
        assert b.run("SELECT * FROM hist WHERE v = 3 ORDER BY k") == [r for r in rows if r[1] == 3]
    return f"{rounds} states"


def what_is_not_kept():
    a = Session(BRIEF)
    a.run("CREATE TABLE w (k int)")
    a.run("INSERT INTO w VALUES (1)")
    old, when = token(a), one(a, "SELECT clock_timestamp()::text")
    as_of(a, old)
    assert a.run("SELECT * FROM w") == [(1,)]
    a.run("RESET lumadb.as_of")
    for k in range(4):
        time.sleep(0.6)
        a.run(f"INSERT INTO w VALUES ({k})")
    as_of(a, old)
    a.fails("SELECT * FROM w", "72000")
    a.run("RESET lumadb.as_of")
    error = a.fails(f"SET lumadb.as_of = '{when}'", "72000")
    assert "snapshot too old" in str(error), error
    assert one(a, "SELECT count(*) FROM w") == 5
    n = Session(NONE)
    n.run("CREATE TABLE w (k int)")
    n.fails("SET lumadb.as_of = '2020-01-01'", "72000")
    as_of(n, token(n))
    n.fails("SELECT * FROM w", "72000")
    n.run("RESET lumadb.as_of")
    n.fails(f"SET lumadb.as_of = '{old}'", "22023")
    a.fails("SET lumadb.as_of = 'last tuesday'", "22007")
    a.fails("SET lumadb.as_of = '2199-01-01'", "22023")
    a.fails(f"SET lumadb.as_of = '{old[:17]}x'", "22023")
    a.fails(f"SET lumadb.wait_for = '{old}0000'", "22023")
    a.fails("SET lumadb.last_commit = 'x'", "55P02")
    BRIEF.stop()
    NONE.stop()


def redefined_tables():
    """A table that was truncated or got other columns shows its past no more, others do."""
    a, b = Session(), Session()
    a.run("CREATE TABLE rd (k int PRIMARY KEY, v int)")
    a.run("CREATE TABLE rd2 (k int)")
    a.run("INSERT INTO rd VALUES (1, 1)")
    a.run("INSERT INTO rd2 VALUES (1)")
    before = token(a)
    a.run("CREATE INDEX rd_v ON rd (v)")
    as_of(b, before)
    assert b.run("SELECT v FROM rd WHERE v = 1") == [(1,)]
    for change in ("TRUNCATE rd", "ALTER TABLE rd ADD COLUMN w int DEFAULT 3"):
        a.run(change)
        b.fails("SELECT * FROM rd", "72000")
        assert b.run("SELECT * FROM rd2") == [(1,)]
    as_of(b, token(a))
    assert b.run("SELECT * FROM rd") == []


def rest(path, body, bearer=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", SERVER.http_port, timeout=20)
    if bearer:
        headers["Authorization"] = "Bearer " + bearer
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    data = json.loads(answer.read())
    connection.close()
    return answer.status, answer.headers, data


def tokens_on_every_port():
    """What REST wrote is named, waited for and read through SQL, and the other way round."""
    _, _, login = rest("/api/v1/login", {"username": "lumadb", "password": "lumadb"})
    bearer = login["token"]
    a = Session()
    a.run("CREATE TABLE tp (k int PRIMARY KEY)")
    status, headers, data = rest("/query", {"sql": "INSERT INTO tp VALUES (1)"}, bearer)
    assert status == 200 and headers["LumaDB-Commit"], (status, data, headers)
    a.run(f"SET lumadb.wait_for = '{headers['LumaDB-Commit']}'")
    assert a.run("SELECT * FROM tp") == [(1,)]
    old = headers["LumaDB-Commit"]
    a.run("DELETE FROM tp")
    status, headers, data = rest("/query", {"sql": "SELECT count(*) AS n FROM tp"}, bearer,
                                 **{"LumaDB-Wait-For": token(a)})
    assert status == 200 and "0" in json.dumps(data["rows"]), data
    assert "LumaDB-Commit" not in headers
    status, _, data = rest("/query", {"sql": "SELECT count(*) AS n FROM tp"}, bearer,
                           **{"LumaDB-As-Of": old})
    assert status == 200 and "1" in json.dumps(data["rows"]), data
    status, _, data = rest("/query", {"sql": "SELECT 1"}, bearer, **{"LumaDB-Wait-For": "nonsense"})
    assert status == 400, data


def what_a_session_hears():
    a = Session()
    a.run("CREATE TABLE wh (k int)")
    assert one(a, "SHOW lumadb.last_commit") == token(a)
    assert a.connection.get_parameter_status("lumadb.last_commit") is None
    a.run("SET lumadb.report_commits = on")
    a.run("INSERT INTO wh VALUES (1)")
    assert a.connection.get_parameter_status("lumadb.last_commit") == token(a)
    before = token(a)
    a.run("SELECT * FROM wh")
    assert token(a) == before
    snapshot = one(a, "SELECT lumadb_snapshot()")
    a.run("INSERT INTO wh VALUES (2)")
    as_of(a, snapshot)
    assert a.run("SELECT * FROM wh") == [(1,)]


def changes(rng, n):
    """Statements over rows in memory, in packs and in segments, small and large."""
    k = rng.randint(1, 20000)
    return rng.choice((
        f"INSERT INTO few VALUES ({n}, {n})", "UPDATE few SET v = v + 1",
        f"DELETE FROM few WHERE k % 7 = {n % 7}",
        f"UPDATE many SET v = v + 1 WHERE k BETWEEN {k} AND {k + 40}",
        f"UPDATE many SET k = k + 1000000 WHERE k = {k}",
        f"DELETE FROM many WHERE v = {rng.randint(0, 99)}",
        f"DELETE FROM many WHERE k BETWEEN {k} AND {k + 2000}",
        "INSERT INTO many SELECT i, i % 100, 'y' "
        f"FROM generate_series({30000 + n}000, {30000 + n}300) i",
        "UPDATE many SET t = t || '.' WHERE v < 20"))


LOOKS = ("SELECT * FROM few ORDER BY k", "SELECT count(*), sum(k), sum(v), max(t) FROM many",
         "SELECT k, t FROM many WHERE v = 7 ORDER BY k", "SELECT v FROM many WHERE k = 4711")


def looks(s):
    return [s.run(text) for text in LOOKS]


def make_tables(s):
    s.run("DROP TABLE IF EXISTS few, many")
    s.run("CREATE TABLE few (k int PRIMARY KEY, v int)")
    s.run("CREATE TABLE many (k int PRIMARY KEY, v int, t text)")
    s.run("CREATE INDEX many_v ON many (v)")
    s.run("INSERT INTO many SELECT i, i % 100, repeat('x', 40) || i FROM generate_series(1, 20000) i")


def remember(s, rng, states, count):
    for _ in range(count):
        s.run(changes(rng, len(states)))
        states.append((one(s, "SELECT lumadb_snapshot()"),  # it may have changed nothing
                       one(s, "SELECT clock_timestamp()::text"), looks(s)))
        time.sleep(0.002)


def compare(s, states):
    """Each of them by its token or by its time."""
    for number, (tok, when, rows) in enumerate(states):
        what = (tok, when)[number % 2]
        as_of(s, what)
        differing = [(g[:3], r[:3]) for g, r in zip(looks(s), rows) if g != r]
        assert not differing, (number, what, differing)
    s.run("RESET lumadb.as_of")


def restarts_keep_the_past():
    """Whatever was seen is seen again, after clean stops, kills and checkpoints."""
    rng = random.Random(SEED)
    a, states = Session(), []
    make_tables(a)
    for turn, end in enumerate(("stop", "kill", "checkpoint", "kill", "stop", "stop", "kill")):
        if turn != 5:  # then a start without changes
            remember(a, rng, states, 20 if FULL else 6)
        if end == "checkpoint":
            a.run("CHECKPOINT")
        else:
            getattr(SERVER, end)()
            SERVER.start()
            a = Session()
        compare(a, states if FULL else rng.sample(states, min(len(states), 10)))
    compare(a, states)
    SERVER.stop()
    check = SERVER.check()
    assert check.returncode == 0, check.stdout + check.stderr
    SERVER.start()
    return f"{len(states)} states"


def a_restored_backup_has_the_past():
    rng = random.Random(SEED + 1)
    a, states = Session(), []
    make_tables(a)
    remember(a, rng, states, 4)
    a.run("CHECKPOINT")
    remember(a, rng, states, 4)
    place = os.path.join(SERVER.dir, "backups")
    restored = Server(["--set", "storage.history=1h"])
    for command in (["backup", place, "--data", os.path.join(SERVER.dir, "data")],
                    ["restore", place, os.path.join(restored.dir, "data"),
                     "--conf-dir", os.path.join(BUILD, "conf.d"),
                     "--set", "storage.history=1h"]):
        done = subprocess.run([PROGRAM] + command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    try:
        restored.start()
        compare(Session(restored), states)
    finally:
        restored.close()


def what_a_restart_does_not_keep():
    """Redefined tables, what left the window, and a history that was turned off in between."""
    a = Session()
    a.run("CREATE TABLE cut (k int)")
    a.run("CREATE TABLE wide (k int)")
    a.run("CREATE TABLE whole (k int)")
    for table in ("cut", "wide", "whole"):
        a.run(f"INSERT INTO {table} VALUES (1)")
    old = token(a)
    a.run("TRUNCATE cut")
    a.run("ALTER TABLE wide ADD COLUMN v int DEFAULT 3")
    a.run("CREATE INDEX whole_k ON whole (k)")
    a.run("DELETE FROM whole")
    for end in (SERVER.kill, SERVER.stop):
        end()
        SERVER.start()
        a = Session()
        as_of(a, old)
        a.fails("SELECT * FROM cut", "72000")
        a.fails("SELECT * FROM wide", "72000")
        assert a.run("SELECT * FROM whole") == a.run("SELECT * FROM whole WHERE k = 1") == [(1,)]
        a.run("RESET lumadb.as_of")
        a.run(f"SET lumadb.wait_for = '{old}'")
    options, SERVER.options = SERVER.options, []
    SERVER.stop()
    SERVER.start()
    a = Session()
    as_of(a, old)
    a.fails("SELECT * FROM whole", "72000")
    SERVER.options = options
    SERVER.kill()
    SERVER.start()
    a = Session()
    as_of(a, old)
    a.fails("SELECT * FROM whole", "72000")
    a.run("RESET lumadb.as_of")
    BRIEF.start()
    b = Session(BRIEF)
    b.run("CREATE TABLE w2 (k int)")
    old = token(b)
    for k in range(3):
        b.run(f"INSERT INTO w2 VALUES ({k})")
        time.sleep(0.5)
    newest = token(b)
    BRIEF.stop()
    time.sleep(1.1)
    BRIEF.start()
    b = Session(BRIEF)
    as_of(b, old)
    b.fails("SELECT * FROM w2", "72000")
    as_of(b, newest)
    assert one(b, "SELECT count(*) FROM w2") == 3
    BRIEF.close()


class Transfers:
    """Sessions that move amounts between accounts until they are told to end, or the server does."""

    def __init__(self, server, accounts, total, writers):
        self.server, self.accounts, self.total = server, accounts, total
        self.ended = threading.Event()
        self.tokens = []
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(writers)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        rng = random.Random(SEED * 100 + number)
        try:
            s = Session(self.server)
            while not self.ended.is_set():
                one_k, other = rng.sample(range(self.accounts), 2)
                s.run("BEGIN")
                for k, by in sorted(((one_k, -1), (other, 1))):
                    s.run(f"UPDATE account SET amount = amount + {by} WHERE k = {k}")
                if rng.random() < 0.1:  # one that nobody else changes
                    s.run(f"DELETE FROM account WHERE k = {-1 - number}; INSERT INTO account "
                          f"SELECT {-1 - number}, {self.total} - sum(amount), 'n' FROM account")
                s.run("COMMIT")
                self.tokens.append(token(s))
        except psycopg2.Error:
            pass  # the server is gone

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def busy_moments_are_consistent():
    """Whatever the moment, no amount is lost: in the middle of writers and checkpoints, then after a
    kill, then after a clean stop."""
    accounts, writers = 3000, 4
    rows = accounts + writers
    a = Session()
    a.run("CREATE TABLE account (k int PRIMARY KEY, amount int, t text)")
    a.run("INSERT INTO account SELECT i, 100, repeat('n', 100) "
          f"FROM generate_series({-writers}, {accounts - 1}) i")
    moments, tokens = [], []
    for end in ("kill", "stop"):
        transfers = Transfers(SERVER, accounts, rows * 100, writers)
        until = time.monotonic() + (20 if FULL else 2)
        while time.monotonic() < until:
            moments.append(one(a, "SELECT clock_timestamp()::text"))
            a.run("CHECKPOINT")
            time.sleep(0.1)
        if end == "stop":
            transfers.end()
        getattr(SERVER, end)()
        transfers.end()
        tokens += transfers.tokens
        SERVER.start()
        a = Session()
        rng = random.Random(SEED)
        for when in moments + rng.sample(tokens, min(len(tokens), 30)):
            as_of(a, when)
            got = a.run("SELECT count(*), sum(amount) FROM account")
            assert got == [(rows, rows * 100)], (end, when, got)
        a.run("RESET lumadb.as_of")
    return f"{len(moments)} moments, {len(tokens)} commits"


if __name__ == "__main__":
    sys.exit(serve_tap([by_token_and_by_time, every_state_of_a_history, what_is_not_kept,
                        redefined_tables, tokens_on_every_port, what_a_session_hears,
                        restarts_keep_the_past, busy_moments_are_consistent,
                        a_restored_backup_has_the_past, what_a_restart_does_not_keep], SERVER, BRIEF, NONE))

"""operators.py - what an operator sees: lumadb_statements, lumadb_sessions, the log of slow statements. TAP."""
import os
import sys

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve  # noqa: E402


def statements(server):
    session = server.connect()
    session.autocommit = True
    cursor = session.cursor()
    cursor.execute("CREATE TABLE o (i int PRIMARY KEY, t text)")
    cursor.execute("SELECT lumadb_statements_reset()")
    cursor.execute("INSERT INTO o SELECT g, 'x' FROM generate_series(1, 100) g")
    for i in range(20):
        cursor.execute(f"SELECT * FROM o WHERE i = {i + 1}")
        cursor.execute(f"SELECT  t FROM o WHERE t < '{i}' || 'a'")
    try:
        cursor.execute("SELECT 1 / i FROM (SELECT i - 1 AS i FROM o) q")
    except psycopg2.Error:
        pass
    cursor.execute("SELECT query, calls, errors, rows, total_ms >= max_ms, p50_ms <= p99_ms, "
                   "p99_ms <= max_ms FROM lumadb_statements")
    found = {row[0]: row[1:] for row in cursor.fetchall()}
    assert found["SELECT * FROM o WHERE i = ?"] == (20, 0, 20, True, True, True), found
    assert found["SELECT t FROM o WHERE t < ? || ?"][0] == 20, found
    assert found["INSERT INTO o SELECT g, ? FROM generate_series(?, ?) g"][:3] == (1, 0, 100), found
    assert found["SELECT ? / i FROM (SELECT i - ? AS i FROM o) q"][:2] == (1, 1), found
    session.close()


def rights(server):
    session = server.connect()
    session.autocommit = True
    cursor = session.cursor()
    cursor.execute("CREATE ROLE watcher LOGIN PASSWORD 'w'")
    other = server.connect(user="watcher", password="w")
    other.autocommit = True
    mine = other.cursor()
    mine.execute("SELECT 4711 AS mine")
    mine.execute("SELECT DISTINCT query FROM lumadb_statements WHERE username <> 'watcher'")
    assert mine.fetchall() == [("<insufficient privilege>",)]
    mine.execute("SELECT count(*) FROM lumadb_statements WHERE query = 'SELECT ? AS mine'")
    assert mine.fetchone()[0] == 1
    try:
        mine.execute("SELECT lumadb_statements_reset()")
        raise AssertionError("anybody may reset")
    except psycopg2.errors.InsufficientPrivilege:
        pass
    cursor.execute("SELECT username, frontend, state FROM lumadb_sessions ORDER BY pid")
    assert ("watcher", "pgwire", "idle") in cursor.fetchall()
    other.close()
    session.close()


def slow_log(server):
    session = server.connect()
    session.autocommit = True
    cursor = session.cursor()
    cursor.execute("SELECT count(pg_sleep(0.1)) FROM generate_series(1, 1)")
    cursor.execute("SELECT 1 AS quick")
    session.close()
    with open(server.log_path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    slow = [line for line in lines if "slow statement" in line]
    assert len(slow) == 1 and "pg_sleep(0.1)" in slow[0], slow
    assert "1 rows" in slow[0] and "user lumadb" in slow[0], slow
    assert any("plan:" in line for line in lines), "no plan"


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    failed, tests = 0, [statements, rights, slow_log]
    with Server(["--set", "query.sql.slow_statement=20ms"]) as server:
        server.connect().close()
        for number, test in enumerate(tests, 1):
            try:
                test(server)
                print(f"ok {number} - {test.__name__}", flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {test.__name__}\n# {error!r}", flush=True)
    print(f"1..{len(tests)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

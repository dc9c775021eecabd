"""cancel.py - statements end soon after they are cancelled, or after their client has gone. TAP."""
import os
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve, run_tap, sanitized  # noqa: E402

ROWS = 400000
# The aim is 50 ms; a loaded machine of two cores gets a share of it late.
PATIENCE_S = 20 if sanitized() else 2
SERVER = Server()

# Each would run for many seconds, in all parts of its operator.
STATEMENTS = {
    "cross join": "SELECT count(*) FROM c x, c y WHERE x.k + y.k = -1",
    "sort": "SELECT count(*) FROM (SELECT x.t FROM c x, generate_series(1, 8) ORDER BY t || t || t, k OFFSET 1) s",
    "group": "SELECT count(*) FROM (SELECT x.t || g, count(DISTINCT k) FROM c x, generate_series(1, 12) g GROUP BY 1) s",
    "join": "SELECT count(*) FROM c x JOIN c y ON x.k % 100 = y.k % 100 AND x.t < y.t",
    "window": "SELECT max(m) FROM (SELECT max(t) OVER (ORDER BY k ROWS BETWEEN 3000 PRECEDING AND 3000 FOLLOWING) m "
              "FROM c) s",
    "nth_value": "SELECT max(m) FROM (SELECT nth_value(t, 9000000) OVER (ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING "
                 "AND UNBOUNDED FOLLOWING) m FROM c, generate_series(1, 20)) s",
    "except": "SELECT count(*) FROM (SELECT x.t || g FROM c x, generate_series(1, 12) g EXCEPT SELECT t FROM c) s",
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 100000000) "
                 "SELECT count(*) FROM r",
    "series": "SELECT count(*) FROM generate_series(1, 2000000000) g WHERE g < 0",
}


def connect():
    connection = SERVER.connect()
    connection.autocommit = True
    return connection


def run(connection, text):
    cursor = connection.cursor()
    cursor.execute(text)
    return cursor.fetchall() if cursor.description else None


def test_cancelled():
    connection, slowest = connect(), 0.0
    for name, text in STATEMENTS.items():
        for after_s in (0.02, 0.4):
            at = [0.0]

            def cancel(delay_s=after_s, told=at):
                time.sleep(delay_s)
                told[0] = time.monotonic()
                connection.cancel()

            thread = threading.Thread(target=cancel)
            thread.start()
            try:
                run(connection, text)
            except psycopg2.Error as error:
                assert error.pgcode == "57014", f"{name}: {error.pgcode} {error}"
            else:
                raise AssertionError(f"{name} was done before it was cancelled")
            took = time.monotonic() - at[0]
            thread.join()
            slowest = max(slowest, took)
            assert took < PATIENCE_S, f"{name}, cancelled after {after_s} s: {took:.3f} s"
    return f"at most {slowest * 1000:.0f} ms"


def running(connection, mark):
    return run(connection, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
                           f"query LIKE '%{mark}%' AND pid <> pg_backend_pid()")[0][0]


def test_client_gone():
    watcher = connect()
    for name in ("cross join", "group", "series"):
        gone = connect()
        os_socket = os.dup(gone.fileno())
        thread = threading.Thread(target=lambda c=gone, t=STATEMENTS[name]: quietly(c, t))
        thread.start()
        begun = time.monotonic()
        while running(watcher, STATEMENTS[name][:40].replace("'", "")) == 0:
            assert time.monotonic() - begun < 20, f"{name} does not run"
            time.sleep(0.01)
        import socket  # pylint: disable=import-outside-toplevel
        socket.socket(fileno=os_socket).shutdown(socket.SHUT_RDWR)
        left = time.monotonic()
        while running(watcher, STATEMENTS[name][:40].replace("'", "")) > 0:
            assert time.monotonic() - left < PATIENCE_S, f"{name} runs on without its client"
            time.sleep(0.01)
        thread.join()


def quietly(connection, text):
    try:
        run(connection, text)
    except psycopg2.Error:
        pass


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    SERVER.start()
    try:
        connection = connect()
        run(connection, "CREATE TABLE c (k int, t text)")
        run(connection, f"INSERT INTO c SELECT i, 'row number ' || i FROM generate_series(1, {ROWS}) i")
        return run_tap([test_cancelled, test_client_gone])
    finally:
        SERVER.close()


if __name__ == "__main__":
    sys.exit(main())

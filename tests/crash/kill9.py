"""kill9.py - kill -9 in the middle of eight writing clients, again and again. TAP.

Each transaction of a client touches three tables: it appends to `left_rows` and `right_rows`, moves
the client's counter, and every tenth removes a row. After each kill every acknowledged transaction
is there, at most the one in flight besides, and none by halves.
"""
import os
import random
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import FULL, QUICK, SEED, Server, cannot_serve, run_tap  # noqa: E402

CLIENTS = 8
ROUNDS = 100 if FULL else 3 if QUICK else 12


def create(server):
    connection = server.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE counters (client int PRIMARY KEY, n int NOT NULL)")
    cursor.execute("CREATE TABLE left_rows (client int, seq int, v text, PRIMARY KEY (client, seq))")
    cursor.execute("CREATE TABLE right_rows (client int, seq int, v text, PRIMARY KEY (client, seq))")
    for client in range(CLIENTS):
        cursor.execute("INSERT INTO counters VALUES (%s, 0)", (client,))
    connection.close()


class Writer(threading.Thread):
    """Writes until its connection breaks; acknowledged is the last commit the server confirmed."""

    def __init__(self, server, client, begin):
        super().__init__()
        self.server, self.client, self.acknowledged = server, client, begin
        self.error = None

    def run(self):
        try:
            connection = self.server.connect()
        except (RuntimeError, psycopg2.Error):
            return
        try:
            cursor = connection.cursor()
            while True:
                n = self.acknowledged + 1
                row = (self.client, n, f"row {n} of client {self.client}" + "x" * (n % 200))
                cursor.execute("INSERT INTO left_rows VALUES (%s, %s, %s)", row)
                cursor.execute("INSERT INTO right_rows VALUES (%s, %s, %s)", row)
                cursor.execute("UPDATE counters SET n = %s WHERE client = %s", (n, self.client))
                if n % 10 == 0:
                    cursor.execute("DELETE FROM right_rows WHERE client = %s AND seq = %s",
                                   (self.client, n - 5))
                connection.commit()
                self.acknowledged = n
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            pass
        except psycopg2.Error as error:
            self.error = error


def verify(server, acknowledged):
    """The counters as they are now, after comparing everything with what was acknowledged."""
    connection = server.connect(60)
    cursor = connection.cursor()
    cursor.execute("SELECT client, n FROM counters ORDER BY client")
    counters = dict(cursor.fetchall())
    found = {}
    for table in ("left_rows", "right_rows"):
        cursor.execute(f"SELECT client, seq, v FROM {table}")
        for client, seq, text in cursor.fetchall():
            assert text == f"row {seq} of client {client}" + "x" * (seq % 200), \
                f"{table} {client}/{seq} holds {text!r}"
            found.setdefault((table, client), []).append(seq)
    # By the index, too: one lookup per client of the newest row.
    for client in range(CLIENTS):
        n = counters[client]
        assert acknowledged[client] <= n <= acknowledged[client] + 1, \
            f"client {client}: {acknowledged[client]} acknowledged, {n} there"
        left = sorted(found.get(("left_rows", client), []))
        assert left == list(range(1, n + 1)), f"client {client}: left_rows {len(left)} of {n}"
        right = sorted(found.get(("right_rows", client), []))
        expected = [s for s in range(1, n + 1) if not (s % 10 == 5 and s + 5 <= n)]
        assert right == expected, f"client {client}: right_rows {len(right)} of {len(expected)}"
        if n:
            cursor.execute("SELECT v FROM left_rows WHERE client = %s AND seq = %s", (client, n))
            assert cursor.fetchone() is not None, f"client {client}: row {n} not found by key"
    connection.close()
    return [counters[client] for client in range(CLIENTS)]


def kill_nine():
    rng = random.Random(SEED)
    server = Server()
    slowest = 0.0
    try:
        server.start()
        create(server)
        counts = [0] * CLIENTS
        for number in range(ROUNDS):
            writers = [Writer(server, client, counts[client]) for client in range(CLIENTS)]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.05, 0.6))
            server.kill()
            for writer in writers:
                writer.join()
                assert writer.error is None, f"round {number}: {writer.error}"
            server.start()
            counts = verify(server, [writer.acknowledged for writer in writers])
            slowest = max(slowest, time.monotonic() - server.begun)
            if rng.random() < 0.3:
                # A kill during or right after recovery must be as harmless.
                server.kill()
                server.start()
                counts = verify(server, counts)
        assert sum(counts) > 0, "nothing was written"
        status = server.stop()
        assert status == 0, f"stop: status {status}: {server.tail()}"
        result = server.check()
        assert result.returncode == 0, f"lumadb check: {result.stdout}{result.stderr}"
    finally:
        server.close()
    return f"{ROUNDS} kills, {sum(counts)} transactions, slowest restart {slowest:.2f} s, seed {SEED}"


if __name__ == "__main__":
    if cannot_serve():
        print(cannot_serve())
        sys.exit(77)
    sys.exit(run_tap([kill_nine]))

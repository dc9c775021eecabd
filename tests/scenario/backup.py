"""backup.py - backups of a busy server, and what is restored from them, row by row. TAP."""
import io
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import FULL, PROGRAM, SEED, Server, serve_tap  # noqa: E402

ACCOUNTS, LOAD_ROWS = 2000, 400000 if FULL else 60000


def tool(*arguments, ok=True):
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False,
                            timeout=300)
    assert (result.returncode == 0) == ok, result.stdout + result.stderr
    return result.stdout + result.stderr


def data(server):
    return os.path.join(server.dir, "data")


def session(server):
    connection = server.connect()
    connection.autocommit = True
    return connection, connection.cursor()


def fill(server):
    _, cursor = session(server)
    cursor.execute("CREATE TABLE account (k int PRIMARY KEY, amount int, note text)")
    cursor.execute("CREATE TABLE journal (id serial PRIMARY KEY, k int, done timestamptz, pad text)")
    cursor.execute("CREATE TABLE bulk (k int PRIMARY KEY, v text)")
    cursor.execute("CREATE INDEX account_note ON account (note)")
    cursor.execute(f"INSERT INTO account SELECT g, 100, 'n' || g FROM generate_series(1, {ACCOUNTS}) g")
    copy_bulk(cursor, 0)
    cursor.execute("CHECKPOINT")


def copy_bulk(cursor, at):
    rows = "".join(f"{at + k}\tvalue {k * 7919 % 100003}\n" for k in range(LOAD_ROWS))
    cursor.copy_expert("COPY bulk FROM STDIN", io.StringIO(rows))


class Load:
    """Moves amounts from account to account, each move with a line in the journal; checkpoints."""

    def __init__(self, server, writers=4):
        self.server, self.stop, self.failed, self.moves = server, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(writers)]
        for thread in self.threads:
            thread.start()

    def work(self, number):
        rng = random.Random(SEED * 10 + number)
        try:
            _, cursor = session(self.server)
            while not self.stop.is_set():
                a, b = rng.randrange(1, ACCOUNTS + 1), rng.randrange(1, ACCOUNTS + 1)
                a, b = min(a, b), max(a, b)
                cursor.execute("BEGIN")
                cursor.execute("UPDATE account SET amount = amount - 1 WHERE k = %s", (a,))
                cursor.execute("UPDATE account SET amount = amount + 1 WHERE k = %s", (b,))
                cursor.execute("INSERT INTO journal (k, done, pad) VALUES (%s, now(), %s)",
                               (a, "x" * 800))
                cursor.execute("COMMIT")
                self.moves += 1
                if rng.random() < 0.005:
                    cursor.execute("CHECKPOINT")
        except psycopg2.Error as error:
            self.failed.append(str(error))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.failed, self.failed


def rows_of(cursor):
    answer = []
    for table in ("account", "journal", "bulk"):
        cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
        answer.append(cursor.fetchall())
    return answer


class Restored:
    """A server on a folder that was restored."""

    def __init__(self, place, *options):
        self.server = Server()
        self.said = tool("restore", place, data(self.server), *options)
        self.server.start()
        _, self.cursor = session(self.server)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.close()

    def sound(self, acknowledged=0):
        """One state: no amount is lost, no move without its line."""
        self.cursor.execute("SELECT sum(amount), count(*) FROM account")
        assert self.cursor.fetchone() == (ACCOUNTS * 100, ACCOUNTS)
        self.cursor.execute("SELECT count(*) FROM journal")
        lines = self.cursor.fetchone()[0]
        assert lines >= acknowledged, f"{acknowledged} were acknowledged, {lines} are there"
        self.cursor.execute("SELECT k FROM account WHERE note = 'n77'")
        assert self.cursor.fetchall() == [(77,)]
        self.cursor.execute("INSERT INTO account VALUES (0, 0, 'new')")
        assert self.server.stop() == 0, self.server.tail()
        result = self.server.check()
        assert result.returncode == 0, result.stdout + result.stderr
        return lines


def copied(said):
    return float(re.search(r"([0-9.]+) MiB of it copied", said).group(1))


def under_load():
    """Backups while others write and checkpoints come and go; each is one state, whole."""
    server, place = Server(["--set", "storage.wal_file_size=1MB"]), None
    try:
        fill(server.start())
        place = os.path.join(server.dir, "place")
        load, acknowledged = Load(server), []
        try:
            for turn in range(4):
                time.sleep(0.7)
                acknowledged.append(load.moves)
                said = tool("backup", place, "--data", data(server))
                if turn == 0:
                    first = copied(said)
        finally:
            load.end()
        tool("backup", place, "--data", data(server))
        again = copied(tool("backup", place, "--data", data(server)))
        names = [line.split()[0] for line in tool("backup", place, "--list").splitlines()]
        assert len(names) == 6, names
        lines = []
        for name, least in list(zip(names, acknowledged))[1:]:
            with Restored(place, "--backup", name) as restored:
                lines.append(restored.sound(least))
        assert lines == sorted(lines)
        _, cursor = session(server)
        cursor.execute("CHECKPOINT")
        tool("backup", place, "--data", data(server))
        want = rows_of(cursor)
        with Restored(place) as restored:
            assert rows_of(restored.cursor) == want
            restored.sound()
        server.stop()  # a folder nobody uses can be backed up as well
        tool("backup", place, "--data", data(server))
        with Restored(place) as restored:
            assert rows_of(restored.cursor) == want
    finally:
        server.close()
    return f"{lines} moves; {first:.1f} MiB copied at first, {again:.1f} MiB later"


def point_in_time():
    """From a backup and the archived log to any time after it."""
    server = Server(["--set", "storage.wal_file_size=1MB"])
    archive, place = os.path.join(server.dir, "archive"), os.path.join(server.dir, "place")
    server.options += ["--set", f"storage.wal_archive={archive}"]
    try:
        fill(server.start())
        _, cursor = session(server)
        tool("backup", place, "--data", data(server))
        load, marks = Load(server, 2), []
        try:
            for turn in range(4):
                time.sleep(1.0)
                if turn == 2:  # the log has only the names of what this writes
                    copy_bulk(cursor, 1000000)
                    cursor.execute("CHECKPOINT")
                cursor.execute("SELECT now(), (SELECT count(*) FROM journal)")
                marks.append(cursor.fetchone())
        finally:
            load.end()
        cursor.execute("DELETE FROM account")  # the mistake that is to be undone
        cursor.execute("DROP TABLE bulk")
        server.kill()
        os.rename(data(server), data(server) + ".lost")
        tail = os.path.join(server.dir, "tail")  # all that is left of it
        shutil.copytree(os.path.join(data(server) + ".lost", "wal"), tail)
        logs = ["--log", archive, "--log", tail]
        assert os.listdir(archive), "nothing was archived"
        for turn, (when, lines) in enumerate(marks):
            with Restored(place, *logs, "--to", when.isoformat()) as restored:
                restored.cursor.execute("SELECT count(*), max(done) FROM journal")
                count, newest = restored.cursor.fetchone()
                assert count >= lines, (count, lines)
                assert newest <= when, (newest, when)
                restored.cursor.execute("SELECT count(*) FROM bulk")
                assert restored.cursor.fetchone() == (LOAD_ROWS * (1 if turn < 2 else 2),)
                restored.sound(lines)
        with Restored(place, *logs) as restored:  # without an end: the mistake too
            restored.cursor.execute("SELECT count(*) FROM account")
            assert restored.cursor.fetchone() == (0,)
            restored.cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'bulk'")
            assert restored.cursor.fetchone() == (0,)
        said = tool("restore", place, os.path.join(server.dir, "early"), "--to",
                    "2001-01-01 00:00:00+00", ok=False)
        assert "old enough" in said, said
    finally:
        server.close()
    return ", ".join(str(lines) for _, lines in marks) + " lines"


def mistakes():
    """Clear errors: no folder, a place of another store, a target that is not empty, half a restore."""
    server, other = Server(), Server()
    try:
        fill(server.start())
        other.start()
        session(other)
        place = os.path.join(server.dir, "place")
        tool("backup", place, "--data", data(server))
        said = tool("backup", place, "--data", data(other), ok=False)
        assert "another store" in said, said
        said = tool("backup", place, "--data", os.path.join(server.dir, "nothing"), ok=False)
        assert "no data folder" in said, said
        said = tool("restore", place, data(other), ok=False)
        assert "not empty" in said, said
        said = tool("restore", os.path.join(server.dir, "nowhere"), "/tmp/none", ok=False)
        assert "nowhere" in said, said
        target = os.path.join(server.dir, "target")
        tool("restore", place, target, "--to", "yesterday or so", ok=False)
        tool("restore", place, target)
        with open(os.path.join(target, "restoring"), "w", encoding="ascii") as f:
            f.write("x")
        said = tool("check", target, ok=False)
        assert "restore again" in said, said
        tool("restore", place, target)  # it goes on over what was left
        tool("check", target)
        objects = os.path.join(place, "objects")
        victim = max((os.path.join(objects, f) for f in os.listdir(objects)), key=os.path.getsize)
        os.unlink(victim)
        shutil.rmtree(target)
        said = tool("restore", place, target, ok=False)
        assert os.path.basename(victim) in said, said
    finally:
        server.close()
        other.close()


if __name__ == "__main__":
    sys.exit(serve_tap([under_load, point_in_time, mistakes]))

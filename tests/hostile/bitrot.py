"""bitrot.py - one flipped bit in every kind of file of a data folder. TAP.

A damaged index is rebuilt from the rows and never refuses a start; a damaged segment or pack keeps
only its own rows from being read; a damaged log or manifest is refused by name. `lumadb check` names
each. Nobody ever gets wrong rows.
"""
import io
import os
import random
import re
import sys
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import FULL, SEED, Server, cannot_serve, run_tap  # noqa: E402

RNG = random.Random(SEED)
ROWS = 60000
ROUNDS = 12 if FULL else 3
BIG = "SELECT count(*), sum(k), sum(n), max(v) FROM big"


class Damage:
    """Flips a bit of a file, and puts it back on request."""

    def __init__(self, path, at=None):
        self.path = path
        self.at = RNG.randrange(0, os.path.getsize(path)) if at is None else at
        with open(path, "r+b") as f:
            f.seek(self.at)
            self.byte = f.read(1)[0]
            f.seek(self.at)
            f.write(bytes([self.byte ^ (1 << RNG.randrange(8))]))

    def undo(self):
        with open(self.path, "r+b") as f:
            f.seek(self.at)
            f.write(bytes([self.byte]))


def connect(server):
    connection = server.connect()
    connection.autocommit = True
    return connection, connection.cursor()


def fill(server):
    """Tables whose files are settled; gives what a sum over them must say."""
    connection, cursor = connect(server)
    cursor.execute("CREATE TABLE big (k int PRIMARY KEY, n int UNIQUE, v text)")
    cursor.execute("CREATE INDEX big_v ON big (v)")
    cursor.execute("CREATE TABLE small (k int PRIMARY KEY, v text)")
    cursor.execute("INSERT INTO small VALUES (1, 'one'), (2, 'two')")
    rows = "".join(f"{k}\t{k + 1000000}\tvalue {k * 7919 % 100003}\n" for k in range(ROWS))
    cursor.copy_expert("COPY big FROM STDIN", io.StringIO(rows))
    cursor.execute("CHECKPOINT")
    cursor.execute("DELETE FROM big WHERE k % 1000 = 7")
    cursor.execute(BIG)
    right = cursor.fetchone()
    connection.close()
    assert server.stop() == 0, server.tail()
    return right


def objects(server, kind):
    data = os.path.join(server.dir, "data")
    return sorted((os.path.join(data, f) for f in os.listdir(data) if f.endswith(kind)),
                  key=os.path.getsize)


def log_of(server):
    with open(server.log_path, encoding="utf-8", errors="replace") as f:
        return f.read()


def named_by_check(server, path):
    result = server.check()
    said = result.stdout + result.stderr
    assert result.returncode != 0, f"check finds nothing wrong with {path}"
    assert os.path.basename(path) in said or os.path.basename(path).split(".")[0] in said, said
    return said


def constraints_hold(cursor):
    for statement in ("INSERT INTO big VALUES (11, 5, 'x')",
                      "INSERT INTO big VALUES (-1, 1000011, 'x')",
                      "UPDATE big SET n = 1000012 WHERE k = 13"):
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            assert error.pgcode == "23505", f"{error.pgcode}: {error}"
        else:
            raise AssertionError(f"accepted {statement}")


def lookups_agree(cursor, right):
    for k in [RNG.randrange(ROWS) for _ in range(40)] + [7, 1007]:
        there = k % 1000 != 7
        cursor.execute("SELECT n, v FROM big WHERE k = %s", (k,))
        want = (k + 1000000, f"value {k * 7919 % 100003}")
        assert cursor.fetchall() == ([want] if there else []), k
        cursor.execute("SELECT k FROM big WHERE v = %s ORDER BY 1", (want[1],))
        assert ((k,) in cursor.fetchall()) == there, k
    cursor.execute(BIG)
    assert cursor.fetchone() == right


def read_all_blocks(cursor):
    """A lookup in every block of every index."""
    values = sorted(f"value {k * 7919 % 100003}" for k in range(ROWS))
    for at in range(0, ROWS, 120):
        cursor.execute("SELECT count(*) FROM big WHERE k = %s", (at,))
        cursor.execute("SELECT count(*) FROM big WHERE n = %s", (at + 1000000,))
        cursor.execute("SELECT count(*) FROM big WHERE v = %s", (values[at],))
    cursor.execute("SELECT count(*) FROM small WHERE k = 1")


def index_runs():
    """Every run in turn: named by check, rebuilt by the server, put aside; the rows are all there."""
    server, rebuilt = Server(), 0
    try:
        right = fill(server.start())
        for turn in range(ROUNDS):
            runs = objects(server, ".run")
            assert len(runs) >= 3, runs
            for path in runs if turn == 0 else [RNG.choice(runs)]:
                if not os.path.exists(path):
                    continue
                at = {0: os.path.getsize(path) - 5, 1: 3}.get(turn)
                Damage(path, at)
                named_by_check(server, path)
                server.start()
                connection, cursor = connect(server)
                if turn % 2 == 0:
                    constraints_hold(cursor)
                lookups_agree(cursor, right)
                constraints_hold(cursor)
                read_all_blocks(cursor)
                give_up = time.monotonic() + 20
                while os.path.exists(path) and time.monotonic() < give_up:
                    time.sleep(0.05)
                assert not os.path.exists(path), f"{path} is still in use: {log_of(server)[-2000:]}"
                aside = os.path.join(server.dir, "data", "quarantine", os.path.basename(path))
                assert os.path.exists(aside), f"{aside} is not there"
                assert os.path.basename(path) in log_of(server)
                connection.close()
                assert server.stop() == 0, server.tail()
                result = server.check()
                assert result.returncode == 0, result.stdout + result.stderr
                rebuilt += 1
        run = objects(server, ".run")[-1]
        os.unlink(run)  # a missing file is damage like any other
        named_by_check(server, run)
        server.start()
        connection, cursor = connect(server)
        constraints_hold(cursor)
        lookups_agree(cursor, right)
        connection.close()
    finally:
        server.close()
    return f"{rebuilt} rebuilt"


def segments():
    """Rows of the segment are refused by name or right; other tables are served."""
    server, said = Server(), []
    try:
        right = fill(server.start())
        victim = objects(server, ".segment")[-1]
        for turn in range(ROUNDS * 2):
            damage = Damage(victim, {0: os.path.getsize(victim) - 3, 1: 1}.get(turn))
            named_by_check(server, victim)
            server.start()
            connection, cursor = connect(server)
            try:
                cursor.execute(BIG)
                assert cursor.fetchone() == right, f"wrong rows, byte {damage.at}"
                said.append("unharmed")
            except psycopg2.Error as error:
                assert error.pgcode == "XX001", f"{error.pgcode}: {error}"
                assert re.search(r"[0-9a-f]{16}", str(error)), error
                said.append("refused")
            cursor.execute("SELECT v FROM small WHERE k = 2")
            assert cursor.fetchone() == ("two",)
            cursor.execute("INSERT INTO small VALUES (%s, 'more')", (100 + turn,))
            connection.close()
            server.stop()
            damage.undo()
        server.start()
        connection, cursor = connect(server)
        lookups_agree(cursor, right)
        connection.close()
    finally:
        server.close()
    assert "refused" in said, said
    return ", ".join(said)


def packs():
    """Few rows and delete maps: their collection is refused, the rest is served, mending helps."""
    server, refused = Server(), 0
    try:
        right = fill(server.start())
        packs_ = objects(server, ".deletes")
        assert packs_, "no pack"
        for path in packs_:
            for at in sorted({RNG.randrange(os.path.getsize(path)) for _ in range(ROUNDS * 4)}):
                damage = Damage(path, at)
                sound = server.check().returncode == 0  # a section that a newer one has replaced
                server.start()
                try:
                    connection, cursor = connect(server)
                except RuntimeError as error:  # the catalogue's own rows
                    assert os.path.basename(path) in str(error), error
                    refused += 1
                    server.stop()
                    damage.undo()
                    continue
                for table, want in (("big", right), ("small", (2,))):
                    try:
                        cursor.execute(BIG if table == "big" else "SELECT count(*) FROM small")
                        assert cursor.fetchone() == want, f"wrong rows of {table}, byte {at}"
                    except psycopg2.Error as error:
                        assert error.pgcode == "XX001", f"{error.pgcode}: {error}"
                        assert not sound, f"check does not see byte {at} of {path}"
                        refused += 1
                cursor.execute("CREATE TABLE another (a int)")
                cursor.execute("DROP TABLE another")
                cursor.execute("CHECKPOINT")
                connection.close()
                assert server.stop() == 0, server.tail()
                if os.path.exists(path):
                    damage.undo()
        server.start()
        connection, cursor = connect(server)
        lookups_agree(cursor, right)
        cursor.execute("SELECT count(*) FROM small")
        assert cursor.fetchone() == (2,)
        connection.close()
    finally:
        server.close()
    return f"{refused} refused"


def manifest():
    """Named and refused, or as before: never an older state."""
    server, said = Server(), []
    try:
        right = fill(server.start())
        folder = os.path.join(server.dir, "data", "manifest")
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            for _ in range(ROUNDS * 3 if os.path.getsize(path) else 0):
                damage = Damage(path)
                server.start()
                try:
                    connection, cursor = connect(server)
                    cursor.execute(BIG)
                    assert cursor.fetchone() == right, f"wrong rows, byte {damage.at} of {name}"
                    connection.close()
                    said.append("unharmed")
                    server.stop()
                    break  # the file may have been written since: nothing to put back
                except RuntimeError as error:
                    assert "manifest" in str(error) or "log" in str(error), error
                    said.append("refused")
                server.stop()
                damage.undo()
    finally:
        server.close()
    return ", ".join(said)


def write_ahead_log():
    """Damage before the end of the log is refused by name and offset; nothing is left out."""
    server, said = Server(["--set", "storage.checkpoint_interval=1d"]), []
    try:
        fill(server.start())
        server.start()
        connection, cursor = connect(server)
        for k in range(300):
            cursor.execute("INSERT INTO small VALUES (%s, %s)", (1000 + k, "x" * 50))
        server.kill()
        folder = os.path.join(server.dir, "data", "wal")
        logs = [os.path.join(folder, f) for f in sorted(os.listdir(folder))]
        path = next(p for p in reversed(logs) if b"x" * 50 in open(p, "rb").read())
        with open(path, "rb") as f:
            content = f.read()
        used = [m.start() for m in re.finditer(b"x" * 50, content)]
        for _ in range(ROUNDS):
            damage = Damage(path, used[RNG.randrange(len(used) // 2)] + 20)
            result = server.check()
            assert result.returncode != 0
            assert os.path.basename(path) in result.stdout + result.stderr, result.stderr
            server.start()
            try:
                server.connect()
            except RuntimeError as error:
                assert os.path.basename(path) in str(error), error
                said.append("refused")
            else:
                raise AssertionError(f"served with byte {damage.at} of {path} damaged")
            server.stop()
            damage.undo()
        server.start()
        connection, cursor = connect(server)
        cursor.execute("SELECT count(*) FROM small")
        assert cursor.fetchone() == (302,)
        connection.close()
    finally:
        server.close()
    return ", ".join(said)


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    return run_tap([index_runs, segments, packs, manifest, write_ahead_log])


if __name__ == "__main__":
    sys.exit(main())

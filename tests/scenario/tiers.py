"""tiers.py - storage_tier of tables: set, changed online, seen, and what it does to memory. TAP."""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import BUILD, PROGRAM, Server, serve_tap  # noqa: E402

import psycopg2  # noqa: E402

ROWS = 200_000
SERVER = Server(options=["--set", "storage.cache_size=24MB", "--set", "storage.checkpoint_interval=1h"])
COLD = os.path.join(SERVER.dir, "cold")
SERVER.options += ["--set", f"storage.cold_dir={COLD}"]


def session():
    connection = SERVER.connect()
    connection.autocommit = True
    return connection.cursor()


def one(text):
    cursor = session()
    cursor.execute(text)
    return cursor.fetchone()


def tier_of(table):
    return dict(zip(("tier", "segments", "cold", "rows", "memory", "kept", "data"), one(
        "SELECT storage_tier, segments, cold_segments, rows, memory_bytes, kept_bytes, data_bytes "
        f"FROM lumadb.tiers WHERE table_name = '{table}'")))


def wait_for(table, wanted, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        seen = tier_of(table)
        if wanted(seen) or time.monotonic() > deadline:
            assert wanted(seen), (seen, SERVER.tail())
            return seen
        time.sleep(0.1)


def settled(table):
    """What is kept of it, once no pass over the tiers changes it."""
    seen = wait_for(table, lambda t: t["kept"] > 0)
    while True:
        time.sleep(2.5)
        again = tier_of(table)
        if (again["kept"], again["segments"]) == (seen["kept"], seen["segments"]):
            return again
        seen = again


def fill(table, rows=ROWS, options=""):
    cursor = session()
    cursor.execute(f"CREATE TABLE {table} (k int8, h text) {options}")
    cursor.execute(f"INSERT INTO {table} SELECT g, md5(g::text) FROM generate_series(1, {rows}) g")
    cursor.execute("CHECKPOINT")


def refused(statement, state):
    try:
        session().execute(statement)
    except psycopg2.Error as error:
        assert error.pgcode == state, (statement, error.pgcode, error)
        return
    raise AssertionError(f"{statement} went through")


def options():
    """The options of a table are set, merged, reset, shown, and wrong ones refused."""
    fill("opts", 10, "WITH (fillfactor = 90, storage_tier = ram)")
    def seen():
        return one("SELECT reloptions FROM pg_class WHERE relname = 'opts'")[0]
    assert seen() == ["fillfactor=90", "storage_tier=ram"], seen()
    session().execute("ALTER TABLE opts SET (storage_tier = 'hybrid', tier_age = '7d', tier_bytes = '10GB')")
    assert seen() == ["fillfactor=90", "storage_tier=hybrid", "tier_age=7d", "tier_bytes=10GB"], seen()
    session().execute("ALTER TABLE opts RESET (tier_age, fillfactor)")
    assert seen() == ["storage_tier=hybrid", "tier_bytes=10GB"], seen()
    refused("ALTER TABLE opts SET (storage_tier = 'tape')", "22023")
    refused("ALTER TABLE opts SET (tier_age = 'soon')", "22023")
    refused("ALTER TABLE opts SET (tier_bytes = '-1')", "22023")
    refused("CREATE TABLE bad (k int) WITH (storage_tier = disk)", "22023")
    assert seen() == ["storage_tier=hybrid", "tier_bytes=10GB"], seen()
    session().execute("ALTER TABLE opts RESET (storage_tier, tier_bytes)")
    assert seen() is None, seen()
    assert tier_of("opts")["tier"] == "hybrid"


def ram():
    """A table with tier ram is in memory, after a start as well, until it is changed."""
    fill("kept", options="WITH (storage_tier = 'ram')")
    full = settled("kept")
    assert full["tier"] == "ram" and full["memory"] >= full["kept"] > full["data"] // 2, full
    assert SERVER.stop() == 0, SERVER.tail()
    SERVER.start()
    again = settled("kept")
    assert again["kept"] == full["kept"] or again["segments"] != full["segments"], (full, again)
    session().execute("ALTER TABLE kept SET (storage_tier = 'ssd')")
    wait_for("kept", lambda t: t["kept"] == 0)
    assert tier_of("kept")["tier"] == "ssd"
    cursor = session()
    cursor.execute("BEGIN; ALTER TABLE kept SET (storage_tier = 'ram'); ROLLBACK")
    time.sleep(1.5)
    assert tier_of("kept")["kept"] == 0
    assert one("SELECT count(*), count(DISTINCT h) FROM kept") == (ROWS, ROWS)
    return f"{full['data'] >> 10} KiB on disk, {full['kept'] >> 10} KiB kept"


def too_much():
    """What does not fit into half the cache is read on use, and a message says so."""
    fill("large", 800_000, "WITH (storage_tier = 'ram')")
    deadline = time.monotonic() + 20
    while '"large" has storage_tier ram and does not fit' not in SERVER.tail():
        assert time.monotonic() < deadline, SERVER.tail()
        time.sleep(0.1)
    seen = tier_of("large")
    assert seen["kept"] <= 12 << 20, seen
    assert one("SELECT count(*), max(k) FROM large") == (800_000, 800_000)
    session().execute("DROP TABLE large; CHECKPOINT")


def scans():
    """Reading a table of tier ssd once leaves what others use in memory."""
    cursor = session()
    cursor.execute("ALTER TABLE kept SET (storage_tier = 'hybrid')")
    for _ in range(3):
        one("SELECT sum(length(h)), sum(k) FROM kept")
    before = tier_of("kept")["memory"]
    fill("stream", 1_000_000, "WITH (storage_tier = 'ssd')")
    time.sleep(1.5)
    one("SELECT sum(length(h)), sum(k) FROM kept")
    one("SELECT sum(length(h)), sum(k) FROM stream")
    after, streamed = tier_of("kept")["memory"], tier_of("stream")["memory"]
    assert after >= before * 0.9, (before, after)
    return f"{before >> 10} KiB before, {after >> 10} KiB after; of the scan {streamed >> 10} KiB"


def command(*arguments):
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(SERVER.port), "PGUSER": "lumadb", "PGPASSWORD": "lumadb"}
    done = subprocess.run([PROGRAM, "tiers", "--data", os.path.join(SERVER.dir, "data"), "--conf-dir",
                           os.path.join(BUILD, "conf.d"), *arguments], env=os.environ | place,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def tool():
    """lumadb tiers asks a server that is there, and looks itself where none is."""
    assert " kept " in command(), command()
    asked = {row["table_name"]: row for row in json.loads(command("--json"))}
    assert asked["kept"]["rows"] == ROWS and asked["kept"]["storage_tier"] == "hybrid", asked
    assert SERVER.stop() == 0, SERVER.tail()
    looked = {row["table_name"]: row for row in json.loads(command("--json"))}
    for field in ("rows", "segments", "cold_segments", "storage_tier", "data_bytes", "index_bytes"):
        assert looked["kept"][field] == asked["kept"][field], (field, looked, asked)
    assert looked["stream"]["storage_tier"] == "ssd", looked
    assert "public.kept" in command(), command()
    other = os.path.join(SERVER.dir, "other")
    os.mkdir(other)
    done = subprocess.run([PROGRAM, "tiers", "--data", other, "--conf-dir", os.path.join(BUILD, "conf.d")],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "no data folder" in done.stderr and not os.listdir(other), done
    SERVER.start()


def cold_files():
    return sorted(name for _, _, names in os.walk(COLD) for name in names if name.endswith(".segment"))


def digest(table):
    return one(f"SELECT count(*), sum(k), min(h), max(h) FROM {table}")


def places():
    """Old segments of a hybrid table move to the cold folder and come back, across kills; backup and
    check know them there."""
    fill("archive", 100_000)
    fill("archive2", 100_000, "WITH (tier_age = '1s')")
    before = digest("archive")
    session().execute("ALTER TABLE archive SET (tier_bytes = 1)")
    moved = wait_for("archive", lambda t: t["cold"] == t["segments"] > 0)
    wait_for("archive2", lambda t: t["cold"] == t["segments"] > 0)
    assert moved["data"] == 0 and len(cold_files()) >= 2, (moved, cold_files())
    assert digest("archive") == digest("archive2") == before
    SERVER.kill()
    SERVER.start()
    assert digest("archive") == before and tier_of("archive")["cold"] == moved["cold"]
    place, restored = os.path.join(SERVER.dir, "backups"), os.path.join(SERVER.dir, "restored")
    data = os.path.join(SERVER.dir, "data")
    for arguments in (["backup", place, "--data", data], ["restore", place, restored], ["check", restored]):
        done = subprocess.run([PROGRAM, *arguments, "--conf-dir", os.path.join(BUILD, "conf.d")],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (arguments, done)
    session().execute("ALTER TABLE archive2 SET (storage_tier = 'ssd')")
    wait_for("archive2", lambda t: t["cold"] == 0)
    assert digest("archive2") == before
    for statement in ("DROP TABLE archive2", "CHECKPOINT"):
        session().execute(statement)
    assert SERVER.stop() == 0, SERVER.tail()
    sound = SERVER.check()
    assert sound.returncode == 0, sound.stdout[-1000:] + sound.stderr
    os.rename(COLD, COLD + ".away")
    away = SERVER.check()
    os.rename(COLD + ".away", COLD)
    assert away.returncode != 0 and "is missing" in away.stdout, away.stdout[-1000:] + away.stderr
    SERVER.start()
    for statement in ("DROP TABLE archive", "CHECKPOINT"):
        session().execute(statement)
    deadline = time.monotonic() + 10
    while cold_files() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert cold_files() == [], cold_files()


if __name__ == "__main__":
    sys.exit(serve_tap([options, ram, too_much, scans, tool, places], SERVER))

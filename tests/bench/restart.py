#!/usr/bin/python3
"""restart.py - how long until the first answer: with so much log to replay after kill -9, and of a
store of so many bytes that was closed; and how fast `lumadb check` reads it.

    tests/bench/restart.py [--log-mib 1024] [--store-gib 4] [--runs 3] [--keep DIR]

Each start is repeated and the best is said with all of them: other work on the machine only adds.
Files are in the page cache, as after a restart of the server and not of the machine.
"""
import argparse
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import PROGRAM, Server, cannot_serve  # noqa: E402

ROWS = 1000  # of a statement: it goes through the log and the hot tier, not past them
WRITERS = 4
SETTINGS = ["--set", "storage.checkpoint_wal_size=16GB", "--set", "storage.checkpoint_interval=1d",
            "--set", "storage.hot_tier_size=6GB", "--set", "storage.memory_budget=12GB"]


def data_of(server):
    return os.path.join(server.dir, "data")


def bytes_of(folder, ending=""):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder)
               for name in names if name.endswith(ending))


def log_bytes(server):
    """What there is to replay: files of the log but the spare ones."""
    return bytes_of(os.path.join(data_of(server), "wal"), ".wal")


def run(server, *statements):
    connection = server.connect(600)
    connection.autocommit = True
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    answer = cursor.fetchone() if cursor.description else None
    connection.close()
    return answer


def write_log(server, wanted):
    """Inserts rows with two indexes until the log is so long."""
    run(server, "CREATE TABLE t (k bigint PRIMARY KEY, n int, v text)", "CREATE INDEX t_n ON t (n)",
        "CHECKPOINT")
    before = log_bytes(server)
    done = threading.Event()

    def write(writer):
        connection = server.connect(60)
        connection.autocommit = True
        cursor = connection.cursor()
        at = writer * 10**9
        while not done.is_set():
            cursor.execute(f"INSERT INTO t SELECT g, g % 100003, 'the row of number ' || g || "
                           f"md5(g::text) FROM generate_series({at}, {at + ROWS - 1}) g")
            at += ROWS
        connection.close()

    writers = [threading.Thread(target=write, args=(w,)) for w in range(WRITERS)]
    for writer in writers:
        writer.start()
    while log_bytes(server) - before < wanted:
        time.sleep(0.2)
    done.set()
    for writer in writers:
        writer.join()
    return log_bytes(server) - before


def start_s(server):
    server.start()
    server.connect(600).close()
    return time.monotonic() - server.begun


def said(name, seconds, what):
    runs = " ".join(f"{s:.2f}" for s in seconds)
    print(f"{name}: {min(seconds):.2f} s (of {runs}), {what}", flush=True)


def recovery(options):
    server = Server(SETTINGS).start()
    try:
        length = write_log(server, options.log_mib << 20)
        rows = run(server, "SELECT count(*), sum(n) FROM t")
        seconds = []
        for _ in range(options.runs):
            server.kill()
            seconds.append(start_s(server))
            assert run(server, "SELECT count(*), sum(n) FROM t") == rows
        said("recovery", seconds, f"{length >> 20} MiB of log, {rows[0]} rows, "
             f"{(length >> 20) / min(seconds):.0f} MiB/s")
    finally:
        server.close()


def fill(server, wanted):
    """Tables of a million rows of hashes, which nothing compresses."""
    number = 0
    while bytes_of(data_of(server)) < wanted:
        number += 1
        run(server, f"CREATE TABLE f{number} (k bigint PRIMARY KEY, a text, b text, c text, d text)",
            f"INSERT INTO f{number} SELECT g, md5(g::text), md5((g + 7)::text), "
            f"md5((g * 3)::text), md5((g * 11)::text) FROM generate_series(1, 1000000) g")
    run(server, "CHECKPOINT")
    return number


def closed(options):
    server = Server()
    if options.keep:
        server.dir = options.keep
        os.makedirs(options.keep, exist_ok=True)
        server.log_path = os.path.join(options.keep, "log")
    try:
        if not os.path.exists(data_of(server)):
            fill(server.start(), options.store_gib << 30)
            assert server.stop(120) == 0, server.tail()
        size, seconds = bytes_of(data_of(server)), []
        for _ in range(options.runs):
            seconds.append(start_s(server))
            assert run(server, "SELECT a FROM f1 WHERE k = 77") is not None
            assert server.stop(120) == 0, server.tail()
        said("start", seconds, f"store of {size >> 20} MiB, closed")
        begun = time.monotonic()
        subprocess.run([PROGRAM, "check", data_of(server)], check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - begun
        print(f"check: {took:.1f} s, {(size >> 20) / took:.0f} MiB/s", flush=True)
    finally:
        if options.keep:
            server.stop()
        else:
            server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--log-mib", type=int, default=1024)
    parser.add_argument("--store-gib", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", help="where the closed store is, or is to stay")
    parser.add_argument("--only", choices=["recovery", "closed"])
    options = parser.parse_args()
    if cannot_serve():
        sys.exit(cannot_serve())
    if options.only != "closed":
        recovery(options)
    if options.only != "recovery":
        closed(options)


if __name__ == "__main__":
    main()

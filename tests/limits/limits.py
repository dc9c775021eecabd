"""limits.py - what the server promises about itself: start-up time, idle memory, durability.

Prints TAP. The build is LUMA_BUILD_DIR; each test has a server of its own on an empty folder.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve, run_tap, sanitized  # noqa: E402

STARTUP_MS_MAX = 100
IDLE_MIB_MAX = 64


def start_up():
    """Start to first answered query on an empty folder."""
    times = []
    for _ in range(7):
        with Server() as server:
            connection = server.connect()
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
            times.append((time.monotonic() - server.begun) * 1000)
            connection.close()
    assert statistics.median(times) < STARTUP_MS_MAX, f"allowed {STARTUP_MS_MAX} ms: {times}"
    return f"{min(times):.0f} ms, median {statistics.median(times):.0f} ms"


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def idle_memory():
    """Resident memory of a server that answered a query and has nothing to do."""
    with Server() as server:
        connection = server.connect()
        connection.cursor().execute("SELECT 1")
        connection.close()
        time.sleep(1.0)
        mib = resident_mib(server.process.pid)
    assert mib < IDLE_MIB_MAX, f"{mib:.1f} MiB, allowed {IDLE_MIB_MAX}"
    return f"{mib:.1f} MiB"


CALL = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$")
SYNC = re.compile(r"^(fdatasync|fsync)\(")
RECEIVE = re.compile(r"^(read|recvfrom|recvmsg|readv)\((\d+)")
SEND = re.compile(r"^(write|sendto|sendmsg|writev)\((\d+)")


def calls_of(path):
    """Complete calls in the order of their begin: (begin, end, text)."""
    open_calls, calls = {}, []
    with open(path, errors="replace") as f:
        for line in f:
            match = CALL.match(line)
            if not match:
                continue
            thread, at, text = match.group(1), float(match.group(2)), match.group(3)
            if text.startswith("<... "):
                begun = open_calls.pop(thread, None)
                if begun:
                    begun[1] = at
                    begun[2] += text
            else:
                call = [at, at, text]
                took = re.search(r"<(\d+\.\d+)>$", text)
                if took:
                    call[1] = at + float(took.group(1))
                if text.endswith("<unfinished ...>"):
                    call[1] = float("inf")
                    open_calls[thread] = call
                calls.append(call)
    return calls


def durability():
    """No success reply before a sync that began after the statement arrived has ended."""
    if shutil.which("strace") is None:
        return "SKIP strace is not installed"
    trial = subprocess.run(["strace", "-f", "-e", "trace=none", "true"], capture_output=True)
    if trial.returncode != 0:
        return "SKIP strace may not trace here"
    trace = tempfile.mktemp(prefix="lumadb-strace.")
    server = Server(prefix=["strace", "-f", "-ttt", "-T", "-s", "256", "-o", trace, "-e",
                             "trace=fsync,fdatasync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg"])
    clients, each = 4, 25
    failures = []
    try:
        server.start()
        setup = server.connect()
        setup.autocommit = True
        setup.cursor().execute("CREATE TABLE durable (k int PRIMARY KEY, v text)")

        def write(number):
            try:
                connection = server.connect()
                connection.autocommit = True
                cursor = connection.cursor()
                for i in range(each):
                    cursor.execute("INSERT INTO durable VALUES (%s, 'v')", (number * 1000 + i,))
            except Exception as error:  # pylint: disable=broad-except
                failures.append(str(error))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        setup.close()
    finally:
        server.close()
    assert not failures, failures[0]
    calls = calls_of(trace)
    os.unlink(trace)
    syncs = [(begin, end) for begin, end, text in calls if SYNC.match(text) and "= 0" in text]
    arrived, replies = {}, 0
    for begin, end, text in calls:
        match = RECEIVE.match(text)
        if match and "INSERT INTO durable" in text:
            arrived[match.group(2)] = end
        match = SEND.match(text)
        if match and "INSERT 0 1" in text and match.group(2) in arrived:
            replies += 1
            since = arrived.pop(match.group(2))
            # strace stamps with the clock of another thread: allow for its resolution.
            assert any(since - 1e-4 <= b and e <= begin + 1e-4 for b, e in syncs), \
                f"a reply at {begin:.6f} with no sync since {since:.6f}"
    assert replies >= clients * each * 0.9, f"saw {replies} of {clients * each} replies"
    return f"{replies} replies, {len(syncs)} syncs"


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    return run_tap([durability] if sanitized() else [start_up, idle_memory, durability])


if __name__ == "__main__":
    sys.exit(main())

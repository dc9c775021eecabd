"""limits.py - what the server promises about itself: start-up time, idle memory, durability.

Prints TAP. The build is LUMA_BUILD_DIR; each test has a server of its own on an empty folder.
"""
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import psycopg2

SOURCE = os.environ.get("LUMA_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("LUMA_BUILD_DIR") or os.path.join(SOURCE, "build")
STARTUP_MS_MAX = 100
IDLE_MIB_MAX = 64


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, prefix=()):
        self.dir = tempfile.mkdtemp(prefix="lumadb-limits.")
        self.port = free_port()
        self.log = open(os.path.join(self.dir, "log"), "wb")
        command = list(prefix) + [
            os.path.join(BUILD, "lumadb"), "server",
            "--data", os.path.join(self.dir, "data"),
            "--conf-dir", os.path.join(BUILD, "conf.d"),
            "--set", f"postgres.port={self.port}",
            "--set", f"server.port={free_port()}",
            "--set", f"metrics.port={free_port()}"]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, start_new_session=True)

    def connect(self, patience_s=10.0):
        last = None
        while time.monotonic() - self.begun < patience_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}: {self.tail()}")
            try:
                return psycopg2.connect(host="127.0.0.1", port=self.port, user="lumadb",
                                        password="lumadb", dbname="default", connect_timeout=5)
            except psycopg2.OperationalError as error:
                last = error
                time.sleep(0.001)
        raise RuntimeError(f"no connection: {last}")

    def pid(self):
        """The server itself, below strace if there is one."""
        with open(f"/proc/{self.process.pid}/comm") as f:
            if f.read().strip() != "strace":
                return self.process.pid
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])

    def tail(self):
        self.log.flush()
        with open(self.log.name, "rb") as f:
            return f.read()[-500:].decode(errors="replace")

    def close(self):
        if self.process.poll() is None:
            os.kill(self.pid(), signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def start_up():
    """Start to first answered query on an empty folder."""
    times = []
    for _ in range(7):
        server = Server()
        try:
            connection = server.connect()
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
            times.append((time.monotonic() - server.begun) * 1000)
            connection.close()
        finally:
            server.close()
    median = statistics.median(times)
    assert median < STARTUP_MS_MAX, f"{median:.0f} ms, allowed {STARTUP_MS_MAX}: {times}"
    return f"{median:.0f} ms"


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def idle_memory():
    """Resident memory of a server that answered a query and has nothing to do."""
    server = Server()
    try:
        connection = server.connect()
        connection.cursor().execute("SELECT 1")
        connection.close()
        time.sleep(1.0)
        mib = resident_mib(server.process.pid)
    finally:
        server.close()
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
    server = Server(["strace", "-f", "-ttt", "-T", "-s", "256", "-o", trace, "-e",
                     "trace=fsync,fdatasync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg"])
    clients, each = 4, 25
    failures = []
    try:
        setup = server.connect(30)
        setup.autocommit = True
        setup.cursor().execute("CREATE TABLE durable (k int PRIMARY KEY, v text)")

        def write(number):
            try:
                connection = server.connect(60)
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
    if not os.access(os.path.join(BUILD, "lumadb"), os.X_OK):
        print(f"no program in {BUILD}")
        return 77
    sanitized = b"__asan_" in subprocess.run(["nm", os.path.join(BUILD, "lumadb")],
                                             capture_output=True, check=False).stdout
    tests = [durability] if sanitized else [start_up, idle_memory, durability]
    print(f"1..{len(tests)}")
    failed = 0
    for number, test in enumerate(tests, 1):
        name = f"{number} - {test.__name__}"
        try:
            said = test()
            if said.startswith("SKIP"):
                print(f"ok {name} # {said}", flush=True)
            else:
                print(f"ok {name} ({said})", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {name}", flush=True)
            for line in str(error).splitlines():
                print(f"# {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

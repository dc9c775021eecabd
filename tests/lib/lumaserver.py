"""lumaserver.py - a private server for a test: its own folder, free ports, kill and restart.

The build is LUMA_BUILD_DIR (default: build/ of this tree).
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import psycopg2

SOURCE = os.environ.get("LUMA_SOURCE_DIR") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("LUMA_BUILD_DIR") or os.path.join(SOURCE, "build")
PROGRAM = os.path.join(BUILD, "lumadb")
FULL = os.environ.get("LUMA_TEST_FULL") == "1"
QUICK = os.environ.get("LUMA_TEST_QUICK") == "1"
SEED = int(os.environ.get("LUMA_TEST_SEED", "1"))


def test_data(name):
    """The folder `name` of the test data beside the tree ($LUMA_TEST_DATA, or the first shared/data/
    above the source), None where it is absent: who wants it then skips, and says so."""
    folders = [os.environ["LUMA_TEST_DATA"]] if "LUMA_TEST_DATA" in os.environ else []
    at = os.path.abspath(SOURCE)
    while at != os.path.dirname(at):
        at = os.path.dirname(at)
        folders.append(os.path.join(at, "shared", "data"))
    for folder in folders:
        if os.path.isdir(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sanitized():
    """True for a build under a sanitizer: figures of time and memory mean nothing there."""
    symbols = subprocess.run(["nm", PROGRAM], capture_output=True, check=False).stdout
    return b"__asan_" in symbols or b"__tsan_" in symbols


class Server:
    """Started by start(); the folder outlives stop() and kill(), close() removes it."""

    def __init__(self, options=(), prefix=()):
        self.dir = tempfile.mkdtemp(prefix="lumadb-test.")
        self.options, self.prefix = list(options), list(prefix)
        self.port, self.http_port, self.metrics_port = free_port(), free_port(), free_port()
        self.log_path = os.path.join(self.dir, "log")
        self.process, self.begun = None, 0.0

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()

    def start(self):
        command = self.prefix + [
            PROGRAM, "server",
            "--data", os.path.join(self.dir, "data"),
            "--conf-dir", os.path.join(BUILD, "conf.d"),
            "--set", f"postgres.port={self.port}",
            "--set", f"server.port={self.http_port}",
            "--set", f"metrics.port={self.metrics_port}"] + self.options
        with open(self.log_path, "ab") as log:
            self.begun = time.monotonic()
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def connect(self, patience_s=30.0, **arguments):
        """A connection; waits until the server answers."""
        last = None
        settings = {"user": "lumadb", "password": "lumadb", "dbname": "default",
                    "connect_timeout": 10} | arguments
        while time.monotonic() - self.begun < patience_s or last is None:
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}: {self.tail()}")
            try:
                return psycopg2.connect(host="127.0.0.1", port=self.port, **settings)
            except psycopg2.OperationalError as error:
                last = error
                time.sleep(0.002)
        raise RuntimeError(f"no connection: {last}; {self.tail()}")

    def pid(self):
        """The server itself, below strace if there is one."""
        with open(f"/proc/{self.process.pid}/comm", encoding="ascii") as f:
            if f.read().strip() != "strace":
                return self.process.pid
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as f:
            return int(f.read().split()[0])

    def tail(self):
        with open(self.log_path, "rb") as f:
            return f.read()[-2000:].decode(errors="replace")

    def kill(self):
        os.kill(self.pid(), signal.SIGKILL)
        self.process.wait()

    def stop(self, patience_s=30):
        """SIGTERM; the exit status, negative for a signal."""
        if self.process.poll() is None:
            os.kill(self.pid(), signal.SIGTERM)
            try:
                self.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.kill()
                return -signal.SIGKILL
        return self.process.returncode

    def check(self):
        """lumadb check on the folder of a server that is stopped."""
        return subprocess.run([PROGRAM, "check", "--data", os.path.join(self.dir, "data")],
                              capture_output=True, text=True, check=False)

    def close(self):
        if self.process:
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def cannot_serve():
    """Why there is nothing to test here; None when there is."""
    if not os.access(PROGRAM, os.X_OK):
        return f"{PROGRAM} is not there"
    if not os.path.exists(os.path.join(BUILD, "conf.d", "frontend-pgwire.conf")):
        return "frontend/pgwire is not built"
    return None


def run_tap(tests):
    """Run functions as TAP: each says something (printed), "SKIP why", or raises."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        name = f"{number} - {test.__name__}"
        try:
            said = test() or ""
            if said.startswith("SKIP"):
                print(f"ok {name} # {said}", flush=True)
            else:
                print(f"ok {name}" + (f" ({said})" if said else ""), flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {name}", flush=True)
            for line in f"{type(error).__name__}: {error}".splitlines():
                print(f"# {line}", flush=True)
    return 1 if failed else 0


def serve_tap(tests, *servers):
    """run_tap() between the start and the end of servers; names on the command line choose among the
    tests. The exit status, 77 where there is nothing to serve with."""
    why = None if any(not isinstance(server, Server) for server in servers) else cannot_serve()
    if why:
        print(why)
        return 77
    try:
        for server in servers:
            server.start()
        return run_tap([t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]])
    finally:
        for server in servers:
            server.close()

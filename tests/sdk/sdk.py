"""sdk.py - modules built out of the tree, as a third party would. TAP.

Installs the build under a prefix of its own, builds sdk/examples and the module of docs/modules.md
against it with pkg-config, checks each with `lumadb modules --check`, loads it and uses it. Then the
bad neighbours: objects that must be refused by name, and never harm the server.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import BUILD, SOURCE, cannot_serve, free_port, run_tap, sanitized  # noqa: E402

ROOT = tempfile.mkdtemp(prefix="lumadb-sdk.")
STAGE = os.path.join(ROOT, "stage")
EXAMPLES = ("codec-runs", "function-roman", "index-sorted", "frontend-resp")
NEIGHBOURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "neighbours")
ENVIRONMENT = dict(os.environ)
PLACES = {}


def sh(*command, cwd=None, ok=True):
    result = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True,
                            timeout=300, check=False)
    if ok:
        assert result.returncode == 0, f"{' '.join(command)}: {result.stdout}{result.stderr}"
    return result


def variable(name):
    return sh("pkg-config", f"--variable={name}", "lumadb-module").stdout.strip()


def install():
    """make install, and pkg-config finds it there."""
    sh("make", "-C", BUILD, "install", f"DESTDIR={STAGE}")
    found = sh("find", STAGE, "-name", "lumadb-module.pc").stdout.split()
    assert len(found) == 1, found
    ENVIRONMENT["PKG_CONFIG_LIBDIR"] = os.path.dirname(found[0])
    ENVIRONMENT["PKG_CONFIG_SYSROOT_DIR"] = STAGE
    for name in ("moduledir", "confdir"):
        path = variable(name)
        PLACES[name] = path if path.startswith(STAGE) else STAGE + path
        assert os.path.isdir(PLACES[name]), PLACES[name]
    program = sh("find", STAGE, "-name", "lumadb", "-type", "f", "-perm", "-u+x").stdout.split()
    PLACES["program"] = program[0]
    said = sh(PLACES["program"], "--version").stdout
    assert "lumadb" in said.lower(), said
    twin = os.path.join(os.path.dirname(PLACES["program"]), "tdbplus")
    assert sh(twin, "--version").stdout == said


def build(name, source, cwd):
    flags = sh("pkg-config", "--cflags", "lumadb-module").stdout.split()
    sanitizers = ["-fsanitize=address,undefined"] if sanitized() else []
    target = os.path.join(cwd, name + ".so")
    sh(os.environ.get("CC", "gcc"), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra",
       "-Werror", *sanitizers, "-shared", "-fPIC", *flags, "-o", target, source)
    return target


def examples_build():
    """Each example by its own Makefile, then installed beside ours."""
    for name in EXAMPLES:
        folder = os.path.join(ROOT, name)
        shutil.copytree(os.path.join(SOURCE, "sdk", "examples", name), folder)
        if sanitized():
            build(name, os.path.join(folder, name + ".c"), folder)
        else:
            sh("make", "-C", folder)
        shutil.copy(os.path.join(folder, name + ".so"), PLACES["moduledir"])
        shutil.copy(os.path.join(folder, name + ".conf"), PLACES["confdir"])


def guide_builds():
    """The module in docs/modules.md, as it stands there."""
    with open(os.path.join(SOURCE, "docs", "modules.md"), encoding="utf-8") as f:
        text = re.search(r"```c\n(/\* function-double .*?)```", f.read(), re.S).group(1)
    source = os.path.join(ROOT, "function-double.c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    shutil.copy(build("function-double", source, ROOT), PLACES["moduledir"])
    with open(os.path.join(PLACES["confdir"], "function-double.conf"), "w", encoding="ascii") as f:
        f.write("# twice(int)\n")


def conformance():
    """lumadb modules --check: the examples, and every module of our own."""
    files = sorted(f for f in os.listdir(PLACES["moduledir"]) if f.endswith(".so"))
    assert set(e + ".so" for e in EXAMPLES) <= set(files), files
    bad = []
    for file in files:
        result = sh(PLACES["program"], "modules", "--check",
                    os.path.join(PLACES["moduledir"], file), ok=False)
        if "which no loaded module offers" in result.stdout + result.stderr:
            continue  # judged alone, a module that stands on others can only be refused by name
        if result.returncode != 0:
            bad.append(f"{file}: {result.stdout[-600:]}{result.stderr[-600:]}")
    assert not bad, "\n".join(bad)
    return f"{len(files)} modules"


EMBEDDED = {"embed-segments": ["seg_001: 1000 to 2000, 101 documents, warm"],
            "embed-metrics": ['http_requests{env="prod"}: 601 points, from 42 to 642, sum 205542'],
            "embed-search": ["hello AND rust: 1", "HELLO: 1 2 3", "hello AND world AND golang:"]}


def embedded():
    """Programs with the store inside, by their own Makefiles; a server then shows SQL what they wrote."""
    flags = "-fsanitize=address,undefined" if sanitized() else ""
    library = os.path.dirname(sh("find", STAGE, "-name", "liblumadb.so").stdout.strip())
    ENVIRONMENT["LD_LIBRARY_PATH"] = library
    data = os.path.join(ROOT, "embedded")
    for name, expected in EMBEDDED.items():
        folder = os.path.join(ROOT, name)
        shutil.copytree(os.path.join(SOURCE, "sdk", "examples", name), folder)
        sh("make", "-C", folder, f"CFLAGS=-g -O1 -Wall -Wextra -Werror {flags}",
           f"CC={os.environ.get('CC', 'gcc')}")
        for _ in range(2):
            said = sh(os.path.join(folder, name), data, PLACES["moduledir"], PLACES["confdir"]).stdout
            for line in expected:
                assert line in said.splitlines(), (name, said)
    server = Installed()
    server.command[3] = data
    with server:
        connection = server.connect()
        assert query(connection, "SELECT count(*), sum((doc->>'took')::numeric) FROM segments.seg_001 "
                     "WHERE doc->>'level' = 'info'")[0][0] == 101
        assert query(connection, "SELECT s.labels->>'env', count(*), max(p.value), min(p.time)::text FROM metrics.series s "
                     "JOIN metrics.samples p ON p.series = s.id GROUP BY 1 ORDER BY 1") == [
                         ("prod", 3601, 3642.0, "2023-12-14 08:00:00+00"),
                         ("test", 3600, 0.0, "2023-12-14 08:00:01+00")]
        assert query(connection, "SELECT id FROM search.pages_words WHERE word = 'rust'") == [(1,)]
        assert query(connection, "SELECT text FROM search.pages_documents WHERE id = 3") == [("Hello again",)]
    return f"{len(EMBEDDED)} programs"


class Installed:
    """A server of the installed copy; module folder and conf.d may be others."""

    def __init__(self, conf_dir=None, module_dir=None):
        self.dir = tempfile.mkdtemp(prefix="server.", dir=ROOT)
        self.port, self.resp_port = free_port(), free_port()
        self.command = [PLACES["program"], "server", "--data", os.path.join(self.dir, "data"),
                        "--conf-dir", conf_dir or PLACES["confdir"],
                        "--set", f"general.module_dir={module_dir or PLACES['moduledir']}",
                        "--set", f"postgres.port={self.port}",
                        "--set", f"server.port={free_port()}",
                        "--set", f"metrics.port={free_port()}"]
        self.process = None

    def __enter__(self):
        if os.path.exists(os.path.join(self.command[5], "frontend-resp.conf")):
            self.command += ["--set", f"resp.port={self.resp_port}"]
        with open(os.path.join(self.dir, "log"), "wb") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def connect(self):
        last = None
        for _ in range(1000):
            assert self.process.poll() is None, f"ended {self.process.returncode}: {self.log()}"
            try:
                connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="lumadb",
                                              password="lumadb", dbname="default")
                connection.autocommit = True
                return connection
            except psycopg2.OperationalError as error:
                last = error
                time.sleep(0.01)
        raise AssertionError(f"no connection: {last}: {self.log()}")


def query(connection, text):
    cursor = connection.cursor()
    cursor.execute(text)
    return cursor.fetchall() if cursor.description else None


def redis(port, *words):
    """One command over a connection that has logged in; the raw answer."""
    def encode(args):
        out = f"*{len(args)}\r\n"
        for arg in args:
            out += f"${len(arg)}\r\n{arg}\r\n"
        return out.encode()

    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(encode(["AUTH", "lumadb", "lumadb"]))
        assert s.recv(4096) == b"+OK\r\n"
        s.sendall(encode(list(words)))
        return s.recv(65536).decode()


def examples_work():
    with Installed() as server:
        connection = server.connect()
        assert query(connection, "SELECT roman(1984), from_roman('MMXXVI')") == [("MCMLXXXIV", 2026)]
        assert query(connection, "SELECT roman(NULL)") == [(None,)]
        assert query(connection, "SELECT twice(21)") == [(42,)]
        try:
            query(connection, "SELECT roman(4000)")
        except psycopg2.Error as error:
            assert error.pgcode == "22003", error.pgcode
        else:
            raise AssertionError("roman(4000) was answered")
        query(connection, "CREATE TABLE t (a int, b text)")
        query(connection, "INSERT INTO t SELECT i % 100, 'row ' || i FROM generate_series(1, 5000) i")
        query(connection, "CREATE INDEX t_a ON t USING sorted (a)")
        assert query(connection, "SELECT count(*) FROM t WHERE a = 7") == [(50,)]
        query(connection, "CHECKPOINT")
        assert query(connection, "SELECT count(*) FROM t WHERE a BETWEEN 7 AND 8") == [(100,)]
        assert redis(server.resp_port, "SET", "greeting", "hello") == "+OK\r\n"
        assert redis(server.resp_port, "GET", "greeting") == "$5\r\nhello\r\n"
        assert redis(server.resp_port, "GET", "nobody") == "$-1\r\n"
        assert query(connection, "SELECT * FROM redis") == [("greeting", "hello")]
        assert redis(server.resp_port, "DEL", "greeting") == ":1\r\n"
        listed = sh(PLACES["program"], "modules", "--conf-dir", PLACES["confdir"], "--set",
                    f"general.module_dir={PLACES['moduledir']}").stdout
        for name in ("runs", "roman", "sorted", "resp"):
            assert name in listed, listed


def codec_stores_data():
    """Data written through the example codec is read again, and refused by name without it."""
    with Installed() as server:
        connection = server.connect()
        query(connection, "CREATE TABLE packed (k int PRIMARY KEY, v text) WITH (codec = 'runs')")
        query(connection, "INSERT INTO packed SELECT i, repeat('x', 50) FROM generate_series(1, 20000) i")
        query(connection, "CHECKPOINT")
        data = server.command[3]
        assert query(connection, "SELECT count(*), min(v) FROM packed") == [(20000, "x" * 50)]
    server = Installed()
    server.command[3] = data
    with server:
        assert query(server.connect(), "SELECT count(*), max(v) FROM packed") == [(20000, "x" * 50)]


def without(*names):
    """A conf.d and a module folder that lack some modules."""
    conf, modules = tempfile.mkdtemp(dir=ROOT), tempfile.mkdtemp(dir=ROOT)
    for folder, source, ending in ((conf, PLACES["confdir"], ".conf"),
                                   (modules, PLACES["moduledir"], ".so")):
        for file in os.listdir(source):
            if file.removesuffix(ending) not in names:
                os.symlink(os.path.join(source, file), os.path.join(folder, file))
    return conf, modules


def removing_a_module_removes_its_ability():
    """One .so moved out: exactly that is gone, and the server says so."""
    _, modules = without("function-roman")
    with Installed(module_dir=modules) as server:
        connection = server.connect()
        assert query(connection, "SELECT 1") == [(1,)]
        try:
            query(connection, "SELECT roman(5)")
        except psycopg2.Error as error:
            assert error.pgcode == "42883", error.pgcode
        else:
            raise AssertionError("roman() is still there")
        assert "function-roman" in server.log(), server.log()
    conf, modules = without("frontend-resp")
    with Installed(conf, modules) as server:
        assert query(server.connect(), "SELECT roman(5)") == [("V",)]


def bad_neighbours():
    """Each is refused with a message that names the file; the server runs without it."""
    said = {}
    for source in sorted(os.listdir(NEIGHBOURS)):
        if not source.endswith(".c"):
            continue
        name = source.removesuffix(".c")
        conf, modules = without()
        build(name, os.path.join(NEIGHBOURS, source), modules)
        with open(os.path.join(conf, name + ".conf"), "w", encoding="ascii") as f:
            f.write("# a bad neighbour\n")
        with Installed(conf, modules) as server:
            assert query(server.connect(), "SELECT roman(9)") == [("IX",)]
            log = server.log()
            assert name in log, f"{name} is not named: {log}"
            said[name] = next(line for line in log.splitlines() if name in line)
    # A file cut in half, and one that is no object at all.
    for name, make in (("codec-half", lambda d: d[:len(d) // 2]), ("codec-text", lambda d: b"hello")):
        conf, modules = without()
        with open(os.path.join(PLACES["moduledir"], "codec-runs.so"), "rb") as f:
            data = make(f.read())
        with open(os.path.join(modules, name + ".so"), "wb") as f:
            f.write(data)
        with open(os.path.join(conf, name + ".conf"), "w", encoding="ascii") as f:
            f.write("# a bad neighbour\n")
        with Installed(conf, modules) as server:
            assert query(server.connect(), "SELECT 1") == [(1,)]
            assert name in server.log(), server.log()
    return f"{len(said) + 2} refused"


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    try:
        return run_tap([install, examples_build, guide_builds, conformance, examples_work,
                        codec_stores_data, embedded, removing_a_module_removes_its_ability,
                        bad_neighbours])
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

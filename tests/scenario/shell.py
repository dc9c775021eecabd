"""shell.py - `lumadb sql`: options, formats, commands, exit statuses, and a person at a terminal. TAP."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import PROGRAM, Server, cannot_serve, run_tap  # noqa: E402

SERVER = Server()


def environment(**more):
    return os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(SERVER.port), "PGPASSWORD": "lumadb",
                         "LUMADB_HISTORY": os.path.join(SERVER.dir, "history"), "TERM": "vt100",
                         "LC_ALL": "C.UTF-8"} | more


def shell(*arguments, stdin="", **more):
    return subprocess.run([PROGRAM, "sql", *arguments], input=stdin, capture_output=True, text=True,
                          env=environment(**more), timeout=60, check=False)


def good(*arguments, stdin=""):
    done = shell(*arguments, stdin=stdin)
    assert done.returncode == 0, done
    return done.stdout


def test_a_table_is_aligned():
    out = good("-c", r"SELECT 7 AS n, 'x' AS t UNION ALL SELECT 1234, E'two\nlines' ORDER BY 1")
    assert out == ("  n   |   t   \n------+-------\n    7 | x\n 1234 | two  +\n"
                   "      | lines\n(2 rows)\n\n"), out


def test_wide_characters_and_control_characters():
    out = good("-t", "-c", r"VALUES ('日本', 1), (E'a\x1b[2J\tb', 2)")
    assert "\x1b" not in out and r"a\x1B[2J\tb" in out, out
    assert out.splitlines()[0].startswith(" 日本 "), out


def test_csv():
    out = good("-F", "csv", "-c", """SELECT 1 AS a, 'x,"y"' AS "b c", NULL AS n, '' AS e""")
    assert out == 'a,b c,n,e\n1,"x,""y""",,""\n', out


def test_json():
    out = good("-F", "json", "-c", """SELECT 1.10 AS n, 'x"' || chr(10) AS t, NULL AS z, true AS b,
                                      'NaN'::float8 AS f, '{"a": [1]}'::json AS j""")
    assert "1.10" in out
    assert json.loads(out) == [{"n": 1.1, "t": 'x"\n', "z": None, "b": True, "f": "NaN", "j": {"a": [1]}}]
    assert json.loads(good("-F", "json", "-c", "SELECT 1 WHERE false")) == []


def test_many_rows_in_every_format():
    for form in ("table", "expanded", "csv", "json"):
        out = good("-q", "-F", form, "-c", "SELECT g, 'v' || g AS v FROM generate_series(1, 5000) g")
        assert out.count("v5000") == 1 and out.count("v4999") == 1, form
    assert len(json.loads(out)) == 5000


def test_exit_statuses():
    assert shell("-c", "SELECT 1").returncode == 0
    failed = shell("-c", "SELECT nothing")
    assert failed.returncode == 1 and 'column "nothing" does not exist' in failed.stderr
    assert shell("--fly").returncode == 2
    assert shell("-F", "xml").returncode == 2
    assert shell("-p", "1", "-c", "SELECT 1").returncode == 3
    wrong = shell("-c", "SELECT 1", PGPASSWORD="wrong")
    assert wrong.returncode == 3 and "password authentication failed" in wrong.stderr


def test_a_file_stops_at_its_first_error_and_says_where():
    path = os.path.join(SERVER.dir, "three.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write("SELECT 'one' AS a;\n\nSELECT oops;\nSELECT 'three' AS a;\n")
    done = shell("-f", path)
    assert done.returncode == 1 and "one" in done.stdout and "three" not in done.stdout
    assert done.stderr.startswith(f"{path}:3: ERROR:"), done.stderr
    assert "three" in shell("-k", "-f", path).stdout
    assert shell("-f", path + ".no").returncode == 1


def test_standard_input_with_copy_data():
    out = good("-q", stdin="CREATE TABLE sh_copy (a int, b text);\nCOPY sh_copy FROM STDIN;\n"
               "1\tx\n2\ty;\n\\.\nSELECT count(*) AS n, max(b) FROM sh_copy")
    assert " 2 | y;" in out, out


def test_copy_with_files():
    path = os.path.join(SERVER.dir, "it's.csv")
    quoted = path.replace("'", "''")
    good("-c", "CREATE TABLE sh_file (a int, b text)")
    good("-c", f"\\copy (SELECT g, 'to ' || g FROM generate_series(1, 3) g) TO '{quoted}' WITH (FORMAT csv, HEADER)")
    with open(path, encoding="utf-8") as f:
        assert f.read().splitlines()[1] == "1,to 1"
    assert "COPY 3" in good("-c", f"\\copy sh_file (a, b) FROM '{quoted}' WITH (FORMAT csv, HEADER)")
    assert shell("-c", "\\copy sh_file FROM /nowhere/x").returncode == 1
    assert shell("-c", "\\copy sh_file").returncode == 1


def test_single_transaction():
    good("-c", "CREATE TABLE sh_one (a int)")
    assert shell("-1", "-c", "INSERT INTO sh_one VALUES (1)", "-c", "SELECT 1 / 0").returncode == 1
    assert good("-t", "-c", "SELECT count(*) FROM sh_one").strip() == "0"
    good("-1", "-c", "INSERT INTO sh_one VALUES (1)", "-c", "INSERT INTO sh_one VALUES (2)")
    assert good("-t", "-c", "SELECT count(*) FROM sh_one").strip() == "2"


def test_describe():
    good("-c", "CREATE TABLE sh_d (id int PRIMARY KEY, v text NOT NULL DEFAULT 'x', CHECK (id > 0));"
         "CREATE INDEX sh_d_v ON sh_d (v); CREATE VIEW sh_v AS SELECT id FROM sh_d")
    out = good("-c", r"\d sh_d")
    for part in ("public.sh_d", "primary key", "sh_d_v", "not null", "'x'::text", "CHECK"):
        assert part in out, (part, out)
    assert "SELECT" in good("-c", r"\d sh_v")
    assert "sh_d" in good("-c", r"\dt sh_*") and "sh_v" not in good("-c", r"\dt sh_*")
    assert "sh_d_v" in good("-c", r"\di") and "default" in good("-c", r"\l")
    assert "lumadb" in good("-c", r"\du") and "public" in good("-c", r"\dn")
    assert "lower" in good("-c", r"\df lower")
    assert shell("-c", r"\d nothing_of_that_name").returncode == 1
    assert shell("-c", r"\fly").returncode == 1


class Terminal:
    """A person: types, and waits for what must appear."""

    def __init__(self):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # libedit keeps its copies of the names of added functions to the end.
            known = os.path.join(SERVER.dir, "leaks")
            with open(known, "w", encoding="ascii") as f:
                f.write("leak:wcsdup\n")
            os.execvpe(PROGRAM, [PROGRAM, "sql"], environment(LSAN_OPTIONS="suppressions=" + known + ":print_suppressions=0"))
        self.seen = ""

    def expect(self, pattern, seconds=20):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.seen):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} did not come: {self.seen[-500:]!r}")
            try:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                break
        match = re.search(pattern, self.seen)
        assert match, (pattern, self.seen[-500:])
        self.seen = self.seen[match.end():]

    def type(self, text):
        os.write(self.fd, text.encode())

    def leave(self):
        self.type("\\q\n")
        for _ in range(200):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it did not leave")


def test_a_person_types():
    t = Terminal()
    t.expect(r"default=> ")
    t.type("SELECT 6 *\n")
    t.expect(r"default-> ")
    t.type("7 AS answer;\n")
    t.expect(r"\b42\b")
    t.expect(r"default=> ")
    t.type("BEGIN;\n")
    t.expect(r"default=\*> ")
    t.type("SELECT oops;\n")
    t.expect(r"does not exist")
    t.expect(r"default=!> ")
    t.type("ROLLBACK;\n")
    t.expect(r"default=> ")
    t.type("\\timing\n")
    t.expect(r"timing is on")
    t.type("SELECT 'a\n")
    t.expect(r"default'> ")
    t.type("b';\n")
    t.expect(r"Time: [0-9.]+ ms")
    assert t.leave() == 0


def test_control_c_cancels_the_statement_only():
    t = Terminal()
    t.expect(r"default=> ")
    t.type("SELECT pg_sleep(60);\n")
    time.sleep(0.5)
    t.type("\x03")
    t.expect(r"canceling statement due to user request")
    t.expect(r"default=> ")
    t.type("SELECT 'still ' || 'here';\n")
    t.expect(r"still here")
    assert t.leave() == 0


def test_tab_completes_names():
    good("-c", "CREATE TABLE completely_unique_name (some_column int)")
    t = Terminal()
    t.expect(r"default=> ")
    t.type("SELECT * FROM comple\t;\n")
    t.expect(r"some_column")  # the name itself is written around moves of the cursor
    t.expect(r"\(0 rows\)")
    t.type("\\tim\t\n")
    t.expect(r"timing is on")
    assert t.leave() == 0


def test_history_is_kept():
    t = Terminal()
    t.expect(r"default=> ")
    t.type("SELECT 'remembered' AS h;\n")
    t.expect(r"\(1 row\)")
    assert t.leave() == 0
    t = Terminal()
    t.expect(r"default=> ")
    t.type("\x10\x10\n")  # twice up: \q, then the statement
    t.expect(r"\(1 row\)")
    assert t.leave() == 0


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    if not os.path.exists(os.path.join(os.path.dirname(PROGRAM), "lumadb-sql")):
        print("ok 1 - shell # SKIP built without it")
        return 0
    SERVER.start()
    SERVER.connect().close()
    try:
        return run_tap([test for name, test in sorted(globals().items()) if name.startswith("test_")])
    finally:
        SERVER.close()


if __name__ == "__main__":
    sys.exit(main())

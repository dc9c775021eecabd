"""transfer.py - `lumadb import` and `lumadb export`: round trips, types from data, bad input. TAP."""
import gzip
import io
import json
import os
import pty
import subprocess
import sys

import psycopg2.errors

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import PROGRAM, Server, cannot_serve, run_tap  # noqa: E402

SERVER = Server()


def environment():
    return os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(SERVER.port), "PGPASSWORD": "lumadb"}


def run(command, *arguments, stdin=None):
    return subprocess.run([PROGRAM, command, *arguments], input=stdin, capture_output=True,
                          env=environment(), timeout=120, check=False)


def good(command, *arguments, stdin=None):
    done = run(command, *arguments, stdin=stdin)
    assert done.returncode == 0, done
    return done.stdout


def path(name, data=None):
    where = os.path.join(SERVER.dir, name)
    if data is not None:
        with open(where, "wb") as f:
            f.write(data)
    return where


def rows(sql):
    with SERVER.connect() as c, c.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def execute(sql):
    with SERVER.connect() as c, c.cursor() as cursor:
        cursor.execute(sql)


def types(table):
    return rows("SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = "
                f"'{table}'::regclass AND attnum > 0 ORDER BY attnum")


EVERYTHING = """
CREATE TABLE {0} (id int PRIMARY KEY, b bool, i bigint, n numeric, f float8, t text, y bytea, d date,
    ts timestamp, tz timestamptz, u uuid, j json, k jsonb, a int[], s text[], iv interval, v vector(3))"""


def make_everything(table):
    execute(EVERYTHING.format(table))
    execute(f"""INSERT INTO {table} VALUES
      (1, true, -9223372036854775808, 1.10, 0.1, E'q"uo,te\\n\\ttab\\\\ \\\\N \\\\.', '\\x00ff5c', '2024-02-29',
       '2024-02-29 01:02:03.456789', '1999-12-31 23:59:59+00', '6f9619ff-8b86-d011-b42d-00c04fc964ff',
       E'{{"b" : 1.10,\\n "a":[null]}}', '{{"z": "\\u00e9", "n": 1.50}}', '{{1,NULL,-3}}',
       ARRAY['a b', '', NULL, 'NULL', E'q"\\\\'], '1 mon 2 days 03:04:05.6', '[1,2.5,-3]'),
      (2, false, 0, 12345678901234567890.000000000000000000001, 'NaN', '', '', '0001-01-01', 'infinity',
       '-infinity', NULL, 'null', '"text"', '{{}}', '{{a,b,c,d}}', '-1 day', NULL),
      (3, NULL, 7, 'NaN', '-Infinity', '日本 😀 \u00a0', NULL, NULL, NULL, NULL, NULL, '[]', '[]', NULL, NULL,
       NULL, NULL)""")
    execute(f"INSERT INTO {table} (id) VALUES (4)")
    return everything(table)


def everything(table):
    return rows(f"""SELECT id, b, i, n::text, f::text, t, y::text, d::text, ts::text, tz::text, u::text, j::text,
                    k::text, a::text, s::text, iv::text, v::text FROM {table} ORDER BY id""")


def round_trip(name, *options):
    table = name.split(".", maxsplit=1)[0]
    before = make_everything(table)
    where = path(name)
    good("export", "-t", table, "-F", "csv", *options, where)
    execute(f"ALTER TABLE {table} RENAME TO {table}_was")
    execute(EVERYTHING.format(table))
    good("import", "-t", table, "-F", "csv", *options, where)
    after = everything(table)
    assert before == after, [pair for pair in zip(before, after) if pair[0] != pair[1]]
    assert len(before) == len(after) == 4


def test_csv_gives_back_equal_values():
    round_trip("rt_csv.csv")


def test_csv_with_other_signs():
    round_trip("rt_signs.txt", "--delimiter", "|", "--null", "~", "--no-header")


def test_ndjson_gives_back_equal_values():
    before = make_everything("rt_json")
    where = path("rt.ndjson")
    good("export", "-t", "rt_json", where)
    with open(where, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    assert lines[0]["b"] is True and lines[0]["a"] == [1, None, -3] and lines[0]["n"] == 1.1, lines[0]
    assert lines[0]["s"] == ["a b", "", None, "NULL", 'q"\\'] and lines[0]["v"] == [1, 2.5, -3]
    assert lines[1]["f"] == "NaN" and lines[1]["s"] == ["a", "b", "c", "d"]
    with open(where, encoding="utf-8") as f:
        assert '"n": 1.10,' in f.read()
    execute("CREATE TABLE rt_json2 (LIKE rt_json)")
    good("import", "-t", "rt_json2", where)
    after = everything("rt_json2")
    for was, now in zip(before, after):
        was, now = list(was), list(now)
        if was[11] is not None:  # json keeps its spaces, but for line ends; JSON's null is NULL
            was[11] = None if was[11] == "null" else was[11].replace("\n", " ")
        assert was == now, (was, now)
    assert len(after) == 4


def test_compressed_files():
    execute("CREATE TABLE packed (id int, v text)")
    execute("INSERT INTO packed SELECT g, repeat('x', g % 50) FROM generate_series(1, 30000) g")
    sums = rows("SELECT count(*), sum(id), sum(length(v)) FROM packed")
    for name in ("p.csv.gz", "p.ndjson.zst", "p.csv.zst", "p.jsonl.gz"):
        where = path(name)
        good("export", "-t", "packed", where)
        execute("TRUNCATE packed")
        good("import", "-t", "packed", where)
        assert rows("SELECT count(*), sum(id), sum(length(v)) FROM packed") == sums, name
        if name.endswith(".gz"):
            with gzip.open(where) as f:
                assert f.read().count(b"\n") >= 30000
        with open(where, "rb") as f:
            data = f.read()
        cut = path("cut." + name, data[:-100])
        done = run("import", "-t", "packed", cut)
        assert done.returncode == 1 and b"ends too early" in done.stderr, done
        broken = path("broken." + name, data[:1000] + bytes(200) + data[1200:])
        assert run("import", "-t", "packed", broken).returncode == 1
    # Two members behind each other are one file; and it need not say what it is.
    two = gzip.compress(b"id,v\n1,a\n") + gzip.compress(b"2,b\n")
    execute("TRUNCATE packed")
    good("import", "-t", "packed", "-F", "csv", stdin=two)
    assert rows("SELECT * FROM packed ORDER BY id") == [(1, "a"), (2, "b")]


def test_types_come_from_the_data():
    good("import", "-t", "made", "--create", path("made.csv", b"\xef\xbb\xbfid,Price,at,ok,zip,big,who\r\n"
         b"1,1.10,2024-01-01 10:00:00,true,007,1,\r\n2,,2024-01-02,false,100,99999999999999999999,x\r\n"))
    assert types("made") == [("id", "bigint"), ("Price", "numeric"), ("at", "timestamp without time zone"),
                             ("ok", "boolean"), ("zip", "text"), ("big", "numeric"), ("who", "text")]
    assert rows('SELECT id, "Price"::text, zip, who FROM made ORDER BY id') == [
        (1, "1.10", "007", None), (2, None, "100", "x")]
    good("import", "-t", "made2", "-c", "-F", "ndjson", stdin=b'{"a": 1, "b": {"c": [1]}}\n\n'
         b'{"a": 2.5, "d": "2024-01-01T00:00:00Z"}\n')
    assert types("made2") == [("a", "numeric"), ("b", "jsonb"), ("d", "timestamp with time zone")]
    good("import", "-t", "made3", "-c", "--no-header", "-F", "csv", stdin=b"1,x\n2,y\n")
    assert types("made3") == [("column1", "bigint"), ("column2", "text")]
    good("import", "-t", "made4", "-c", "-D", "doc", "-F", "ndjson", stdin=b'{"a": 1}\n[2]\n"x"\n')
    assert types("made4") == [("doc", "jsonb")]
    assert rows("SELECT doc::text FROM made4 ORDER BY 1") == [('"x"',), ("[2]",), ('{"a": 1}',)]


def test_documents():
    execute("CREATE TABLE docs (doc json)")
    good("import", "-t", "docs", "-F", "ndjson", stdin=b'{"z": 1.10, "a": "\\u00e9"}\n{"deep": {"er": [null]}}\n')
    assert rows("SELECT doc->>'z' FROM docs WHERE doc->>'z' IS NOT NULL") == [("1.10",)]
    out = good("export", "-t", "docs", "-D", "doc", "-F", "ndjson")
    assert out == b'{"z": 1.10, "a": "\\u00e9"}\n{"deep": {"er": [null]}}\n', out
    execute("CREATE TABLE docs2 (id int DEFAULT 5, doc jsonb)")
    good("import", "-t", "docs2", "-D", "doc", "-F", "ndjson", stdin=out)
    assert rows("SELECT id, doc->>'z' FROM docs2 ORDER BY 2") == [(5, "1.10"), (5, None)]


def test_columns():
    execute("CREATE TABLE cols (id serial PRIMARY KEY, a int DEFAULT 9, b text)")
    good("import", "-t", "cols", "-C", "b,a", "-F", "csv", stdin=b"x,y\nfirst,1\n")
    good("import", "-t", "cols", "-F", "csv", stdin=b"b\nsecond\n")
    good("import", "-t", "cols", "-F", "ndjson", stdin=b'{"b": "third"}\n{"b": "fourth", "a": 4}\n')
    good("import", "-t", "cols", "-C", "b", "-F", "ndjson", stdin=b'{"b": "fifth", "a": 4, "c": 1}\n')
    assert rows("SELECT a, b FROM cols ORDER BY id") == [
        (1, "first"), (9, "second"), (None, "third"), (4, "fourth"), (9, "fifth")]
    assert good("export", "-t", "cols", "-C", "b,a", "-F", "csv").startswith(b"b,a\nfirst,1\n")
    done = run("import", "-t", "cols", "-F", "csv", stdin=b"nope\n1\n")
    assert done.returncode == 1 and b'no column "nope"' in done.stderr, done
    # A field that first comes behind what was read ahead.
    execute("CREATE TABLE late (a int, b int)")
    data = b'{"a": 1, "pad": "' + b"x" * 1000 + b'"}\n'
    execute("ALTER TABLE late ADD COLUMN pad text")
    good("import", "-t", "late", "-F", "ndjson", stdin=data * 9000 + b'{"a": 2, "b": 3}\n' + data)
    assert rows("SELECT count(*), max(b), count(pad) FROM late") == [(9002, 3, 9001)]


def test_a_query():
    out = good("export", "-Q", "SELECT g AS n, 'v' || g AS v FROM generate_series(1, 3) g -- all;", "-F", "csv")
    assert out == b"n,v\n1,v1\n2,v2\n3,v3\n", out
    assert good("export", "-Q", "VALUES (1.50, NULL)", "-F", "ndjson") == b'{"column1": 1.50, "column2": null}\n'
    done = run("export", "-Q", "SELECT 1 / 0", "-F", "csv", path("never.csv"))
    assert done.returncode == 1 and b"division by zero" in done.stderr, done
    done = run("export", "-Q", "SELECT 1 / (5000 - g) FROM generate_series(1, 9000) g", "-F", "csv", path("never.csv"))
    assert done.returncode == 1, done
    assert not [f for f in os.listdir(SERVER.dir) if f.startswith("never")]
    assert run("export", "-Q", "CREATE TABLE x (a int)", "-F", "csv").returncode == 1


def test_the_first_error_stops_and_names_line_and_text():
    execute("CREATE TABLE strict (a int PRIMARY KEY, b text)")
    where = path("strict.csv", b'a,b\n1,"two\nlines"\n2,x\nthree,"bad one"\n4,y\n')
    done = run("import", "-t", "strict", where)
    assert done.returncode == 1, done
    assert f"{where}:5: invalid input syntax".encode() in done.stderr and b'three,"bad one"' in done.stderr, done
    assert rows("SELECT count(*) FROM strict") == [(0,)]
    # A key given twice: the server does not say which of the rows it was.
    done = run("import", "-t", "strict", "-F", "csv", stdin=b"a,b\n" + b"".join(b"%d,x\n" % i for i in range(5000)) +
               b"77,twice\n" + b"".join(b"%d,x\n" % i for i in range(6000, 9000)))
    assert b"standard input:5002: duplicate key" in done.stderr and b"77,twice" in done.stderr, done
    done = run("import", "-t", "strict", "-c", "-F", "csv", stdin=b"a\n1\n")
    assert done.returncode == 1 and b"already exists" in done.stderr
    done = run("import", "-t", "gone_again", "-c", "-F", "ndjson", stdin=b'{"a": 1}\n{"a": 1\n')
    assert done.returncode == 1 and b"standard input:2: this is no JSON object" in done.stderr, done
    assert rows("SELECT to_regclass('gone_again') IS NULL") == [(True,)]


def test_errors_can_be_skipped():
    execute("CREATE TABLE loose (a int PRIMARY KEY, b text CHECK (b <> 'no'))")
    lines = [b"%d,x\n" % i for i in range(20000)]
    for at in (0, 777, 778, 12345, 19999):
        lines[at] = b"zzz,bad %d\n" % at
    lines[5000] = b"4999,twice\n"
    lines[6000] = b"6000,no\n"
    lines[7000] = b"7000,too,many\n"
    where, rejected = path("loose.csv", b"a,b\n" + b"".join(lines)), path("loose.rejected")
    done = run("import", "-t", "loose", "-e", "skip", "--rejected", rejected, where)
    assert done.returncode == 4 and b"19992 rows" in done.stderr and b"8 skipped" in done.stderr, done.stderr[-500:]
    for line in (2, 779, 780, 5002, 6002, 7002, 12347, 20001):
        assert f"{where}:{line}: ".encode() in done.stderr, (line, done.stderr)
    assert rows("SELECT count(*), count(DISTINCT a) FROM loose") == [(19992, 19992)]
    with open(rejected, "rb") as f:
        assert f.read() == b"".join(lines[i] for i in (0, 777, 778, 5000, 6000, 7000, 12345, 19999))
    done = run("import", "-t", "loose", "-e", "skip", "-F", "ndjson",
               stdin=b'{"a": 100000}\n{"a": \n{"c": 1}\n[1]\n{"a": 100001, "b": "\\ud800"}\n{"a": 100002}\n')
    assert done.returncode == 4 and b"2 rows" in done.stderr and b"4 skipped" in done.stderr, done


def test_what_no_file_should_look_like():
    execute("CREATE TABLE odd (a text, b text)")
    execute("CREATE TABLE one (a text)")
    for data in (b'a,b\n"never closed,1\n2,3\n', b"a,a\n1,2\n", b",b\n1,2\n", b"", b"\n", b"a,b\n1\n", b"a,b\n1,2,3\n",
                 b"a,b\n\xff\xfe,1\n", b"a,b\n1,\x00\n"):
        done = run("import", "-t", "odd", "-F", "csv", stdin=data)
        assert done.returncode == 1 and done.stderr, (data, done)
    done = run("import", "-t", "odd", "-F", "csv", stdin=b"a,b\n1,2\n3,\xff\n")
    assert b"standard input:3: invalid byte sequence" in done.stderr, done
    for escape in ("\\377", "\\xc3", "\\0"):  # what COPY's own escapes make is looked at as well
        with SERVER.connect() as c, c.cursor() as cursor:
            try:
                cursor.copy_expert("COPY odd FROM STDIN", io.StringIO(f"a\tb\nc\td{escape}\n"))
                raise AssertionError(escape)
            except psycopg2.errors.CharacterNotInRepertoire as error:
                assert "line 2" in str(error), error
    for data in (b"[1]\n", b"{\n", b"x\n", b'{"a": 1}}\n', b'{"a": "\x01"}\n', b"[" * 100000 + b"\n", b'{"a": "\xff"}\n'):
        done = run("import", "-t", "odd", "-F", "ndjson", stdin=data)
        assert done.returncode == 1 and done.stderr, (data, done)
        assert len(done.stderr) < 2000 and b"\x01" not in done.stderr
    assert rows("SELECT count(*) FROM odd") == [(0,)]
    good("import", "-t", "one", "-F", "csv", stdin=b"a\nx\n\\.\n\ny\n")
    assert rows("SELECT a FROM one ORDER BY a") == [("\\.",), ("x",), ("y",), (None,)]
    good("import", "-t", "odd", "-F", "csv", stdin=b"a,b\n\n1,2\n\r\n")
    assert rows("SELECT a, b FROM odd") == [("1", "2")]


def test_exit_statuses():
    assert run("import").returncode == 2
    assert run("import", "-t", "x", "nothing-in-the-name").returncode == 2
    assert run("import", "-t", "x", "-F", "xml").returncode == 2
    assert run("import", "-t", "x", "--delimiter", "ab", "x.csv").returncode == 2
    assert run("import", "-t", "x", "-Q", "SELECT 1", "x.csv").returncode == 2
    assert run("export", "-t", "x", "-Q", "SELECT 1", "x.csv").returncode == 2
    assert run("export", "-t", "x", "--create", "x.csv").returncode == 2
    assert run("import", "-t", "x", "-p", "1", "-F", "csv", stdin=b"").returncode == 3
    assert run("import", "-t", "x", "/nowhere/x.csv").returncode == 1
    assert run("export", "-t", "nothing_there", "-F", "csv").returncode == 1
    assert b"usage: lumadb import" in good("import", "--help") and b"Exit status" in good("export", "--help")
    execute("CREATE TABLE full_disk AS SELECT g FROM generate_series(1, 100000) g")
    done = run("export", "-t", "full_disk", "-F", "csv", "/dev/full")
    assert done.returncode == 1 and b"No space left" in done.stderr, done


def test_progress_is_for_terminals():
    execute("CREATE TABLE shown (a int, b text)")
    where = path("shown.csv", b"a,b\n" + b"".join(b"%d,%s\n" % (i, b"y" * 100) for i in range(400000)))
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(PROGRAM, [PROGRAM, "import", "-t", "shown", where], environment())
    seen = b""
    try:
        while True:
            seen += os.read(fd, 65536)
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert b"400000 rows" in seen, seen
    assert b"left" in seen or b"in 0." in seen, seen
    quiet = run("import", "-t", "shown", where)
    assert quiet.returncode == 0 and b"\r" not in quiet.stderr and b"left" not in quiet.stderr, quiet


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    if not os.path.exists(os.path.join(os.path.dirname(PROGRAM), "lumadb-sql")):
        print("ok 1 - transfer # SKIP built without it")
        return 0
    SERVER.start()
    SERVER.connect().close()
    try:
        return run_tap([test for name, test in sorted(globals().items()) if name.startswith("test_")])
    finally:
        SERVER.close()


if __name__ == "__main__":
    sys.exit(main())

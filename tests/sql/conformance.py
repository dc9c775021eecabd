"""conformance.py - how much of other people's tests the server passes: TAP, and docs/sql-conformance.md.

    conformance.py [DATA]            judges and compares with the floors below
    conformance.py [DATA] --write    writes docs/sql-conformance.md too

DATA is a folder with postgresql-regress, duckdb-slt and client-queries; without it they are looked for
beside the tree, and skipped where they are not.
"""
import collections
import os
import sys

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import SOURCE, Server, cannot_serve, test_data  # noqa: E402
import suite_clients  # noqa: E402
import suite_regress  # noqa: E402
import suite_slt  # noqa: E402

# Share of the judged statements that must pass, so that it only grows.
FLOORS = {"postgresql-regress": 0.80, "duckdb-slt": 0.985, "client-queries": 0.96}
ABOUT = {
    "postgresql-regress": "26 of PostgreSQL 15's regression scripts, judged statement by statement: "
                          "same output as psql prints there; of an error the message counts.",
    "duckdb-slt": "2,468 records of DuckDB's SQL logic tests that PostgreSQL passes too.",
    "client-queries": "Statements that psql, pg_dump, pgJDBC, SQLAlchemy, asyncpg, node-postgres, "
                      "TypeORM and drizzle-kit send: they must run.",
}


class Records:
    def __init__(self):
        self.rows = []

    def add(self, script, number, text, verdict, reason, *_):
        self.rows.append((script, number, " ".join(text.split())[:100], verdict, reason))

    def count(self, verdict, script=None):
        return sum(r[3] == verdict and script in (None, r[0]) for r in self.rows)

    def share(self):
        return self.count("ok") / max(1, self.count("ok") + self.count("fail"))


def open_session(server, **options):
    session = server.connect(**options)
    session.autocommit = True
    return session


def run_slt(server, root, record):
    numbers = iter(range(1, 10000))

    def fresh():
        name = f"slt{next(numbers)}"
        session = open_session(server)
        session.cursor().execute(f"CREATE SCHEMA {name}")
        session.close()
        return lambda: open_session(
            server, options=f"-c search_path={name} -c statement_timeout=5s")

    suite_slt.run(fresh, root, record)


def run_suite(name, root):
    records = Records()
    with Server() as server:
        server.connect().close()
        if name == "postgresql-regress":
            suite_regress.run(server.port, root, records.add)
        elif name == "duckdb-slt":
            run_slt(server, root, records.add)
        else:
            suite_clients.run(server.connect, root, records.add)
    return records


def section(name, records):
    ok, fail, aside = (records.count(v) for v in ("ok", "fail", "aside"))
    lines = [f"## {name}", "", ABOUT[name], "",
             f"{ok} of {ok + fail} pass ({records.share():.1%}); {aside} are set aside.", "",
             "| script | pass | fail | aside |", "|---|---|---|---|"]
    scripts = list(dict.fromkeys(r[0] for r in records.rows))
    whole = 0
    for script in scripts:
        counts = [records.count(v, script) for v in ("ok", "fail", "aside")]
        whole += counts[1] == 0
        if name != "duckdb-slt" or counts[1] > 0:
            lines.append(f"| {script} | {counts[0]} | {counts[1]} | {counts[2]} |")
    lines += ["", f"{whole} of {len(scripts)} scripts have no failure.", "", "What fails, by reason:",
              "", "| statements | reason | example |", "|---|---|---|"]
    reasons = collections.defaultdict(list)
    for row in records.rows:
        if row[3] == "fail":
            reasons[row[4]].append(row)
    for reason, rows in sorted(reasons.items(), key=lambda item: -len(item[1])):
        example = rows[0][2].replace("|", "\\|")[:70]
        lines.append(f"| {len(rows)} | {reason.replace('|', chr(92) + '|')} | "
                     f"{rows[0][0]}: `{example.replace('`', '')}` |")
    asides = collections.Counter(r[4] for r in records.rows if r[3] == "aside")
    if asides:
        lines += ["", "Set aside:", ""]
        lines += [f"- {what}: {count}" for what, count in asides.most_common()]
    return "\n".join(lines) + "\n"


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    folders = {name: os.path.join(arguments[0], name) if arguments else test_data(name) for name in FLOORS}
    if cannot_serve():
        print(cannot_serve())
        return 77
    present = [name for name, folder in folders.items() if folder and os.path.isdir(folder)]
    if not present:
        print("1..0 # SKIP no test data beside the tree, and no LUMA_TEST_DATA")
        return 0
    failed, text = 0, "# SQL conformance\n\nWritten by `tests/sql/conformance.py DATA --write`.\n"
    for number, name in enumerate(present, 1):
        try:
            records = run_suite(name, folders[name])
        except psycopg2.Error as error:
            print(f"not ok {number} - {name}: {error}", flush=True)
            failed += 1
            continue
        good = records.share() >= FLOORS[name]
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}: {records.share():.1%} of "
              f"{records.count('ok') + records.count('fail')}, {records.count('aside')} aside "
              f"(floor {FLOORS[name]:.1%})", flush=True)
        text += "\n" + section(name, records)
    print(f"1..{len(present)}")
    if "--write" in sys.argv:
        with open(os.path.join(SOURCE, "docs", "sql-conformance.md"), "w", encoding="utf-8") as f:
            f.write(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

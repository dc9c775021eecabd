"""cases.py - SQL statements and what PostgreSQL 15 answers to them. TAP, one test per statement.

tests/sql/cases/<name>.sql holds statements, each ending a line with ';'. <name>.out holds the answers
as psql prints them (errors as their SQLSTATE). `cases.py --record PORT` writes them anew from a
PostgreSQL that listens on PORT with an empty database `default`; the answers are committed.
"""
import difflib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import Server, cannot_serve  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "cases")
MARK = "@@@@ "


def statements_of(path):
    """(line number, text) of each statement; comments between statements are dropped."""
    out, lines, begun, data = [], [], 0, False
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if data:
                # The lines of COPY FROM STDIN go with their statement.
                out[-1] = (out[-1][0], out[-1][1] + line)
                data = line.rstrip() != "\\."
                continue
            if not lines and (not line.strip() or line.startswith("--")):
                continue
            if not lines:
                begun = number
            lines.append(line)
            if line.rstrip().endswith(";") or (len(lines) == 1 and line.startswith("\\")):
                out.append((begun, "".join(lines)))
                data = " FROM STDIN" in lines[-1]
                lines = []
    assert not lines, f"{path}: the last statement does not end"
    return out


def answers(path, port):
    """What psql prints for each statement."""
    statements = statements_of(path)
    script = "\\set VERBOSITY sqlstate\n\\pset pager off\n\\pset footer off\n"
    for number, (_, text) in enumerate(statements):
        script += f"\\echo {MARK}{number}\n{text}"
    environment = dict(os.environ, PGHOST="127.0.0.1", PGPORT=str(port), PGUSER="lumadb",
                       PGPASSWORD="lumadb", PGDATABASE="default", PGTZ="UTC",
                       PGCLIENTENCODING="UTF8", PSQLRC="/dev/null", LC_ALL="C.UTF-8")
    result = subprocess.run(["psql", "-X", "-q", "-f", "-"], input=script.encode(),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                            cwd=CASES, timeout=120, check=False)
    blocks, current = {}, None
    for line in result.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith(MARK):
            current = int(line[len(MARK):])
            blocks[current] = []
        elif current is not None:
            # psql names file and line before an error: not part of the answer.
            if line.startswith("psql:"):
                line = line.split(": ", 1)[1]
            blocks[current].append(line.rstrip())
    return [blocks.get(number, ["(no answer)"]) for number in range(len(statements))]


def expected_of(path):
    blocks = []
    with open(path, encoding="utf-8") as f:
        for line in f.read().splitlines():
            if line.startswith(MARK):
                blocks.append([])
            else:
                blocks[-1].append(line)
    return blocks


def known_differences():
    """Cases whose answer is known to differ, one `file:line` a row: skipped while it does."""
    path = os.path.join(CASES, "differences.txt")
    if not os.path.exists(path):
        return set()
    with open(path, encoding="ascii") as f:
        return {line.split()[0] for line in f if line.strip() and not line.startswith("#")}


def record(port):
    for name in sorted(os.listdir(CASES)):
        if name.endswith(".sql"):
            path = os.path.join(CASES, name)
            statements, got = statements_of(path), answers(path, port)
            with open(path[:-4] + ".out", "w", encoding="utf-8") as f:
                for (line, _), block in zip(statements, got):
                    f.write(f"{MARK}{name}:{line}\n")
                    f.writelines(text + "\n" for text in block)
            print(f"{name}: {len(statements)} statements")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--record":
        return record(int(sys.argv[2]))
    if cannot_serve():
        print(cannot_serve())
        return 77
    only = sys.argv[1:]
    number = failed = 0
    differences = known_differences()
    with Server() as server:
        server.connect().close()
        for name in sorted(os.listdir(CASES)):
            if not name.endswith(".sql") or (only and name[:-4] not in only):
                continue
            path = os.path.join(CASES, name)
            wanted = expected_of(path[:-4] + ".out")
            for (line, text), want, got in zip(statements_of(path), wanted, answers(path, server.port)):
                number += 1
                first = " ".join(text.split())[:60]
                if want == got:
                    print(f"ok {number} - {name}:{line} {first}", flush=True)
                    continue
                if f"{name}:{line}" in differences:
                    print(f"ok {number} - {name}:{line} {first} # SKIP a known difference",
                          flush=True)
                    continue
                failed += 1
                print(f"not ok {number} - {name}:{line} {first}", flush=True)
                for difference in list(difflib.unified_diff(want, got, "wanted", "got", n=1,
                                                            lineterm=""))[:14]:
                    print("# " + difference, flush=True)
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

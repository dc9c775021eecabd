"""hermitage.py - the isolation anomalies of github.com/ept/hermitage, each at each isolation level. TAP.

The scripts are test data that lies beside the tree: $LUMA_TEST_DATA/hermitage/postgres.md, or the
first shared/data/ above the source. A line is `statement; -- T1, what happens`; what it says is
checked at the script's own level. hermitage.expected has what PostgreSQL 15 answered at all three
levels, written by `PGPORT_PEER=... hermitage.py --record`. We must be at least as strict: the same
answers, a 40001 instead only in a script in which PostgreSQL gives one as well.
"""
import json
import os
import re
import sys

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import sessions  # noqa: E402
from lumaserver import cannot_serve, run_tap, test_data  # noqa: E402

SERVER = sessions.server()
LEVELS = ("read committed", "repeatable read", "serializable")
RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hermitage.expected")
SCRIPTS = 20


def scripts_path():
    """Where the scripts are; None: not on this machine."""
    folder = test_data("hermitage")
    return folder and os.path.join(folder, "postgres.md")


def read_scripts(path):
    """(title, steps); a step is (session, statement, remark)."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    scripts = []
    for match in re.finditer(r"([^\n]*)\n\n```sql\n(.*?)```", text, re.DOTALL):
        steps = []
        for line in match[2].splitlines():
            step = re.match(r"(.*?);\s*--\s*(T\d|[Ee]ither)[.,]?\s*(.*)$", line)
            if step:
                steps.append((step[2] if step[2][0] == "T" else "T1", step[1], step[3]))
        if steps:
            scripts.append((match[1].rstrip(":"), steps))
    return scripts


class Side:
    """One session of a script; remembers which step it still waits in."""

    def __init__(self):
        self.session = sessions.Session(SERVER)
        self.waits_at = None

    def outcome(self):
        try:
            got = self.session.end_run()
        except psycopg2.Error as error:
            return error.pgcode
        return sorted(map(list, got)) if isinstance(got, list) else got


def play(steps, level):
    """What each step gave: rows, a count or an SQLSTATE; and which steps had to wait."""
    setup = sessions.Session(SERVER)
    setup.run("drop table if exists test")
    setup.run("create table test (id int primary key, value int)")
    setup.run("insert into test (id, value) values (1, 10), (2, 20)")
    sides, outcomes, waited = {}, [None] * len(steps), []

    def settle(side):
        if side.waits_at is not None:
            outcomes[side.waits_at] = side.outcome()
            side.waits_at = None

    for at, (name, statement, _) in enumerate(steps):
        side = sides.setdefault(name, None) or Side()
        sides[name] = side
        settle(side)
        if level:
            statement = re.sub(r"isolation level [a-z ]+", "isolation level " + level, statement)
        side.waits_at = at
        if side.session.begin_run(statement, 0.25):
            waited.append(at)
        else:
            settle(side)
        for other in sides.values():
            if other is not side and other.waits_at is not None and \
                    re.match("commit|abort", statement):
                settle(other)
    for side in sides.values():
        settle(side)
        side.session.close()
    setup.close()
    return {"waited": waited, "outcomes": outcomes}


def remarked(steps, played):
    """Differences from what the script itself says."""
    wrong = []
    for at, (name, statement, remark) in enumerate(steps):
        got = played["outcomes"][at]
        if ("BLOCKS" in remark) != (at in played["waited"]):
            wrong.append(f"{name} {statement}: waited {at in played['waited']}")
        rows = [[int(k), int(v)] for k, v in re.findall(r"(\d+) => (\d+)", remark)]
        if "eturns nothing" in remark or "returns nothing" in remark:
            rows = []
        elif not rows or "deleted" in remark:
            rows = None  # (one remark of the scripts names a row that no longer has that value)
        if rows is not None and statement.startswith("select"):
            # "Still shows 1 => 10" may be said of all rows.
            same = got == rows if "where" in statement else \
                isinstance(got, list) and all(row in got for row in rows)
            if same:
                continue
            wrong.append(f"{name} {statement}: {got}, not {rows}")
        if "ERROR" in remark and "40001" not in played["outcomes"]:
            wrong.append(f"{name} {statement}: no error 40001")
    return wrong


def as_strict(steps, played, recorded):
    if played == recorded:
        return []
    ours, theirs = played["outcomes"], recorded["outcomes"]
    if "40001" in theirs and "40001" in ours and played["waited"] == recorded["waited"]:
        # Another of the transactions may be the victim; until then both saw the same.
        first = min(ours.index("40001"), theirs.index("40001"))
        if ours[:first] == theirs[:first]:
            return []
    return [f"{name} {statement}: {ours[at]}, PostgreSQL {theirs[at]}"
            for at, (name, statement, _) in enumerate(steps) if ours[at] != theirs[at]] or \
        [f"waited at {played['waited']}, PostgreSQL at {recorded['waited']}"]


def case(number, title, steps, recorded):
    def run():
        wrong = remarked(steps, play(steps, None))
        for level in LEVELS:
            got = as_strict(steps, play(steps, level), recorded[level])
            wrong += [f"{level}: {line}" for line in got]
        assert not wrong, title + "\n" + "\n".join(wrong)
        return title

    run.__name__ = f"hermitage_{number:02}"
    return run


def record(scripts):
    all_played = [{level: play(steps, level) for level in LEVELS} for _, steps in scripts]
    with open(RECORDED, "w", encoding="utf-8") as f:
        f.write("[\n")
        for number, played in enumerate(all_played):
            f.write("{" + ",\n ".join(f'"{k}": {json.dumps(v)}' for k, v in played.items()) + "}")
            f.write(",\n" if number + 1 < len(all_played) else "\n")
        f.write("]\n")


def main():
    path = scripts_path()
    if path is None:
        print("1..0 # SKIP the scripts of hermitage are not on this machine")
        return 77
    if not sessions.PEER and cannot_serve():
        print(cannot_serve())
        return 77
    scripts = read_scripts(path)
    assert len(scripts) == SCRIPTS, f"{len(scripts)} scripts"
    try:
        SERVER.start()
        if "--record" in sys.argv:
            record(scripts)
            return 0
        with open(RECORDED, encoding="utf-8") as f:
            recorded = json.load(f)
        return run_tap([case(n, title, steps, recorded[n - 1])
                        for n, (title, steps) in enumerate(scripts, 1)])
    finally:
        SERVER.close()


if __name__ == "__main__":
    sys.exit(main())

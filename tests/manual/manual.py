"""manual.py - runs the blocks of docs/manual.md in order against one server.

`sql` goes to psql, `sh` to a shell in an empty folder with PGHOST and friends set; an `output` block
after one is what it must print. Blocks without a language are for reading.
"""
import difflib
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import lumaserver  # pylint: disable=wrong-import-position

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(path):
    """(line, language, text, expected output or None) of each block that is run."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    found = [(text[:m.start()].count("\n") + 1, m[1], m[2]) for m in BLOCK.finditer(text)]
    for i, (line, language, body) in enumerate(found):
        if language in ("sql", "sh"):
            expected = found[i + 1][2] if found[i + 1:] and found[i + 1][1] == "output" else None
            yield line, language, body, expected


def run(language, body, folder, env):
    command = ["psql", "-X"] if language == "sql" else ["bash", "-eu"]
    done = subprocess.run(command, input=body, capture_output=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, cwd=folder, env=env, timeout=60,
                          check=False)
    return done.stdout


def environment(server):
    return os.environ | {
        "PATH": os.path.dirname(lumaserver.PROGRAM) + os.pathsep + os.environ["PATH"],
        "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "lumadb",
        "PGPASSWORD": "lumadb", "PGDATABASE": "default", "PGTZ": "UTC",
        "LUMA_HTTP": f"127.0.0.1:{server.http_port}",
        "LUMA_METRICS": f"127.0.0.1:{server.metrics_port}"}


def normal(text):
    """Locations in error reports are ours, not the reader's."""
    lines = [line for line in text.splitlines() if not line.startswith("LOCATION:")]
    return "\n".join(lines).strip("\n")


def main():
    manual = os.path.join(lumaserver.SOURCE, "docs", "manual.md")
    todo = list(blocks(manual))
    failed = 0
    print(f"1..{len(todo)}", flush=True)
    with lumaserver.Server() as server, tempfile.TemporaryDirectory() as folder:
        server.connect().close()
        env = environment(server)
        for number, (line, language, body, expected) in enumerate(todo, 1):
            name = f"{number} - docs/manual.md:{line} ({language})"
            got = run(language, body, folder, env)
            if expected is None or normal(got).endswith(normal(expected)):
                print(f"ok {name}", flush=True)
                continue
            failed += 1
            print(f"not ok {name}", flush=True)
            for diff in difflib.unified_diff(normal(expected).splitlines(), normal(got).splitlines(),
                                             "the manual", "the server", lineterm=""):
                print(f"# {diff}")
    return 1 if failed else 0


sys.exit(main())

"""suite_regress.py - PostgreSQL's regression scripts, judged statement by statement.

psql echoes the lines it reads, in the expected output too: what stands between the echo of a statement's
last line and the next statement's first one is its answer.
"""
import os
import re
import subprocess

# In the order of PostgreSQL's schedule; test_setup makes the tables that the others share.
SCRIPTS = ["test_setup", "boolean", "text", "varchar", "int2", "int4", "uuid", "enum", "date",
           "timestamp", "interval", "case", "select", "select_having", "subselect", "union",
           "delete", "drop_if_exists", "update", "insert_conflict", "limit", "prepare",
           "returning", "btree_index", "jsonb", "jsonpath"]
FLAGS = {"PGTZ": "PST8PDT", "PGDATESTYLE": "Postgres, MDY",
         "PGOPTIONS": "-c intervalstyle=postgres_verbose -c statement_timeout=5s"}

# What the product refuses by design, or whose text is its own: not judged.
ASIDE = [("EXPLAIN", re.compile(r"^\s*explain\b", re.I)),
         ("PL/pgSQL, triggers, C functions",
          re.compile(r"plpgsql|language\s+'?(c|internal|plpgsql)'?\b|\btrigger\b|^\s*do\s", re.I)),
         ("rules, inheritance, partitions",
          re.compile(r"create\s+(or\s+replace\s+)?rule|\binherits?\b|partition\s+(by|of)|"
                     r"attach\s+partition|\\d\+? ", re.I)),
         ("operators, casts, aggregates, access methods of one's own",
          re.compile(r"create\s+(operator|cast|aggregate|access|conversion|transform|language|"
                     r"extension|server|foreign|text\s+search|policy|event)", re.I))]


def statements(text):
    """(first line, last line) of each statement or backslash command, from 0; and the numbers of lines
    that are data of COPY, which psql does not echo."""
    found, begun, quote, depth, data, silent = [], None, None, 0, False, set()
    for number, line in enumerate(text.split("\n")):
        if data:
            data = line.rstrip() != "\\."
            silent.add(number)
            continue
        if begun is None:
            if not line.strip() or (line.lstrip().startswith("--")):
                continue
            if line.startswith("\\"):
                found.append((number, number))
                continue
            begun = number
        ended, i = False, 0
        while i < len(line):
            rest = line[i:]
            if quote:
                if rest.startswith(quote):
                    i += len(quote) - 1
                    quote = None
            elif rest.startswith("--"):
                break
            elif rest[0] in "'\"":
                quote = rest[0]
            elif re.match(r"\$\w*\$", rest):
                quote = re.match(r"\$\w*\$", rest).group(0)
                i += len(quote) - 1
            elif rest[0] == "(":
                depth += 1
            elif rest[0] == ")":
                depth -= 1
            elif rest[0] == ";" and depth <= 0:
                ended = True
            elif rest[0] == "\\" and re.match(r"\\g|\\crosstab", rest):
                ended = True
            i += 1
        if ended and not quote:
            found.append((begun, number))
            data = bool(re.search(r"\bfrom\s+stdin\b", "\n".join(text.split("\n")[begun:number + 1]),
                                  re.I))
            begun, depth = None, 0
    return found, silent


def answers(script, output, spans, silent):
    """The answer to each statement; None: the output ends before it."""
    lines, out = script.split("\n"), output.split("\n")
    position = 0
    ends = [None] * len(lines)
    for number, line in enumerate(lines):
        if not line.strip() or number in silent:
            continue  # psql does not echo blank lines between statements either
        try:
            at = out.index(line, position)
        except ValueError:
            break
        ends[number] = at
        position = at + 1
    result = []
    for first, last in spans:
        if ends[last] is None:
            result.append(None)
            continue
        following = next((ends[n] for n in range(last + 1, len(lines)) if ends[n] is not None),
                         len(out))
        result.append([text.rstrip() for text in out[ends[last] + 1:following]])
    return result


def client_copies(script, root):
    """COPY from a file of the server becomes psql's \\copy: the product reads no files for clients.
    Also gives what to put back into the output."""
    path, lines, renamed = None, [], []
    for line in script.split("\n"):
        named = re.match(r"\\set filename :abs_srcdir '([^']*)'", line)
        copied = re.match(r"(?i)copy (.*?) from :'filename'(.*?);$", line)
        if named:
            path = root + named.group(1)
        if copied and path:
            new = f"\\copy {copied.group(1)} from '{path}'{copied.group(2)}"
            renamed.append((new, line))
            line = new
        lines.append(line)
    return "\n".join(lines), renamed


def run_script(port, root, name, database="default"):
    with open(os.path.join(root, "sql", name + ".sql"), encoding="utf-8") as f:
        script = f.read()
    environment = dict(os.environ, **FLAGS, PGHOST="127.0.0.1", PGPORT=str(port), PGUSER="lumadb",
                       PGPASSWORD="lumadb", PGDATABASE=database, PG_ABS_SRCDIR=root,
                       PG_LIBDIR="/nowhere", PG_DLSUFFIX=".so", PSQLRC="/dev/null",
                       LC_ALL="C.UTF-8", PGCLIENTENCODING="UTF8")
    told, renamed = client_copies(script, root)
    try:
        done = subprocess.run(["psql", "-X", "-a", "-q"], input=told.encode(), env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              cwd=root, check=False)
        output = done.stdout
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
    text = output.decode("utf-8", "replace")
    for new, old in renamed:
        text = text.replace(new, old, 1)
    return script, text


def first_difference(want, got):
    if got is None:
        return "no answer"
    for line in got:
        if line.startswith("ERROR:") and line not in want:
            return re.sub(r'"[^"]*"', '"..."', line)
    for line in want:
        if line.startswith("ERROR:") and line not in got:
            return "not refused: " + re.sub(r'"[^"]*"', '"..."', line)
    return "another answer"


def message(answer):
    """Of an error its message alone: position, detail, hint and context are worded freely."""
    for number, line in enumerate(answer):
        if line.startswith("ERROR:"):
            return answer[:number] + [line]
    return answer


def aside(text):
    for what, pattern in ASIDE:
        if pattern.search(text):
            return what
    return None


def made(text):
    """The name of a table that the statement makes, or None."""
    found = re.search(r"(?i)create\s+(?:temp\s+|temporary\s+|unlogged\s+)?(?:table|function)\s+"
                      r"(?:if\s+not\s+exists\s+)?(\w+)", text)
    return found.group(1) if found else None


def depends(text, absent):
    """Why a statement is set aside because of what it uses, or None."""
    for name, why in absent.items():
        if re.search(r"\b" + re.escape(name) + r"\b", text):
            return why
    return None


def run(port, root, record):
    """record(suite, script, position, text, verdict, reason); verdict: ok, fail or aside."""
    for name in SCRIPTS:
        script, output = run_script(port, root, name)
        expected_path = os.path.join(root, "expected", name + ".out")
        if not os.path.exists(expected_path):
            continue  # it only prepares
        with open(expected_path, encoding="utf-8") as f:
            expected = f.read()
        spans, silent = statements(script)
        lines = script.split("\n")
        absent = {}
        for (first, last), want, got in zip(spans, answers(script, expected, spans, silent),
                                            answers(script, output, spans, silent)):
            text = "\n".join(lines[first:last + 1])
            if want is None:
                record(name, first + 1, text, "aside", "not in the expected output")
            elif got is not None and message(got) == message(want):
                record(name, first + 1, text, "ok", "")
            elif aside(text) or depends(text, absent):
                why = aside(text) or depends(text, absent)
                record(name, first + 1, text, "aside", why)
                if aside(text) and made(text):
                    absent[made(text)] = why
            else:
                record(name, first + 1, text, "fail", first_difference(want, got), want, got)

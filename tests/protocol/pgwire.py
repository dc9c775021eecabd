"""pgwire.py - the PostgreSQL protocol of frontend/pgwire, over a toy language: TAP."""
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

from pgclient import (FLUSH, SYNC, Client, Closed, bind, close, describe, error, execute, fields,
                      message, parse, query, rows, tags, text)
from toy import Toy, run

PG = Toy("pgwire", "max_connections=40", "auth_timeout=1000000000")


def refused(port=None, **arguments):
    try:
        Client(PG.port if port is None else port, **arguments).close()
    except AssertionError as failure:
        return failure.args[0]
    raise AssertionError("let in")


def start_up_tells_the_parameters():
    c = Client(PG.port, options=(("application_name", "me"), ("DateStyle", "ISO, DMY")))
    assert c.parameters["server_version"].startswith("15.0 (LumaDB"), c.parameters
    assert c.parameters["application_name"] == "me"
    assert c.parameters["DateStyle"] == "ISO, DMY"
    for name in ("client_encoding", "server_encoding", "integer_datetimes", "TimeZone",
                 "standard_conforming_strings", "IntervalStyle", "is_superuser",
                 "session_authorization", "in_hot_standby", "default_transaction_read_only"):
        assert name in c.parameters, name
    assert c.parameters["is_superuser"] == "on"
    assert c.startup_messages[-1] == (b"Z", b"I")
    c.close()


def wrong_names_and_passwords_are_refused_alike():
    assert refused(password="wrong")["C"] == "28P01"
    known, unknown = refused(password="wrong"), refused(user="nobody", password="pencil")
    assert known["C"] == unknown["C"] and known["S"] == "FATAL"
    assert refused(database="nowhere")["C"] == "3D000"
    assert refused(user="")["C"] == "28000"
    assert refused(options=(("no_such_setting", "1"),))["C"] == "42704"
    assert refused(options=(("replication", "true"),))["C"] == "0A000"
    assert refused(options=(("client_encoding", "KOI8"),))["C"] == "22023"
    assert refused(version=2 << 16)["C"] == "0A000"


def startup_options_are_settings():
    c = Client(PG.port, options=(("options", "-c statement_timeout=5s --work-mem=8MB"),))
    assert rows(c.ask(query("show statement_timeout"))) == [[b"5s"]]
    assert rows(c.ask(query("show work_mem"))) == [[b"8MB"]]
    c.close()


def newer_minor_versions_are_negotiated():
    c = Client(PG.port, version=196609, options=(("_pq_.compression", "on"),))
    kind, body = c.startup_messages[0]
    assert kind == b"v" and struct.unpack("!II", body[:8]) == (196608, 1), (kind, body)
    assert body[8:] == b"_pq_.compression\0"
    c.close()


def encryption_requests_without_a_certificate_hear_no():
    for code in (80877103, 80877104):
        c = Client(PG.port, start=False)
        c.send(struct.pack("!II", 8, code))
        assert c.sock.recv(1) == b"N"
        c.start("lumadb", "pencil", "default", (), 196608)
        assert c.shape(query("select 1")) == "TDCZ"
        c.close()


def tls_with_channel_binding():
    with tempfile.TemporaryDirectory() as folder:
        pem = os.path.join(folder, "pem")
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                               "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem, "-out",
                               pem + ".cert", "-days", "2", "-subj", "/CN=localhost"],
                              capture_output=True, check=False)
        if made.returncode != 0:
            return "SKIP openssl cannot make a certificate"
        with Toy("pgwire", f"cert={pem}.cert", f"key={pem}") as toy:
            c = Client(toy.port, tls=True)
            assert rows(c.ask(query("select 7"))) == [[b"7"]]
            assert len(rows(c.ask(query("rows 20000")))) == 20000
            c.close()
            c = Client(toy.port, start=False)
            c.send(struct.pack("!II", 8, 80877103) + b"smuggled plain text")
            assert c.sock.recv(1) == b"S"
            assert c.closed()
            Client(toy.port).close()
    return None


def a_cancel_request_stops_a_statement():
    c = Client(PG.port)
    c.send(query("sleep 10000"))
    time.sleep(0.1)
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", PG.port)) as other:
        other.sendall(struct.pack("!IIII", 16, 80877102, c.key[0], c.key[1] ^ 1))
        assert other.recv(1) == b""
    time.sleep(0.1)
    with socket.create_connection(("127.0.0.1", PG.port)) as other:
        other.sendall(struct.pack("!IIII", 16, 80877102, *c.key))
        assert other.recv(1) == b""
    found = error(c.until_ready())
    assert found["C"] == "57014" and "user request" in found["M"], found
    assert time.monotonic() - begun < 5
    assert rows(c.ask(query("select 3"))) == [[b"3"]]
    c.close()


def simple_queries():
    c = Client(PG.port)
    assert c.shape(query("select 1")) == "TDCZ"
    assert c.shape(query("")) == "IZ"
    assert c.shape(query(" ; ;")) == "IZ"
    assert c.shape(query("select 1; insert; rows 2")) == "TDCCTDDCZ"
    answer = c.ask(query("rows 3; insert"))
    assert tags(answer) == ["SELECT 3", "INSERT 0 1"]
    assert rows(answer)[2] == [b"2", b"row 2", b"0.5"]
    assert c.shape(query("notice hello")) == "NCZ"
    assert c.shape(query("set application_name x")) == "SCZ"
    assert c.shape(message(b"Q", b"no end")) == "EZ"
    c.close()


def errors_carry_all_their_fields():
    c = Client(PG.port)
    found = error(c.ask(query("fail 22012 division by zero")))
    wanted = {"S": "ERROR", "V": "ERROR", "C": "22012", "M": "division by zero",
              "D": "the detail", "H": "the hint", "P": "7", "s": "s", "t": "t", "c": "c",
              "d": "d", "n": "n", "F": "toy.c", "R": "DATA"}
    assert all(found.get(k) == v for k, v in wanted.items()), found
    assert int(found["L"]) > 0
    answer = c.ask(query("insert; fail 23505 twice; insert"))
    assert tags(answer) == ["INSERT 0 1"] and error(answer)["C"] == "23505"
    assert error(c.ask(query("nonsense")))["C"] == "42601"
    assert c.shape(query("select 1")) == "TDCZ"
    c.close()


def a_commit_that_fails_says_no_success():
    c = Client(PG.port)
    answer = c.ask(query("broken commit"))
    assert tags(answer) == [] and error(answer)["C"] == "58030", answer
    c.send(parse("", "broken commit") + bind("", "") + execute("") + SYNC)
    answer = c.until_ready()
    assert error(answer)["C"] == "58030" and answer[-1] == (b"Z", b"I")
    c.close()


def blocks_show_in_ready_for_query():
    c = Client(PG.port)
    assert c.ask(query("begin"))[-1] == (b"Z", b"T")
    assert c.ask(query("fail 22000 x"))[-1] == (b"Z", b"E")
    answer = c.ask(query("select 1"))
    assert error(answer)["C"] == "25P02" and answer[-1] == (b"Z", b"E")
    answer = c.ask(query("commit"))
    assert tags(answer) == ["ROLLBACK"] and answer[-1] == (b"Z", b"I")
    answer = c.ask(query("commit"))
    assert any(kind == b"N" for kind, _ in answer) and tags(answer) == ["COMMIT"]
    c.ask(query("begin; savepoint a"))
    c.ask(query("fail 22000 x"))
    assert c.ask(query("rollback to a"))[-1] == (b"Z", b"T")
    c.ask(query("rollback"))
    c.close()


def prepared_statements():
    c = Client(PG.port)
    assert c.shape(parse("s", "lookup $1", [23]) + describe(b"S", "s") + SYNC) == "1tTZ"
    data = bind("", "s", [b"42"]) + describe(b"P", "") + execute("") + SYNC
    assert c.shape(data) == "2TDCZ"
    assert rows(c.ask(bind("", "s", [b"-17"]) + execute("") + SYNC)) == [[b"-17"]]
    answer = c.ask(bind("", "s", [struct.pack("!i", 99)], [1], [1]) + execute("") + SYNC)
    assert rows(answer) == [[struct.pack("!i", 99)]]
    assert error(c.ask(parse("s", "select 1") + SYNC))["C"] == "42P05"
    assert c.shape(close(b"S", "s") + parse("s", "insert") + describe(b"S", "s") + SYNC) == "31tnZ"
    assert error(c.ask(bind("", "none") + SYNC))["C"] == "26000"
    assert error(c.ask(describe(b"P", "none") + SYNC))["C"] == "34000"
    assert error(c.ask(execute("none") + SYNC))["C"] == "34000"
    assert c.shape(parse("", "") + bind("", "") + describe(b"P", "") + execute("") + SYNC) == "12nIZ"
    assert error(c.ask(parse("e", "echo $1 $2") + bind("", "e", [b"x"]) + SYNC))["C"] == "08P01"
    assert error(c.ask(bind("", "e", [b"x", b"y"], [0, 0, 0]) + SYNC))["C"] == "08P01"
    assert error(c.ask(bind("", "e", [b"x", b"y"], [7]) + SYNC))["C"] == "08P01"
    assert rows(c.ask(bind("", "e", [b"x", None]) + execute("") + SYNC)) == [[b"x", None]]
    c.close()


def text_and_binary_of_many_types():
    cases = [(16, b"t", b"\1"), (21, b"-5", struct.pack("!h", -5)),
             (23, b"2147483647", struct.pack("!i", 2147483647)),
             (23, b"-2147483648", struct.pack("!i", -2147483648)),
             (20, b"-9223372036854775808", struct.pack("!q", -2 ** 63)),
             (20, b"1000000000000", struct.pack("!q", 10 ** 12)),
             (700, b"0.5", struct.pack("!f", 0.5)), (701, b"-1.25", struct.pack("!d", -1.25)),
             (25, "Grüße".encode(), "Grüße".encode()), (25, b"", b""),
             (1043, b"a longer text than is kept inline", b"a longer text than is kept inline"),
             (17, b"\\x00ff", b"\x00\xff"), (1082, b"2000-01-02", struct.pack("!i", 1)),
             (1083, b"00:00:01", struct.pack("!q", 1000000)),
             (1114, b"2000-01-01 00:00:01", struct.pack("!q", 1000000)),
             (2950, b"00112233-4455-6677-8899-aabbccddeeff",
              bytes.fromhex("00112233445566778899aabbccddeeff")),
             (1700, b"12345.678", struct.pack("!HhHHHHH", 3, 1, 0, 3, 1, 2345, 6780)),
             (1700, b"NaN", struct.pack("!HhHH", 0, 0, 0xC000, 0))]
    c = Client(PG.port)
    for oid, as_text, as_binary in cases:
        c.ask(parse("", "echo $1", [oid]) + SYNC)
        for value, code in ((as_text, 0), (as_binary, 1)):
            for wanted, result in ((as_text, 0), (as_binary, 1)):
                answer = c.ask(bind("", "", [value], [code], [result]) + execute("") + SYNC)
                assert rows(answer) == [[wanted]], (oid, value, code, result, answer)
    c.ask(parse("", "echo $1", [23]) + SYNC)
    assert error(c.ask(bind("", "", [b"12x"]) + SYNC))["C"] == "22P02"
    assert error(c.ask(bind("", "", [b"99999999999"]) + SYNC))["C"] == "22003"
    assert error(c.ask(bind("", "", [b"abc"], [1]) + SYNC))["C"] in ("08P01", "22P03")
    c.close()


def portals_with_row_limits():
    c = Client(PG.port)
    c.ask(query("begin"))
    start = parse("", "rows 5000") + bind("p", "") + execute("p", 3) + SYNC
    answer = c.ask(start)
    assert [k for k, _ in answer] == [b"1", b"2", b"D", b"D", b"D", b"s", b"Z"]
    answer = c.ask(execute("p", 4000) + SYNC)
    assert len(rows(answer)) == 4000 and answer[-2][0] == b"s"
    assert rows(answer)[0][0] == b"3"
    other = c.ask(parse("q", "select 8") + bind("", "q") + execute("") + SYNC)
    assert rows(other) == [[b"8"]]
    answer = c.ask(execute("p") + SYNC)
    assert len(rows(answer)) == 997 and tags(answer) == ["SELECT 997"], tags(answer)
    assert tags(c.ask(execute("p") + SYNC)) == ["SELECT 0"]
    assert error(c.ask(bind("p", "q") + SYNC))["C"] == "42P03"
    c.ask(query("rollback"))
    assert error(c.ask(execute("p") + SYNC))["C"] == "34000"
    # Outside a block a portal ends at Sync.
    c.ask(parse("", "rows 10") + bind("p", "") + execute("p", 2) + SYNC)
    assert error(c.ask(execute("p") + SYNC))["C"] == "34000"
    # Its statement may go before it.
    c.ask(query("begin"))
    c.ask(parse("s", "rows 10") + bind("p", "s") + execute("p", 2) + SYNC)
    c.ask(close(b"P", "p") + close(b"S", "s") + SYNC)
    c.ask(query("rollback"))
    c.close()


def after_an_error_the_pipeline_is_skipped_to_its_sync():
    c = Client(PG.port)
    bad = parse("", "nonsense") + bind("", "") + execute("") + describe(b"S", "x") + SYNC
    good = parse("", "select 5") + bind("", "") + execute("") + SYNC
    c.send(bad + good)
    first, second = c.until_ready(), c.until_ready()
    assert [k for k, _ in first] == [b"E", b"Z"]
    assert rows(second) == [[b"5"]]
    c.send(parse("", "insert") + bind("", "") + execute("") + execute("none") + SYNC)
    answer = c.until_ready()
    assert [k for k, _ in answer] == [b"1", b"2", b"C", b"E", b"Z"]
    assert c.ask(SYNC) == [(b"Z", b"I")]
    c.close()


def a_pipeline_is_answered_in_order_and_flush_brings_what_is_there():
    c = Client(PG.port)
    c.ask(parse("s", "lookup $1", [23]) + SYNC)
    count = 5000
    writer = threading.Thread(target=c.send, args=(b"".join(
        bind("", "s", [str(i).encode()]) + execute("") + SYNC for i in range(count)),))
    writer.start()
    for i in range(count):
        assert rows(c.until_ready()) == [[str(i).encode()]], i
    writer.join()
    c.send(parse("", "select 1") + FLUSH)
    assert c.read()[0] == b"1"
    c.send(bind("", "") + FLUSH)
    assert c.read()[0] == b"2"
    c.send(b"E\0\0")  # half a message: what is answered already is not held back
    c.send(b"\0\x09\0\0\0\0\0" + SYNC)
    assert rows(c.until_ready()) == [[b"1"]]
    c.close()


def copy_in_and_out():
    c = Client(PG.port)
    c.send(query("copy in"))
    assert c.read()[0] == b"G"
    for _ in range(1000):
        c.send(message(b"d", b"one\ntwo\n"))
    c.send(message(b"d", b"x" * 300000 + b"\n") + message(b"d") + message(b"c"))
    assert tags(c.until_ready()) == ["COPY 2001"]
    c.send(query("copy in"))
    c.read()
    c.send(message(b"d", b"a\n") + message(b"f", text("I changed my mind")))
    found = error(c.until_ready())
    assert found["C"] == "57014" and "changed my mind" in found["M"]
    c.send(query("copy in"))
    c.read()
    c.send(message(b"d", b"bad!\n"))
    assert error(c.until_ready())["C"] == "22P04"
    c.send(message(b"d", b"more\n") * 100 + message(b"c"))  # the rest is thrown away
    assert rows(c.ask(query("select 1"))) == [[b"1"]]
    answer = c.ask(query("copy out 50000"))
    data = b"".join(body for kind, body in answer if kind == b"d")
    assert answer[0][0] == b"H" and data.count(b"\n") == 50000 and tags(answer) == ["COPY 50000"]
    # Extended: the Sync that follows Execute at once does not end the COPY.
    c.send(parse("", "copy in") + bind("", "") + execute("") + SYNC)
    while c.read()[0] != b"G":
        pass
    c.send(message(b"d", b"1\n2\n3\n") + message(b"c") + SYNC)
    assert tags(c.until_ready()) == ["COPY 3"]
    c.send(query("copy in"))
    c.read()
    c.send(query("select 1"))  # no place for it
    assert error(c.until_ready())["C"] == "08P01"
    c.close()


def invalid_utf8_is_named():
    c = Client(PG.port)
    found = error(c.ask(query(b"select \xff\xfe")))
    assert found["C"] == "22021" and "0xff" in found["M"], found
    assert error(c.ask(parse("", b"\xc3\x28") + SYNC))["C"] == "22021"
    c.ask(parse("", "echo $1", [25]) + SYNC)
    assert error(c.ask(bind("", "", [b"\x80"]) + SYNC))["C"] == "22021"
    assert c.shape(query("select 1")) == "TDCZ"
    c.close()


def function_calls_are_refused_and_the_session_goes_on():
    c = Client(PG.port)
    assert error(c.ask(message(b"F", b"\0" * 10)))["C"] == "0A000"
    assert c.shape(query("select 1")) == "TDCZ"
    c.close()


def violations_end_one_session_only():
    witness = Client(PG.port)
    for data in (message(b"?"), b"Q\0\0\0\3", b"Q\x7f\xff\xff\xff", b"Q\x40\0\0\0", b"\0" * 50,
                 b"Q\xff\xff\xff\xff" + b"x" * 100):
        c = Client(PG.port)
        c.send(data)
        kind, body = c.read()
        found = fields(body)
        assert kind == b"E" and found["S"] == "FATAL" and found["C"] == "08P01", (data, found)
        assert c.closed()
    for body in (b"", b"\0", b"s\0", b"s\0select 1\0", b"s\0select 1\0\xff\xff", b"\0\0\0\1\0"):
        for kind in (b"P", b"B", b"D", b"E", b"C"):
            c = Client(PG.port)
            c.ask(message(kind, body) + SYNC)
            assert c.shape(query("select 1")) == "TDCZ", (kind, body)
            c.close()
    assert rows(witness.ask(query("select 1"))) == [[b"1"]]
    witness.close()


def bad_startup_packets_end_quietly():
    for data in (b"", b"\0", b"\0\0\0\4", b"\0\0\0\7abc", struct.pack("!II", 1 << 30, 196608),
                 struct.pack("!II", 9, 196608) + b"x", struct.pack("!II", 8, 196608),
                 struct.pack("!II", 8, 80877103) * 10, b"GET / HTTP/1.1\r\n\r\n",
                 os.urandom(500), struct.pack("!II", 13, 196608) + b"user\0"):
        c = Client(PG.port, start=False, timeout=5)
        c.send(data)
        c.sock.shutdown(socket.SHUT_WR)
        assert c.closed(), data
    c = Client(PG.port, start=False, timeout=5)  # silence has an end before login
    assert c.closed()
    assert Client(PG.port).shape(query("select 1")) == "TDCZ"


def damaged_scram_messages_are_refused():
    def attempt(first, final=None):
        c = Client(PG.port, start=False)
        body = struct.pack("!I", 196608) + b"user\0lumadb\0database\0default\0\0"
        c.send(struct.pack("!I", len(body) + 4) + body)
        c.read()
        c.send(message(b"p", first))
        kind, answer = c.read()
        if kind != b"E" and final is not None:
            c.send(message(b"p", final(answer[4:])))
            kind, answer = c.read()
        assert kind == b"E", (first, kind, answer)
        assert c.closed()
        return fields(answer)["C"]

    def first(data, mechanism=b"SCRAM-SHA-256"):
        return mechanism + b"\0" + struct.pack("!I", len(data)) + data

    assert attempt(first(b"n,,n=,r=abc", b"MD5")) == "08P01"
    assert attempt(first(b"n,,n=,r=abc", b"SCRAM-SHA-256-PLUS")) == "08P01"
    for data in (b"", b"n", b"n,,", b"x,,n=,r=a", b"n,,r=a", b"n,,n=,r=", b"n,,m=1,n=,r=a",
                 b"p=tls-unique,,n=,r=a", b"n,,n=,r=\x01", b"n,,n=,r=" + b"a" * 900):
        attempt(first(data))
    attempt(b"SCRAM-SHA-256\0\0\0\xff\xffn,,n=,r=a")
    attempt(b"")
    nonce = b"abcdef"
    for final in (b"", b"c=biws", b"c=biws,r=other,p=AAAA", b"c=eSws,r=%s,p=AAAA",
                  b"c=biws,r=%s,p=", b"c=biws,r=%s,p=AAAA", b"c=biws,r=%s,p=" + b"A" * 43 + b"="):
        def damaged(server_first, final=final):
            whole = server_first.split(b",")[0][2:]
            return final.replace(b"%s", whole)
        attempt(first(b"n,,n=,r=" + nonce), damaged)


def one_client_too_many_hears_53300():
    held = []
    try:
        while len(held) < 60:
            held.append(Client(PG.port))
    except (AssertionError, Closed) as failure:
        assert failure.args[0]["C"] == "53300", failure
    assert 30 <= len(held) <= 40, len(held)
    for c in held:
        c.close()
    time.sleep(0.2)
    Client(PG.port).close()


def timeouts_of_silence_and_statements():
    c = Client(PG.port)
    c.ask(query("set statement_timeout 50ms"))
    found = error(c.ask(query("sleep 10000")))
    assert found["C"] == "57014" and "statement timeout" in found["M"]
    c.ask(query("set idle_in_transaction_session_timeout 50ms"))
    c.ask(query("begin"))
    kind, body = c.read()
    assert kind == b"E" and fields(body)["C"] == "25P03" and c.closed()
    c = Client(PG.port)
    c.ask(query("set idle_session_timeout 50ms"))
    kind, body = c.read()
    assert kind == b"E" and fields(body)["C"] == "57P05" and c.closed()


def a_stopping_server_says_goodbye():
    with Toy("pgwire") as toy:
        idle, busy = Client(toy.port), Client(toy.port)
        busy.send(query("sleep 300"))
        time.sleep(0.1)
        toy.process.stdin.close()
        kind, body = idle.read()
        assert kind == b"E" and fields(body)["C"] == "57P01" and idle.closed()
        assert tags(busy.until_ready()) == ["SLEEP"]
        kind, body = busy.read()
        assert kind == b"E" and fields(body)["C"] == "57P01"


def random_bytes_after_login():
    seed = int(os.environ.get("LUMA_TEST_SEED", "1"))
    import random  # pylint: disable=import-outside-toplevel
    rng = random.Random(seed)
    for _ in range(200):
        c = Client(PG.port, timeout=2)
        data = b""
        for _ in range(rng.randrange(1, 8)):
            body = rng.randbytes(rng.randrange(0, 80))
            data += message(bytes([rng.choice(b"PBDECHSQFdcfpX")]), body)
        try:
            c.send(data + SYNC)
            c.sock.settimeout(0.01)
            c.sock.recv(65536)
        except OSError:
            pass
        c.close()
    assert PG.alive()
    assert Client(PG.port).shape(query("select 1")) == "TDCZ"
    return f"seed {seed}"


def psql_and_pgbench_connect():
    environment = os.environ | {"PGPASSWORD": "pencil"}
    where = ["-h", "127.0.0.1", "-p", str(PG.port), "-U", "lumadb"]
    try:
        out = subprocess.run(["psql", "-XAt", *where, "-d", "default", "-c", "rows 3"],
                             capture_output=True, text=True, env=environment, check=True).stdout
        assert out == "0|row 0|0\n1|row 1|0.25\n2|row 2|0.5\n", out
    except FileNotFoundError:
        return "SKIP no psql"
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\\set a random(1, 1000)\nlookup :a;\n")
        script.flush()
        for mode in ("simple", "extended", "prepared"):
            done = subprocess.run(["pgbench", *where, "-n", "-M", mode, "-c", "8", "-j", "2", "-t",
                                   "200", "-f", script.name, "default"], capture_output=True,
                                  text=True, env=environment, check=False)
            assert done.returncode == 0 and " 1600/1600" in done.stdout, done.stdout + done.stderr
    return None


def the_server_ends_cleanly():
    PG.stop()


run([start_up_tells_the_parameters, wrong_names_and_passwords_are_refused_alike,
     startup_options_are_settings, newer_minor_versions_are_negotiated,
     encryption_requests_without_a_certificate_hear_no, tls_with_channel_binding,
     a_cancel_request_stops_a_statement, simple_queries, errors_carry_all_their_fields,
     a_commit_that_fails_says_no_success, blocks_show_in_ready_for_query, prepared_statements,
     text_and_binary_of_many_types, portals_with_row_limits,
     after_an_error_the_pipeline_is_skipped_to_its_sync,
     a_pipeline_is_answered_in_order_and_flush_brings_what_is_there, copy_in_and_out,
     invalid_utf8_is_named, function_calls_are_refused_and_the_session_goes_on,
     violations_end_one_session_only, bad_startup_packets_end_quietly,
     damaged_scram_messages_are_refused, one_client_too_many_hears_53300,
     timeouts_of_silence_and_statements, a_stopping_server_says_goodbye, random_bytes_after_login,
     psql_and_pgbench_connect, the_server_ends_cleanly])

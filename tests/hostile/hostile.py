"""hostile.py - bad input gets a clear error, and the other sessions go on. TAP.

One server takes everything in turn; after each test a session that was there from the start still
answers, and a new one can be opened. Bad configuration has servers of its own; bit rot: bitrot.py.
"""
import os
import random
import socket
import struct
import subprocess
import sys

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from lumaserver import BUILD, FULL, PROGRAM, SEED, Server, cannot_serve, run_tap  # noqa: E402

RNG = random.Random(SEED)
SERVER = Server()
WITNESS = None


def unharmed():
    """The old session and a new one both work."""
    cursor = WITNESS.cursor()
    cursor.execute("SELECT count(*) FROM witness")
    assert cursor.fetchone() == (3,)
    connection = SERVER.connect()
    connection.cursor().execute("SELECT 1")
    connection.close()


def ports():
    return [SERVER.port] + [p for p in (SERVER.http_port, SERVER.metrics_port) if listens(p)]


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def send(port, data, answer_s=0.2):
    """Send, read what comes within a moment, close."""
    got = b""
    with socket.socket() as s:
        s.settimeout(5)
        s.connect(("127.0.0.1", port))
        try:
            s.sendall(data)
            s.settimeout(answer_s)
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
        except OSError:
            pass
    return got


def port_scan():
    for _ in range(50):
        for port in ports():
            with socket.socket() as s:
                s.connect(("127.0.0.1", port))
                if RNG.random() < 0.5:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    unharmed()


def random_bytes():
    for _ in range(200 if FULL else 40):
        for port in ports():
            send(port, RNG.randbytes(RNG.choice([1, 4, 8, 9, 100, 5000, 100000])), 0.01)
    unharmed()


def startup_packet(user=b"lumadb", database=b"default"):
    body = struct.pack("!I", 196608) + b"user\0" + user + b"\0database\0" + database + b"\0\0"
    return struct.pack("!I", len(body) + 4) + body


def half_messages():
    packet = startup_packet()
    for cut in range(1, len(packet)):
        send(SERVER.port, packet[:cut], 0.001)
    http = b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"q"
    for port in ports()[1:]:
        for cut in range(1, len(http), 3):
            send(port, http[:cut], 0.001)
    unharmed()


def gigabyte_length():
    for code in (196608, 80877103, 80877102, 12345):
        send(SERVER.port, struct.pack("!II", 1 << 30, code) + b"x" * 100, 0.05)
    send(SERVER.port, struct.pack("!II", 0xFFFFFFFF, 196608), 0.05)
    send(SERVER.port, struct.pack("!II", 3, 196608), 0.05)
    # After the start: a query and a bind that claim a GiB, on a session that has logged in.
    for kind in (b"Q", b"P", b"B", b"d", b"?"):
        connection = SERVER.connect()
        with socket.socket(fileno=os.dup(connection.fileno())) as s:
            s.setblocking(True)
            s.settimeout(5)
            s.sendall(kind + struct.pack("!I", 1 << 30) + b"SELECT 1\0")
            try:
                s.settimeout(0.2)
                s.recv(65536)
            except OSError:
                pass
        connection.close()
    unharmed()


def expect_error(statement, sqlstates, connection=None):
    connection = connection or SERVER.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
    except psycopg2.Error as error:
        assert error.pgcode is not None, f"the connection was lost: {error}"
        assert error.pgcode in sqlstates, f"SQLSTATE {error.pgcode}: {error}"
    else:
        raise AssertionError(f"accepted {statement[:40]!r}")
    cursor.execute("SELECT 42")
    assert cursor.fetchone() == (42,), "the session did not go on"
    connection.close()


def invalid_utf8():
    expect_error(b"SELECT '\xff\xfe'", ("22021",))
    expect_error(b"SELECT 1 AS \"\xc3\x28\"", ("22021",))
    expect_error(b"CREATE TABLE \xf8\x88 (a int)", ("22021", "42601"))
    unharmed()


TOO_DEEP = ("54001", "54000", "42601", "53200")


def nested_parentheses():
    expect_error("SELECT " + "(" * 100000 + "1" + ")" * 100000, TOO_DEEP)
    expect_error("SELECT " + "(" * 100000, TOO_DEEP)
    unharmed()


def long_expressions():
    connection = SERVER.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT 1" + "+1" * 5000)
        assert cursor.fetchone() == (5001,)
    except psycopg2.Error as error:
        assert error.pgcode is not None, f"the connection was lost: {error}"
        assert error.pgcode in TOO_DEEP, f"SQLSTATE {error.pgcode}"
    expect_error("SELECT 1" + "+1" * 200000, TOO_DEEP)
    expect_error("SELECT " + "-" + " -" * 200000 + "1", TOO_DEEP)
    expect_error("SELECT " + "NOT " * 200000 + "true", TOO_DEEP)
    expect_error("SELECT " + "CASE WHEN true THEN " * 50000 + "1" + " END" * 50000, TOO_DEEP)
    expect_error("SELECT * FROM " + "(SELECT * FROM " * 50000 + "witness" + ") x" * 50000, TOO_DEEP)
    unharmed()


def out_of_order_messages():
    """Every message type, with a random body, right after login."""
    for _ in range(300 if FULL else 60):
        connection = SERVER.connect()
        with socket.socket(fileno=os.dup(connection.fileno())) as s:
            s.setblocking(True)
            s.settimeout(2)
            data = b""
            for _ in range(RNG.randrange(1, 6)):
                body = RNG.randbytes(RNG.randrange(0, 60))
                kind = bytes([RNG.choice(b"BCDEFHPQScdfpX")])
                data += kind + struct.pack("!I", len(body) + 4) + body
            try:
                s.sendall(data + b"S" + struct.pack("!I", 4))
                s.settimeout(0.02)
                s.recv(65536)
            except OSError:
                pass
        connection.close()
    unharmed()


def http_abuse():
    if len(ports()) < 2:
        return "SKIP no HTTP port"
    for port in ports()[1:]:
        send(port, b"GET /" + b"a" * 2000000 + b" HTTP/1.1\r\n\r\n", 0.05)
        send(port, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 100000 + b"\r\n", 0.05)
        send(port, b"POST /query HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 0.05)
        send(port, b"POST /query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", 0.05)
        send(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + RNG.randbytes(500), 0.05)
        body = b"{\"query\":" * 50000
        send(port, b"POST /query HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body, 0.1)
    unharmed()
    return None


def many_connections():
    """More idle connections than the server may hold are refused, not fatal."""
    sockets = []
    try:
        for _ in range(400):
            s = socket.socket()
            s.settimeout(5)
            s.connect(("127.0.0.1", SERVER.port))
            sockets.append(s)
    except OSError:
        pass
    for s in sockets:
        s.close()
    unharmed()
    return f"{len(sockets)} opened"


def check_config(*options, config=None):
    command = [PROGRAM, "server", "--check", "--conf-dir", os.path.join(BUILD, "conf.d"),
               "--data", os.path.join(SERVER.dir, "other")] + list(options)
    if config:
        command += ["--config", config]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return result.returncode, result.stdout + result.stderr


def bad_configuration():
    code, said = check_config()
    assert code == 0, said
    code, said = check_config("--set", "postgres.nonsense=1")
    assert code != 0 and "nonsense" in said, said
    code, said = check_config("--set", "postgres.port=quick")
    assert code != 0 and "port" in said, said
    path = os.path.join(SERVER.dir, "bad.toml")
    for text, line, word in (("[postgres]\n\nprt = 5\n", 3, "prt"),
                             ("[postgres]\nport = 99999999\n", 2, "port"),
                             ("[postgres\nport = 1\n", 1, ""),
                             ("[postgres]\nport = \"x\n", 2, ""),
                             ("[nowhere]\nport = 1\n", 1, "nowhere")):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        code, said = check_config(config=path)
        assert code != 0, f"accepted {text!r}"
        assert f"bad.toml:{line}" in said and word in said, f"{text!r}: {said}"


def taken_port():
    result = subprocess.run(
        [PROGRAM, "server", "--data", os.path.join(SERVER.dir, "second"), "--conf-dir",
         os.path.join(BUILD, "conf.d"), "--set", f"postgres.port={SERVER.port}",
         "--set", "server.port=0", "--set", "metrics.port=0"],
        capture_output=True, text=True, timeout=30, check=False)
    said = result.stdout + result.stderr
    assert result.returncode != 0 and str(SERVER.port) in said, said
    unharmed()


def second_server_on_the_same_folder():
    result = subprocess.run(
        [PROGRAM, "server", "--data", os.path.join(SERVER.dir, "data"), "--conf-dir",
         os.path.join(BUILD, "conf.d"), "--set", "postgres.port=0", "--set", "server.port=0",
         "--set", "metrics.port=0"],
        capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode != 0, "two servers on one folder"
    unharmed()


def main():
    global WITNESS  # pylint: disable=global-statement
    if cannot_serve():
        print(cannot_serve())
        return 77
    try:
        SERVER.start()
        WITNESS = SERVER.connect()
        WITNESS.autocommit = True
        WITNESS.cursor().execute("CREATE TABLE witness (k int PRIMARY KEY)")
        WITNESS.cursor().execute("INSERT INTO witness VALUES (1), (2), (3)")
        return run_tap([port_scan, random_bytes, half_messages, gigabyte_length, invalid_utf8,
                        nested_parentheses, long_expressions, out_of_order_messages, http_abuse,
                        many_connections, bad_configuration, taken_port,
                        second_server_on_the_same_folder])
    finally:
        SERVER.close()


if __name__ == "__main__":
    sys.exit(main())

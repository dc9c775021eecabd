"""pgclient.py - the PostgreSQL protocol by hand, message by message, for tests of the server."""
import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct


class Closed(Exception):
    """The server has ended the connection."""


def fields(body):
    """Fields of an ErrorResponse or NoticeResponse."""
    out = {}
    for part in body.split(b"\0"):
        if part:
            out[chr(part[0])] = part[1:].decode("utf-8")
    return out


def message(kind, body=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def text(s):
    return (s if isinstance(s, bytes) else s.encode()) + b"\0"


def parse(name, sql, oids=()):
    return message(b"P", text(name) + text(sql) + struct.pack("!H", len(oids)) +
                   b"".join(struct.pack("!I", oid) for oid in oids))


def bind(portal, name, values=(), formats=(), results=()):
    body = text(portal) + text(name) + struct.pack("!H", len(formats))
    body += b"".join(struct.pack("!H", f) for f in formats) + struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!I", len(value)) + value
    body += struct.pack("!H", len(results)) + b"".join(struct.pack("!H", f) for f in results)
    return message(b"B", body)


def describe(kind, name):
    return message(b"D", kind + text(name))


def execute(portal, rows=0):
    return message(b"E", text(portal) + struct.pack("!I", rows))


def close(kind, name):
    return message(b"C", kind + text(name))


SYNC = message(b"S")
FLUSH = message(b"H")


def query(sql):
    return message(b"Q", text(sql))


class Client:
    """One connection. Messages come back as (type, body)."""

    def __init__(self, port, user="lumadb", password="pencil", database="default", start=True,
                 options=(), tls=False, version=196608, timeout=10):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.parameters, self.key = {}, None
        self.tls = tls
        if tls:
            self.start_tls()
        if start:
            self.start(user, password, database, options, version)

    def start_tls(self):
        self.sock.sendall(struct.pack("!II", 8, 80877103))
        answer = self.sock.recv(1)
        assert answer == b"S", answer
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)

    def start(self, user, password, database, options, version):
        body = struct.pack("!I", version)
        for name, value in (("user", user), ("database", database)) + tuple(options):
            body += text(name) + text(value)
        body += b"\0"
        self.sock.sendall(struct.pack("!I", len(body) + 4) + body)
        self.startup_messages = []
        while True:
            kind, body = self.read()
            self.startup_messages.append((kind, body))
            if kind == b"E":
                raise AssertionError(fields(body))
            if kind == b"R" and struct.unpack("!I", body[:4])[0] == 10:
                self.scram(body[4:], password)
            elif kind == b"S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == b"K":
                self.key = struct.unpack("!II", body)
            elif kind == b"Z":
                return

    def scram(self, offered, password):
        mechanisms = offered.split(b"\0")
        plus = b"SCRAM-SHA-256-PLUS" in mechanisms
        gs2, binding = b"n,,", b""
        if plus:
            gs2 = b"p=tls-server-end-point,,"
            der = self.sock.getpeercert(binary_form=True)
            binding = hashlib.sha256(der).digest()
        nonce = base64.b64encode(os.urandom(18))
        bare = b"n=,r=" + nonce
        mechanism = b"SCRAM-SHA-256-PLUS" if plus else b"SCRAM-SHA-256"
        first = gs2 + bare
        self.send(message(b"p", mechanism + b"\0" + struct.pack("!I", len(first)) + first))
        kind, body = self.read()
        if kind == b"E":
            raise AssertionError(fields(body))
        server_first = body[4:]
        parts = dict(part.split(b"=", 1) for part in server_first.split(b","))
        assert parts[b"r"].startswith(nonce)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts[b"s"]),
                                     int(parts[b"i"]))
        client_key = hmac.new(salted, b"Client Key", "sha256").digest()
        stored_key = hashlib.sha256(client_key).digest()
        without_proof = b"c=" + base64.b64encode(gs2 + binding) + b",r=" + parts[b"r"]
        auth = bare + b"," + server_first + b"," + without_proof
        signature = hmac.new(stored_key, auth, "sha256").digest()
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.send(message(b"p", without_proof + b",p=" + base64.b64encode(proof)))
        kind, body = self.read()
        if kind == b"E":
            raise AssertionError(fields(body))
        server_key = hmac.new(salted, b"Server Key", "sha256").digest()
        wanted = base64.b64encode(hmac.new(server_key, auth, "sha256").digest())
        assert body[4:] == b"v=" + wanted, "the server does not know the password"

    def send(self, data):
        self.sock.sendall(data)

    def fill(self, count):
        while len(self.buffer) < count:
            piece = self.sock.recv(65536)
            if not piece:
                raise Closed()
            self.buffer += piece

    def read(self):
        self.fill(5)
        kind, size = self.buffer[:1], struct.unpack("!I", self.buffer[1:5])[0]
        self.fill(size + 1)
        body, self.buffer = self.buffer[5:size + 1], self.buffer[size + 1:]
        return kind, body

    def until_ready(self):
        """All messages up to ReadyForQuery, which is included."""
        out = []
        while not out or out[-1][0] != b"Z":
            out.append(self.read())
        return out

    def ask(self, data):
        self.send(data)
        return self.until_ready()

    def shape(self, data):
        """The types of the messages that answer."""
        return b"".join(kind for kind, _ in self.ask(data)).decode()

    def closed(self):
        """True when the server ends the connection, whatever it says before."""
        try:
            while True:
                self.read()
        except (Closed, OSError):
            return True

    def close(self):
        self.sock.close()


def rows(messages):
    """Values of the DataRows: lists of bytes or None."""
    out = []
    for kind, body in messages:
        if kind != b"D":
            continue
        at, row = 2, []
        for _ in range(struct.unpack("!H", body[:2])[0]):
            size = struct.unpack("!i", body[at:at + 4])[0]
            at += 4
            row.append(None if size < 0 else body[at:at + size])
            at += max(size, 0)
        out.append(row)
    return out


def error(messages):
    for kind, body in messages:
        if kind == b"E":
            return fields(body)
    return None


def tags(messages):
    return [body.rstrip(b"\0").decode() for kind, body in messages if kind == b"C"]

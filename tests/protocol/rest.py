"""rest.py - HTTP/1.1 of frontend/rest and frontend/metrics, over a toy language: TAP."""
import http.client
import json
import os
import socket
import time

from toy import Toy, run

REST = Toy("rest", "max_connections=20", "max_body_size=100000", "idle_timeout=400000000")
METRICS = Toy("metrics")


def request(method, path, body=None, token=None, port=None, headers=None):
    c = http.client.HTTPConnection("127.0.0.1", REST.port if port is None else port, timeout=10)
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = "Bearer " + token
    c.request(method, path, body if body is None or isinstance(body, (bytes, str))
              else json.dumps(body), headers)
    answer = c.getresponse()
    data = answer.read()
    c.close()
    return answer.status, dict(answer.getheaders()), data


def login(**more):
    status, _, body = request("POST", "/api/v1/login",
                              {"username": "lumadb", "password": "pencil"} | more)
    assert status == 200, (status, body)
    return json.loads(body)["token"]


TOKEN = login()


def ask(sql, params=None, token=TOKEN):
    body = {"sql": sql} | ({} if params is None else {"params": params})
    status, headers, data = request("POST", "/query", body, token)
    return status, headers, json.loads(data)


def raw(data, port=None, timeout=5, half_close=False):
    with socket.create_connection(("127.0.0.1", REST.port if port is None else port),
                                  timeout=timeout) as s:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
        out = b""
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    return out
                out += piece
        except TimeoutError:
            return out


def health_says_ok():
    status, headers, body = request("GET", "/health")
    assert (status, body) == (200, b"OK") and headers["Content-Type"].startswith("text/plain")
    status, headers, body = request("HEAD", "/health")
    assert (status, body) == (200, b"") and headers["Content-Length"] == "2"


def paths_and_methods():
    assert request("GET", "/nothing")[0] == 404
    status, headers, _ = request("GET", "/query")
    assert status == 405 and headers["Allow"] == "POST"
    assert request("POST", "/health")[1]["Allow"] == "GET, HEAD"
    assert request("GET", "/%68ealth?x=1")[0] == 200
    assert request("GET", "/%zz")[0] == 400
    assert request("GET", "/health%00")[0] == 400


def logging_in():
    for body, status in (({"username": "lumadb", "password": "wrong"}, 401),
                         ({"username": "nobody", "password": "pencil"}, 401),
                         ({"username": "lumadb"}, 400), ([1], 400), ("{", 400), ("", 400),
                         ({"username": "lumadb", "password": "pencil", "database": "no"}, 404)):
        got, headers, data = request("POST", "/api/v1/login", body)
        assert got == status, (body, got, data)
        assert "code" in json.loads(data)["error"]
        assert status != 401 or headers["WWW-Authenticate"] == "Bearer"
    status, _, data = request("POST", "/api/v1/login", {"username": "bob", "password": "pencil"})
    found = json.loads(data)
    assert status == 200 and found["token_type"] == "Bearer" and 0 < found["expires_in"] <= 3600
    assert found["expires_at"].endswith("Z") and len(found["token"]) == 64
    token = found["token"]
    assert ask("select 1", token=token)[0] == 200
    assert request("POST", "/api/v1/logout", token=token)[0] == 204
    status, _, found = ask("select 1", token=token)
    assert status == 401 and found["error"]["code"] == "E001"
    assert ask("select 1", token=None)[0] == 401
    assert ask("select 1", token="x" * 64)[0] == 401


def queries():
    status, headers, found = ask("rows 2")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert found["columns"] == [{"name": "n", "type": "integer"}, {"name": "t", "type": "text"},
                                {"name": "f", "type": "double precision"}]
    assert found["rows"] == [[0, "row 0", 0], [1, "row 1", 0.25]]
    assert found["command"] == "SELECT" and found["row_count"] == 2
    assert ask("insert")[2] == {"columns": [], "rows": [], "command": "INSERT", "row_count": 1}
    awkward = "quote \" back \\ line \n tab \t bell \x07 ü 🙂"
    assert ask("echo $1 $2 $3 $4", [awkward, None, 7, {"a": [1]}])[2]["rows"] == \
        [[awkward, None, "7", '{"a":[1]}']]
    assert ask("lookup $1", [41])[2]["rows"] == [[41]]
    assert len(ask("rows 100000")[2]["rows"]) == 100000


def errors_have_code_state_and_status():
    status, _, found = ask("wrong")
    assert status == 400
    assert found["error"] == {"code": "E003", "sqlstate": "42601", "position": 1,
                              "message": "syntax error at or near \"wrong\""}
    status, _, found = ask("fail 22012 division by zero")
    assert status == 400 and found["error"]["detail"] == "the detail"
    assert found["error"]["hint"] == "the hint" and found["error"]["table"] == "t"
    assert ask("lookup $1", ["x"])[2]["error"]["sqlstate"] == "22P02"
    assert ask("lookup $1", [])[2]["error"]["code"] == "E010"
    assert ask("broken commit")[0] == 500
    assert ask("begin")[0] == 501
    assert ask("copy in")[0] == 501
    assert ask("")[0] == 400
    for body in (b"", b"{", b"[]", b"{\"sql\":5}", b"{\"sql\":\"select 1\",\"params\":7}",
                 b"{\"a\":" * 20000, b"\xff\xfe", b"[" * 50000):
        status, _, data = request("POST", "/query", body, TOKEN)
        assert status == 400 and json.loads(data)["error"]["code"] == "E010", (body[:20], data)


def limits():
    assert request("POST", "/query", b"x" * 100001, TOKEN)[0] == 413
    assert raw(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n")[9:12] == b"431"
    assert raw(b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n")[9:12] == b"431"
    assert raw(b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n")[9:12] == b"431"
    chunks = b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n"
    assert raw(b"POST /query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)[9:12] == b"413"
    begun = time.monotonic()
    assert raw(b"POST /query HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"s")[9:12] == b"408"
    assert raw(b"") == b""
    assert time.monotonic() - begun < 4
    held = [socket.create_connection(("127.0.0.1", REST.port)) for _ in range(25)]
    time.sleep(0.1)
    assert raw(b"GET /health HTTP/1.1\r\n\r\n")[9:12] == b"503"
    for s in held:
        s.close()
    time.sleep(0.3)
    assert request("GET", "/health")[0] == 200


def garbage_is_answered_with_400():
    for data in (b"\r\n\r\n\0\0", b"hello\r\n\r\n", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"POST /query HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                 b"POST /query HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST /query HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                 b"POST /query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
                 os.urandom(300)):
        answer = raw(data, timeout=2)
        assert answer == b"" or answer[9:12] in (b"400", b"505", b"413"), (data[:40], answer[:40])
    assert request("GET", "/health")[0] == 200


def pipelines_keep_alive_and_old_versions():
    one = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(one * 500 + b"GET /none HTTP/1.1\r\nConnection: close\r\n\r\n" + one)
    assert answer.count(b"HTTP/1.1 200 OK") == 500 and answer.count(b"HTTP/1.1 404") == 1
    assert raw(b"GET /health HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nOK")
    body = json.dumps({"sql": "rows 30000"}).encode()
    old = (b"POST /query HTTP/1.0\r\nAuthorization: Bearer " + TOKEN.encode() +
           b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
    head, data = raw(old).split(b"\r\n\r\n", 1)
    assert b"chunked" not in head and len(json.loads(data)["rows"]) == 30000
    chunked = (b"POST /query HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
               b"Authorization: bearer " + TOKEN.encode() + b"\r\n\r\n" +
               b"".join(b"1\r\n" + bytes([b]) + b"\r\n" for b in b'{"sql":"select 9"}') +
               b"0\r\n\r\n")
    assert b"[[9]]" in raw(chunked)
    expects = raw(b"POST /api/v1/login HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\n"
                  b"Content-Length: 2\r\n\r\n{}")
    assert expects.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")


def metrics_in_both_forms():
    status, headers, body = request("GET", "/metrics", port=METRICS.port)
    text = body.decode()
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE lumadb_sessions_total counter\n" in text and "process_cpu_seconds_total " in text
    assert "# EOF" not in text
    status, headers, body = request("GET", "/metrics", port=METRICS.port,
                                    headers={"Accept": "application/openmetrics-text"})
    text = body.decode()
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "# TYPE lumadb_sessions counter\n" not in text and text.endswith("# EOF\n")
    assert "# TYPE process_cpu_seconds counter\n" in text and "process_cpu_seconds_total " in text
    assert request("GET", "/", port=METRICS.port)[0] == 404
    assert request("POST", "/metrics", port=METRICS.port)[0] == 405


def the_servers_end_cleanly():
    REST.stop()
    METRICS.stop()


run([health_says_ok, paths_and_methods, logging_in, queries, errors_have_code_state_and_status,
     limits, garbage_is_answered_with_400, pipelines_keep_alive_and_old_versions,
     metrics_in_both_forms, the_servers_end_cleanly])

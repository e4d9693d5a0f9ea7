"""The HTTP interface of a ClickHouse server over the embedded engine, as far as our client uses it.

It is strict where a server is: who may come in, unknown settings, one request at a time in a session, GET reads
only, the length of an address, databases that are not there. It keeps what was asked of it.
"""

from __future__ import annotations

import base64
import email
import gzip
import http.server
import json
import re
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame
import zstandard

if TYPE_CHECKING:
    from pathlib import Path

TRANSPORT = {
    "database", "query", "session_id", "session_timeout", "session_check", "query_id", "compress", "decompress",
    "default_format", "enable_http_compression", "send_progress_in_http_headers",
    "http_headers_progress_interval_ms", "wait_end_of_query", "client_protocol_version", "buffer_size",
}  # fmt: skip
"""Arguments of a request that are no settings of the query."""

LONGEST_URI = 1 << 20
INSERT = re.compile(rb"(INSERT INTO .+? FORMAT (?:Native|Arrow))\n?", re.DOTALL)
PACKED = {
    "lz4": lz4.frame.decompress, "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}  # fmt: skip


class RefusedError(Exception):
    """What the server says no to, with ClickHouse's own code."""

    def __init__(self, code: int, text: str, status: int = 500) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text}")
        self.code, self.status = code, status


@dataclass
class Asked:
    """One request: the statement, the settings sent with it, bytes of rows, and how it came."""

    method: str
    sql: str
    settings: dict[str, str]
    parameters: dict[str, str]
    data: int = 0
    packed: str = ""
    form: bool = False
    session: str = ""


@dataclass
class Server:
    """A server over an engine in a directory; users are (name, password)."""

    path: Path
    users: dict[str, str] = field(default_factory=lambda: {"default": ""})
    asked: list[Asked] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._engine = chdb.connect(str(self.path))
        self._busy: set[str] = set()
        self._turn = threading.Lock()
        owner = self

        class Handler(_Handler):
            server_of = owner

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._engine.close()

    def run(self, asked: Asked, database: str, data: bytes) -> bytes:
        """Run a statement as a server does; raises RefusedError."""
        with self._turn:
            self.asked.append(asked)
            if asked.session and asked.session in self._busy:
                raise RefusedError(373, "Session is locked by a concurrent client")
            self._busy.add(asked.session)
        handle = chdb.connect(str(self.path))
        try:
            settings = dict(asked.settings)
            if asked.method == "GET":
                settings.setdefault("readonly", "2")
            handle.query(f"USE `{database}`")
            if settings:
                handle.query("SET " + ", ".join(f"{name} = {_quoted(v)}" for name, v in settings.items()))
            if not data:
                return bytes(handle.query(asked.sql, "TabSeparated", params=asked.parameters).bytes() or b"")
            with tempfile.NamedTemporaryFile(dir=self.path.parent) as file:
                file.write(data)
                file.flush()
                head, _, form = asked.sql.rpartition(" FORMAT ")
                handle.query(f"{head} FROM INFILE {_quoted(file.name)} FORMAT {form}")
                return b""
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            raise RefusedError(int(code[1]) if code else 0, str(error)) from error
        finally:
            handle.close()
            with self._turn:
                self._busy.discard(asked.session)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 1.0  # idle connections are closed, as a server does after some seconds
    wbufsize = 1 << 16
    server_of: Server

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self._body()
        try:
            answer, status, more = self._answer(body), 200, {}
        except RefusedError as error:
            self.server_of.refused[error.code] += 1
            answer, status = str(error).encode(), error.status
            more = {"X-ClickHouse-Exception-Code": str(error.code)}
        self.send_response(status)
        headers = {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": json.dumps({"read_rows": "0"})}
        for name, value in {**headers, **more, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, body: bytes) -> bytes:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        user, _, word = base64.b64decode(given).decode().partition(":") if scheme else ("default", "", "")
        if self.server_of.users.get(user) != word:
            raise RefusedError(516, f"{user}: Authentication failed", 403)
        if len(self.path) > LONGEST_URI:
            raise RefusedError(0, "URI too long", 414)
        arguments = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        form = self.headers.get("Content-Type", "").startswith("multipart/form-data")
        if form:
            arguments, body = arguments | _fields(self.headers["Content-Type"], body), b""
        packed = self.headers.get("Content-Encoding", "")
        body = PACKED[packed](body) if packed else body
        text = arguments.get("query", "").encode()
        sql, data = (text, body) if text else (body, b"")
        if not text and (insert := INSERT.match(body)):
            sql, data = insert[1], body[insert.end() :]
        parameters = {k.removeprefix("param_"): v for k, v in arguments.items() if k.startswith("param_")}
        settings = {
            k: v for k, v in arguments.items() if k not in TRANSPORT and not k.startswith("param_")
        }  # fmt: skip
        asked = Asked(self.command, sql.decode(), settings, parameters, len(data), packed, form)
        asked.session = arguments.get("session_id", "")
        return self.server_of.run(asked, arguments.get("database", "default"), data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _fields(kind: str, body: bytes) -> dict[str, str]:
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        for part in message.get_payload()  # type: ignore[union-attr]
    }

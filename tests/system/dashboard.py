# SPDX-License-Identifier: GPL-3.0-or-later
"""A running `trajctl dashboard`, plain HTTP requests to it, and its websocket, on plain sockets."""
import base64
import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

PATIENCE = 60.0
PROTOCOL = "trajd-dashboard"


class Dashboard:
    def __init__(self, *arguments):
        self.log = tempfile.TemporaryFile("w+")
        command = shlex.split(os.environ.get("TRAJD_PREFIX", "")) + [
            os.environ["TRAJCTL"], "dashboard", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise AssertionError(f"no address was told: {line!r}, {self.said()}")
        self.url = line.split()[1]
        self.host = urlsplit(self.url).netloc
        self.port = urlsplit(self.url).port

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def get(self, path="/", host=None, method="GET", **headers):
        """(status, headers in lower case, body) of one request."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as wire:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host or self.host}", "Connection: close"]
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                part = wire.recv(65536)
                if not part:
                    break
                answer += part
            head, _, body = answer.partition(b"\r\n\r\n")
            status, *rest = head.decode().split("\r\n")
            fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
            while len(body) < int(fields.get("content-length", "0")):
                part = wire.recv(65536)
                if not part:
                    break
                body += part
            return int(status.split()[1]), fields, body

    def socket(self, **options):
        return WebSocket(self.port, self.host, **options)

    def close(self):
        """Ends it; how it ended, and what it had to say."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "killed, because it did not end"
        self.process.stdout.close()
        said = self.said()
        self.log.close()
        return code, said


class Refused(Exception):
    """The server did not make a websocket of the connection."""


class WebSocket:
    """RFC 6455, as much of it as a client needs that is spoken to in text."""

    def __init__(self, port, host, origin=None, protocol=PROTOCOL):
        self.wire = socket.create_connection(("127.0.0.1", port), PATIENCE)
        lines = ["GET / HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
        if protocol:
            lines.append("Sec-WebSocket-Protocol: " + protocol)
        lines.append("Origin: " + (origin if origin is not None else "http://" + host))
        self.wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        try:
            while b"\r\n\r\n" not in self.buffer:
                self.more()
        except (ConnectionError, EOFError):
            self.wire.close()
            raise Refused("closed")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            self.wire.close()
            raise Refused(head.decode())

    def more(self):
        part = self.wire.recv(1 << 16)
        if not part:
            raise EOFError("the server has closed the connection")
        self.buffer += part

    def take(self, size):
        while len(self.buffer) < size:
            self.more()
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def receive(self):
        """The next text as an object; frames of control are passed over."""
        text = b""
        while True:
            first, length = self.take(2)
            if length == 126:
                length, = struct.unpack(">H", self.take(2))
            elif length == 127:
                length, = struct.unpack(">Q", self.take(8))
            payload = self.take(length)
            if first & 0x0f == 8:
                raise EOFError("the server has closed the websocket")
            if first & 0x0f in (0, 1):
                text += payload
                if first & 0x80:
                    return json.loads(text)

    def until(self, condition):
        """The first object that fulfils a condition."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            message = self.receive()
            if condition(message):
                return message
        raise AssertionError("waited in vain")

    def kind(self, kind):
        return self.until(lambda message: message["kind"] == kind)

    def send(self, data, opcode=1):
        data = data.encode() if isinstance(data, str) else data
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x80 | opcode])
        head += bytes([0x80 | size]) if size < 126 else (
            struct.pack(">BH", 0xfe, size) if size < 65536 else struct.pack(">BQ", 0xff, size))
        self.wire.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def order(self, number, **request):
        """Gives an order and waits for what came of it."""
        self.send(json.dumps({"id": number, "request": request}))
        return self.kind("reply")

    def close(self):
        self.wire.close()

"""Documents in Redis: a hash for each domain and entity name, a field for each id. The standard library is enough."""

import socket
from urllib.parse import quote

from sigbox.persistence import Address, Backend, Failure, refuse_unknown_settings, secret, setting

DENIED = {"NOAUTH", "WRONGPASS", "NOPERM", "ERR"}


class RedisStore(Backend):
    connection = None

    @property
    def summary(self):
        return f"Redis at {setting('address', '127.0.0.1:6379')}, database {setting('db', '0')}"

    def start(self):
        refuse_unknown_settings("address", "db", "prefix", "timeout-seconds")
        self.host, _, port = setting("address", "127.0.0.1:6379").rpartition(":")
        self.port, self.db, self.prefix = int(port), setting("db", "0"), setting("prefix", "sigbox")
        self.timeout = float(setting("timeout-seconds", "2"))
        self.call(b"PING")

    def connect(self):
        self.connection = socket.create_connection((self.host, self.port), timeout=self.timeout)
        self.file = self.connection.makefile("rb")
        if password := secret("password"):
            self.exchange(b"AUTH", password.encode())
        self.exchange(b"SELECT", self.db.encode())

    def call(self, *words):
        """One command and its answer. A connection that failed is not used again: its answers would be late."""
        try:
            if self.connection is None:
                self.connect()
            return self.exchange(*words)
        except (OSError, ValueError) as error:
            self.close()
            message = f"{self.host}:{self.port}: {error or type(error).__name__}"
            raise Failure("unavailable", message, retryable=True) from None

    def exchange(self, *words):
        self.connection.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words))
        return self.answer()

    def line(self):
        line = self.file.readline(65536)
        if not line.endswith(b"\r\n"):
            raise OSError("the server closed the connection")
        return line[:1], line[1:-2]

    def answer(self):
        kind, rest = self.line()
        if kind == b"$":
            if rest == b"-1":
                return None
            value = self.file.read(int(rest) + 2)
            if len(value) != int(rest) + 2:
                raise OSError("the server closed the connection")
            return value[:-2]
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            text = rest.decode(errors="replace")
            denied = text.split(" ")[0] in DENIED
            self.close()
            raise Failure("denied" if denied else "unavailable", text, retryable=not denied)
        return rest

    def key(self, domain, entity_name):
        return ":".join(quote(part, safe="") for part in (self.prefix, domain, entity_name)).encode()

    def at(self, at: Address):
        return self.key(at.domain, at.entity_name), at.entity_id.encode()

    def read(self, at):
        return self.call(b"HGET", *self.at(at))

    def has(self, at):
        return self.call(b"HEXISTS", *self.at(at)) == 1

    def write(self, at, value, when_ms):
        self.call(b"HSET", *self.at(at), value)

    def remove(self, at):
        return self.call(b"HDEL", *self.at(at)) == 1

    def ids(self, domain, entity_name):
        return [field.decode() for field in self.call(b"HKEYS", self.key(domain, entity_name))]

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

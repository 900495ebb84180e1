"""A Ringpost of its own for a measurement."""

import json
import subprocess

from server import DOMAIN, PASSWORD, Failure, Server


class Ringpost(Server):
    """Ringpost with a shard a core. A shard pins itself; the threads that may block share the cores."""

    name = "Ringpost"

    def __init__(self, options, port_base=None, cpus=None):
        super().__init__(options, port_base, cpus)
        self.program = options.ringpost

    def command(self):
        return [self.program, "serve", "--data", self.folder / "data", "--port-base", self.port_base, "--cpus", ",".join(map(str, self.cpus))]

    def await_ready(self):
        for line in self.process.stdout:
            if line == "ringpost ready\n":
                return
        raise Failure(f"{' '.join(map(str, self.command()))} did not start: see {self.folder}/log")

    def add_users(self, pattern, count=1):
        for number in range(1, count + 1):
            name = pattern.replace("%d", str(number)) + "@" + DOMAIN
            command = [self.program, "user", "add", name, "--data", self.folder / "data", "--password-stdin"]
            ended = subprocess.run(command, input=PASSWORD + "\n", text=True, capture_output=True)
            if ended.returncode != 0:
                raise Failure(f"user add {name}: {ended.stderr.strip()}")

    def password_hash(self, user):
        """What FORMAT.md says of the directory: a checksum, a space and a JSON object a line."""
        found = None
        for line in (self.folder / "data" / "directory").read_text().splitlines():
            for account in json.loads(line.split(" ", 1)[1]).get("put", []):
                if account["name"] == f"{user}@{DOMAIN}":
                    found = account["password"]
        return found

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
        cpus = ",".join(map(str, self.cpus))
        return [self.program, "serve", "--data", self.folder / "data", "--port-base", self.port_base, "--cpus", cpus]

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

    def account(self, user):
        """What the directory has of it (FORMAT.md): a checksum, a space and a JSON object a line, of which the last counts."""
        found = None
        for line in (self.folder / "data" / "directory").read_text().splitlines():
            for account in json.loads(line.split(" ", 1)[1]).get("put", []):
                if account["name"] == f"{user}@{DOMAIN}":
                    found = account
        return found

    def shard(self, user):
        """The index of the shard that has the account (FORMAT.md, "Accounts")."""
        mixed = (int(self.account(user)["id"], 16) + 0x9E3779B97F4A7C15) % 2**64
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        return (mixed ^ mixed >> 31) % 1024 * len(self.cpus) // 1024

"""A Dovecot of its own for a measurement: Debian's configuration, copied to a scratch folder, and what differs there in local.conf.

`NEEDED` is what it takes to serve at all: where mail and accounts are, ports, and more connections of a user than ten. `TUNED` is
what its manual advises for speed. Durability is neither's: mail_fsync stays at `optimized`, which syncs a message before it is
acknowledged, though not a flag (benches/peers/run --durability looks). Mail belongs to nobody, whom every system has.

Each account has a name in several domains, where a setting matters that rows are measured with and without.
"""

import pathlib
import shutil
import socket
import time

from server import DOMAIN, IMAP, IMAPS, LMTP, PASSWORD, POP3, Failure, Server

SYSTEM = pathlib.Path("/etc/dovecot")
START_SECONDS_MAX = 30
# Debian's configuration bounds logins at 100 processes, each with one connection.
HELD_DEFAULT, HELD_TUNED = 80, 1000

NEEDED = """
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
mail_location = sdbox:~/sdbox
mail_max_userip_connections = 100000
ssl_cert = <{identity}/cert.pem
ssl_key = <{identity}/key.pem
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"""

TUNED = """
default_client_limit = 16000
auth_cache_size = 64M
auth_cache_ttl = 1 hour
service imap-login {
  service_count = 0
  process_limit = 4
}
service pop3-login {
  service_count = 0
  process_limit = 4
}
service imap {
  service_count = 100000
  process_limit = 4000
}
service pop3 {
  service_count = 100000
  process_limit = 4000
}
service lmtp {
  service_count = 100000
}
"""

ACCOUNTS = """
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
  default_fields = uid=nobody gid=nogroup home={folder}/mail/%n
}}
"""

# Passwords that cost nothing to compare: Dovecot's cache keeps what the password file has, and compares anew at each login.
CLEAR = "clear.localhost"
# A flag is synced before it is acknowledged, too.
SYNCED = "synced.localhost"


class Dovecot(Server):
    """Dovecot with sdbox. `identity` is a folder with its certificate and key, and with the hash of the accounts' password."""

    first_seconds, deliveries_max = 8, 20

    def __init__(self, options, tuned, identity, port_base=None):
        super().__init__(options, port_base)
        self.tuned, self.identity = tuned, identity
        self.name = f"Dovecot, {'tuned' if tuned else 'default'}"
        self.held_max = HELD_TUNED if tuned else HELD_DEFAULT
        # Its processes are many users'.
        self.folder.chmod(0o711)
        mail = self.folder / "mail"
        mail.mkdir()
        shutil.chown(mail, "nobody", "nogroup")
        self.users = self.folder / "users"
        self.users.touch()
        self.configuration = self.folder / "dovecot"
        self.configure()

    def configure(self):
        shutil.copytree(SYSTEM, self.configuration, ignore=shutil.ignore_patterns("private", "local.conf"))
        ports = {"imap": IMAP, "imaps": IMAPS, "pop3": POP3, "lmtp": LMTP}
        ports = {name: self.port_base + port for name, port in ports.items()}
        local = NEEDED.format(folder=self.folder, identity=self.identity, **ports) + (TUNED if self.tuned else "")
        (self.configuration / "local.conf").write_text(local)
        # The accounts of the system are Debian's; ours come in their place.
        (self.configuration / "conf.d" / "auth-system.conf.ext").write_text(ACCOUNTS.format(folder=self.folder))

    def command(self):
        return ["dovecot", "-F", "-c", self.configuration / "dovecot.conf"]

    def await_ready(self):
        for port in (IMAP, LMTP):
            self.await_greeting(port)

    def await_greeting(self, port):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with socket.create_connection(self.address(port), START_SECONDS_MAX) as one:
                    if one.recv(3) in (b"* O", b"220"):
                        return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.name} did not start: see {self.folder}")

    def add_users(self, pattern, count=1):
        hashed = "{ARGON2ID}" + (self.identity / "hash").read_text()
        clear = "{PLAIN}" + PASSWORD
        variants = ((DOMAIN, hashed, ""), (CLEAR, clear, ""), (SYNCED, hashed, "userdb_mail_fsync=always"))
        with open(self.users, "a") as file:
            for number in range(1, count + 1):
                for domain, stored, setting in variants:
                    file.write(f"{pattern.replace('%d', str(number))}@{domain}:{stored}::::::{setting}\n")
        # A running one looks for changes of the file once a second.
        time.sleep(1.1)

    def forget(self):
        """What was asked for of messages is remembered here; flags and UIDs are not."""
        for cache in (self.folder / "mail").rglob("dovecot.index.cache"):
            cache.unlink()

"""A Postfix in front of a Dovecot: Debian's configuration, copied to a scratch folder, the queue and the log beside it.

`NEEDED` makes it a relay into the Dovecot's LMTP for the domain of the accounts, on loopback and without DNS. `TUNED` lifts what
would slow it down or hold deliveries back although the core has time. Its durability is not a setting: a message is in the queue
and synced before `250`.
"""

import pathlib
import shutil

from dovecot import Dovecot
from server import DOMAIN, LMTP, SMTP, Failure

SYSTEM = pathlib.Path("/usr/share/postfix")

NEEDED = """
myhostname = figures.invalid
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = {domain}
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth}
smtpd_peername_lookup = no
queue_directory = {folder}/queue
data_directory = {folder}/postfix-data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
"""

TUNED = """
in_flow_delay = 0
default_process_limit = 200
lmtp_destination_concurrency_limit = 64
initial_destination_concurrency = 16
smtpd_client_connection_count_limit = 0
fast_flush_domains =
"""

# Both in the foreground, below one process. Postfix goes first, so that nothing is delivered into a server that ended.
BOTH = """
"$1" -F -c "$2" & dovecot=$!
postfix -c "$3" start-fg & postfix=$!
trap 'postfix -c "$3" stop; wait $postfix; kill $dovecot' TERM
wait; wait
"""


# Submission: whoever logs in may send, and nobody else.
SUBMISSION = """
127.0.0.1:{port} inet n - y - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
"""

# Where Dovecot checks passwords for it.
AUTH = """
service auth {{
  inet_listener postfix {{
    address = 127.0.0.1
    port = {auth}
  }}
}}
"""


class Postfix(Dovecot):
    """Postfix, and behind it a Dovecot of the same kind."""

    def __init__(self, options, tuned, identity, port_base=None):
        super().__init__(options, tuned, identity, port_base)
        self.name = self.name.replace("Dovecot", "Postfix")

    def configure(self):
        super().configure()
        queue, data, self.postfix = (self.folder / name for name in ("queue", "postfix-data", "postfix"))
        for folder in (queue, data, self.postfix):
            folder.mkdir()
        shutil.chown(data, "postfix")
        main = (SYSTEM / "main.cf.debian").read_text()
        # The port of TLS submission is nobody's here.
        auth = self.port_base + 465
        ours = NEEDED.format(domain=DOMAIN, folder=self.folder, lmtp=self.port_base + LMTP, auth=auth)
        ours += TUNED if self.tuned else ""
        with open(self.configuration / "local.conf", "a") as file:
            file.write(AUTH.format(auth=auth))
        (self.postfix / "main.cf").write_text(main + ours)
        services = (SYSTEM / "master.cf.dist").read_text()
        listener = f"\n127.0.0.1:{self.port_base + SMTP} inet "
        if "\nsmtp      inet " not in services:
            raise Failure(f"{SYSTEM}/master.cf.dist has no smtpd")
        (self.postfix / "master.cf").write_text(services.replace("\nsmtp      inet ", listener) + SUBMISSION.format(port=self.port_base + 587))

    def command(self):
        dovecot, _, _, configuration = super().command()
        return ["sh", "-c", BOTH, "both", dovecot, configuration, self.postfix]

    def await_ready(self):
        super().await_ready()
        self.await_greeting(SMTP)

    def queued(self):
        if any(path.is_file() for path in (self.folder / "queue" / "deferred").rglob("*")):
            raise Failure(f"{self.name} could not deliver: see {self.folder}/postfix.log")
        names = ("maildrop", "incoming", "active")
        return sum(path.is_file() for name in names for path in (self.folder / "queue" / name).rglob("*"))

"""What all servers of a comparison have in common besides the messages: a certificate, its key, and the hash of the password."""

import shutil

from ringpost import Ringpost


def make_identity(options, folder):
    """Ringpost's own certificate, key and hash of the password, for the peers to have the same."""
    with Ringpost(options, options.port_base) as server:
        server.add_users("one")
        (folder / "hash").write_text(server.account("one")["password"])
        for name in ("cert.pem", "key.pem"):
            shutil.copy(server.folder / "data" / "tls" / name, folder)

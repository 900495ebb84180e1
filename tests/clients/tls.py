"""What the Python sessions have in common: TLS with any certificate, as the server of a test makes its own."""

import ssl

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE

"""Guards every test process before a test is collected, and says how its property tests draw examples."""

import os
from pathlib import Path

from tests import properties
from tests.loopback_only import refuse_other_machines

refuse_other_machines()
# Each SDK that is opened reads all certificates that it trusts, which takes longer than most tests. Here it
# is one, and nobody's.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("certificate.pem"))
properties.use_for_all()

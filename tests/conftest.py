"""Guards every test process before a test is collected, and says how its property tests draw examples."""

import os
import sys
from pathlib import Path

from tests import properties
from tests.loopback_only import refuse_other_machines

refuse_other_machines()
# Each SDK that is opened reads all certificates that it trusts, which takes longer than most tests. Here it
# is one, and nobody's.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).with_name("certificate.pem"))
# As in an activated environment, where commands that are printed to be copied begin with `tidegate`.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
properties.use_for_all()

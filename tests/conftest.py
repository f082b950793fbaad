"""Guards every test process before a test is collected, and says how its property tests draw examples."""

from tests import properties
from tests.loopback_only import refuse_other_machines

refuse_other_machines()
properties.use_for_all()

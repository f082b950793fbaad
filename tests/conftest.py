"""Guards every test process before a test is collected."""

from tests.loopback_only import refuse_other_machines

refuse_other_machines()

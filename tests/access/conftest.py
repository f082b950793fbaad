"""Examples that a busy machine runs slowly are no failures."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

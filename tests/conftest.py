"""What all tests share."""

from hypothesis import settings

# Speed is measured in tests/bench; a loaded machine fails no test.
settings.register_profile("fleet", deadline=None)
settings.load_profile("fleet")

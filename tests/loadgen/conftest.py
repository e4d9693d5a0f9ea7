"""Runs that several tests look at."""

import pytest

from tests.loadgen.recording import record


@pytest.fixture(scope="session")
def healthy():
    """A clean hour of 96 GPUs at 10 s."""
    return record("clean", gpus=96, hours=1, seed=5)


@pytest.fixture(scope="session")
def mini():
    """The small scenario with received stamps."""
    return record("mini", gpus=64, interval=60, seed=2, received=True)


@pytest.fixture(scope="session")
def every_fault():
    """All eight kinds of fault, 128 GPUs, 30 hours at 5 minutes."""
    return record("all", gpus=128, interval=300, hours=30, seed=4)


@pytest.fixture(scope="session")
def day():
    """A clean day of 256 GPUs at 5 minutes, with a drain and errors of programs in it."""
    return record("clean", gpus=256, hours=24, interval=300, seed=5)

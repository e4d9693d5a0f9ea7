"""Runs that several tests look at."""

import pytest

from tests.loadgen.recording import record


@pytest.fixture(scope="session")
def healthy():
    """Six clean hours of 128 GPUs at 10 s."""
    return record("clean", gpus=128, hours=6, seed=5)


@pytest.fixture(scope="session")
def mini():
    """The small scenario with received stamps."""
    return record("mini", gpus=64, interval=30, seed=2, received=True)


@pytest.fixture(scope="session")
def every_fault():
    """All eight kinds of fault, 256 GPUs, two days at 5 minutes."""
    return record("all", gpus=256, interval=60, hours=30, seed=4)

"""Replays that are killed on their way, at random moments, and started again until they end."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def killed_on_the_way(
    command: list[str], rng: random.Random, kills: int, within_s: tuple[float, float]
) -> int:
    """Start the replay, each time with another number of partitions, until it ends; how many kills are left.

    How many fit into one run depends on the machine: who wants them all runs anew with what is left.
    """
    while True:
        life = [*command, "--partitions", str(rng.choice([1, 2, 4, 8]))]
        process = subprocess.Popen(life, stdout=subprocess.DEVNULL)
        if kills:
            time.sleep(rng.uniform(*within_s))
            process.send_signal(signal.SIGKILL)
        code = process.wait()
        if code == 0:
            return kills
        assert code == -signal.SIGKILL
        kills -= 1

"""A token bucket: how many events may leave now."""

from __future__ import annotations

import msgspec

from monitor.units import MINUTE


class Bucket(msgspec.Struct):
    """At most `per_minute` events in any 60 s, `burst` of them at once.

    A window of length t lets at most burst + (per_minute - burst) t / 60 s through, which is per_minute for
    60 s. level: tokens at `at`, in ms of refill (one token is `_cost`), so that it stays exact.

    >>> bucket = Bucket(per_minute=100, burst=20)
    >>> sum(bucket.take(0) for _ in range(50)), bucket.wait_ms(0)
    (20, 750)
    """

    per_minute: int
    burst: int
    level: int = -1
    at: int = 0

    @property
    def _rate(self) -> int:
        return self.per_minute - self.burst

    @property
    def _full(self) -> int:
        return self.burst * MINUTE

    def _refill(self, now: int) -> None:
        if self.level < 0:
            self.level = self._full
        elif now > self.at:
            self.level = min(self._full, self.level + (now - self.at) * self._rate)
        self.at = now

    def take(self, now: int) -> bool:
        """Take a token if there is one."""
        self._refill(now)
        if self.level < MINUTE:
            return False
        self.level -= MINUTE
        return True

    def wait_ms(self, now: int) -> int:
        """Return how long until there is a token, ms."""
        self._refill(now)
        return -(-max(0, MINUTE - self.level) // self._rate)

    def spent(self, count: int, now: int) -> None:
        """Take off what was sent in the last 60 s by a process that is gone."""
        self.level, self.at = max(0, self.burst - count) * MINUTE, now

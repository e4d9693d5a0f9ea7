"""The thread that works off the journal, and begins a new life where one has failed."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from monitor.errors import JournalError, MonitorError, StoreError, WorkError
from monitor.runners.crashes import CrashError
from monitor.runners.life import Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.adapters.journal import Place
    from monitor.runners.life import Parts
    from monitor.runners.storing import Stored

LOG = logging.getLogger("monitor.engine")

Answer = TypeVar("Answer")

READ_BYTES = 1 << 20
LOOK_S = 0.1
STORE_AGAIN_S = 30.0
LONGEST_PAUSE_S = 30.0


class StoreBackError(Exception):
    """The store that was away answers again; the life without it ends."""


class Engine:
    """Works off a journal. `stored`: the store, opened by whoever starts the process.

    drain: time is told by the lines alone, and `drain` ends it as a replay ends.
    """

    def __init__(
        self,
        parts: Parts,
        stored: Stored | None,
        *,
        drain: bool = False,
        store_again_s: float = STORE_AGAIN_S,
    ) -> None:
        self._parts, self._stored, self._store_again_s = parts, stored, store_again_s
        self._by_lines = drain
        self._stopping = threading.Event()
        self._ending = threading.Event()
        self._life: Life | None = None
        self._store_try = 0.0
        self._questions: SimpleQueue[tuple[Callable[[Life], Any], Future[Any]]] = SimpleQueue()
        self.crashes = parts.crashes
        self.problems: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def place(self) -> Place:
        """How far the journal has been worked off."""
        return self._life.place if self._life is not None else self._parts.journal.first

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    @property
    def dead(self) -> Counter[str]:
        """Dead letters since the state was begun, by reason."""
        return Counter() if self._life is None else Counter(self._life.dead)

    def behind(self) -> int:
        """Return how many bytes of the journal wait."""
        return self._parts.journal.behind(self.place)

    def lag_ms(self) -> int:
        """Return how old what was worked off last is, where something waits; else 0."""
        life = self._life
        if life is None or life.place >= self._parts.journal.end:
            return 0
        return max(0, self._parts.journal.stamp - life.clock)

    def stop(self, timeout_s: float = 20.0) -> bool:
        """Stop after what is being done, with a snapshot; return whether it ended in time."""
        self._stopping.set()
        self._parts.journal.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        elif self._stored is not None:
            self._stored.close()
        return not self._thread.is_alive()

    def ask(self, question: Callable[[Life], Answer], timeout_s: float = 30.0) -> Answer:
        """Have a question about its life answered by the thread that works, between two batches.

        Raises WorkError where no answer came in time.
        """
        answer: Future[Answer] = Future()
        self._questions.put((question, answer))
        self._parts.journal.wake()
        try:
            return answer.result(timeout_s)
        except TimeoutError as error:
            raise WorkError("the pipeline does not work just now; see /healthz") from error

    def _answer(self, life: Life) -> None:
        while not self._questions.empty():
            question, answer = self._questions.get()
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(question(life))
                except Exception as error:  # noqa: BLE001 - it is the asker's
                    answer.set_exception(error)

    def drain(self) -> None:
        """Work off all there is, close every tick, take a snapshot and stop."""
        self._ending.set()
        self._parts.journal.wake()
        self._thread.join()

    def _run(self) -> None:
        pause = 1.0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._live()
            except StoreBackError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, the journal is safe; say it and try again
                self._note(error)
                if isinstance(error, CrashError) and self._sets_aside(error):
                    pause = 1.0
                    continue
                pause = 1.0 if time.monotonic() - began > 60.0 else min(2 * pause, LONGEST_PAUSE_S)
                self._stopping.wait(pause)
            else:
                return

    def _note(self, error: Exception) -> None:
        self._parts.meters.failures.inc()
        expected = isinstance(error, MonitorError | OSError)
        LOG.error("work stopped, and begins again at the last snapshot: %s", error, exc_info=not expected)
        self.problems["store" if isinstance(error, StoreError) else "work"] = str(error) or repr(error)

    def _sets_aside(self, crash: CrashError) -> bool:
        """Count a crash; return whether the next life can go on without what it was met with."""
        self._parts.meters.crashes.labels("tick" if isinstance(crash.culprit, int) else "line").inc()
        if not self.crashes.note(crash):
            return False
        LOG.error("set aside: %s", self.crashes.told)
        return True

    def _live(self) -> None:
        """Begin a life at the last snapshot and work until told to stop."""
        stored = self._take_store()
        try:
            life = Life(self._parts, stored)
        except BaseException:
            if stored is not None:
                stored.close()
            raise
        try:
            self._life = life
            self._work(life)
            life.save()
        finally:
            life.close()

    def _take_store(self) -> Stored | None:
        """Return the store; None where there is none or it is away, which must not keep pages back."""
        stored, self._stored = self._stored, None
        if stored is not None or self._parts.open_store is None:
            return stored
        self._store_try = time.monotonic()
        try:
            stored = self._parts.open_store()
        except MonitorError as error:
            self.problems["store"] = str(error)
            return None
        self.problems.pop("store", None)
        return stored

    def _work(self, life: Life) -> None:
        journal = self._parts.journal
        while not self._stopping.is_set():
            lines, place = journal.read(life.place, READ_BYTES)
            if lines:
                life.feed(lines, place)
            else:
                life.place = place
                if self._ending.is_set() and place >= journal.end:
                    life.finish()
                    return
                self._tick(life)
                journal.wait(place, LOOK_S)
            if life.save_due:
                life.save()
                self.problems.pop("work", None)
            self._look_for_store(life)
            self._answer(life)

    def _tick(self, life: Life) -> None:
        """Where nothing has come for long enough that a tick could close, write down what time it is."""
        now = self._parts.clock()
        if self._by_lines or self._parts.journal.stamp_at(now) < life.pipeline.closes_at:
            return
        try:
            self._parts.journal.mark(now)
        except JournalError as error:
            self.problems["journal"] = str(error)
            life.advance(self._parts.journal.stamp)
        else:
            self.problems.pop("journal", None)

    def _look_for_store(self, life: Life) -> None:
        """Where the store is away, see now and then whether it is back."""
        away = self._parts.open_store is not None and not life.has_store
        if away and time.monotonic() - self._store_try >= self._store_again_s:
            stored = self._take_store()
            if stored is not None:
                self._stored = stored
                raise StoreBackError

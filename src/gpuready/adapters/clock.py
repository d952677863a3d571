"""The clock of this machine."""

from __future__ import annotations

import datetime
import time


class SystemClock:
    def now(self) -> str:
        return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def monotonic(self) -> float:
        """Counts while this process is stopped and while the machine sleeps, which CLOCK_MONOTONIC does not."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

"""`RetryPolicy`: how often, and after how long, something is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from actors.errors import NonRetryable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter.

    Attributes:
        max_retries: tries after the first one.
        initial_delay, max_delay: seconds before the first retry, and the most before any.
        multiplier: what each delay is multiplied by for the next.
        jitter: share of a delay that is random, 0 to 1, so that retries do not come in waves.
        non_retryable: exception classes that end it at once, beside `NonRetryable`.
    """

    max_retries: int = 5
    initial_delay: float = 0.5
    max_delay: float = 60.0
    multiplier: float = 2.0
    jitter: float = 0.2
    non_retryable: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.max_retries < 0 or self.initial_delay < 0 or self.max_delay < self.initial_delay:
            raise ValueError("a retry policy needs max_retries ≥ 0 and 0 ≤ initial ≤ max delay")
        if self.multiplier < 1 or not 0 <= self.jitter <= 1:
            raise ValueError("a retry policy needs multiplier ≥ 1 and jitter within 0 to 1")

    @property
    def max_attempts(self) -> int:
        return self.max_retries + 1

    def retryable(self, error: BaseException) -> bool:
        """Whether trying again after `error` can help at all."""
        return not isinstance(error, (NonRetryable, *self.non_retryable))

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after the failed attempt of this number (from 1)."""
        full = min(self.max_delay, self.initial_delay * self.multiplier ** min(attempt - 1, 64))
        return full * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, no secret


MESSAGE_RETRIES = RetryPolicy()
ACTIVITY_RETRIES = RetryPolicy(max_retries=3, initial_delay=1.0, max_delay=30.0)

"""How fast a client asks a server that may be slow, overloaded or away. PURE: times and chance are given.

While the server answers, up to `limit` requests are under way at once. When one is not answered, nothing more is sent but a *try* now and
then, one at a time: the pauses between them grow to a limit, and differ by chance, so that a thousand clients do not try in the same
moment. The first answer lets one request after another go again, each answer one more than before: a server that comes back meets a few
requests of each client, not everything that has waited.
"""

from __future__ import annotations

from resonate.limits import BACKOFF_FIRST_S, BACKOFF_LIMIT_S


class Pace:
    """One client's, towards one server. Each `ask` is followed by one of `answered`, `failed` or `gave_up`.

    >>> pace = Pace(limit=8)
    >>> turn = pace.ask(0.0)
    >>> pace.failed(turn, now=0.0, chance=0.5)
    >>> pace.ask(0.01) is None, pace.ask(0.1)
    (True, True)
    """

    def __init__(self, limit: int) -> None:
        self.is_down = False
        """Whether the last request was not answered."""
        self.next_try = 0.0
        """When the next try may be sent while it is down."""
        self._limit = limit
        self._window = limit
        self._under_way = 0
        self._failures = 0
        self._is_trying = False

    def ask(self, now: float) -> bool | None:
        """None while nothing may be sent; else it is to be sent now, and True says that it is a try."""
        if self.is_down:
            if self._is_trying or now < self.next_try:
                return None
            self._is_trying = True
            return True
        if self._under_way >= self._window:
            return None
        self._under_way += 1
        return False

    def answered(self, is_try: bool) -> bool:
        """A request was answered; whether that ends a time in which the server was down."""
        if not is_try:
            self._under_way -= 1
            if not self.is_down:
                self._window = min(self._limit, self._window + 1)
            return False
        self.is_down = self._is_trying = False
        self._failures = 0
        self._window = 1
        return True

    def failed(self, is_try: bool, now: float, chance: float, pause_s: float | None = None) -> None:
        """A request was not answered. `chance` is from 0 to 1; `pause_s` is how long to wait, where that is not for this to decide."""
        if is_try:
            self._is_trying = False
        else:
            self._under_way -= 1
            if self.is_down:
                return  # it was sent before that was known
        if pause_s is None:
            pause_s = min(BACKOFF_LIMIT_S, BACKOFF_FIRST_S * 2.0 ** min(self._failures, 20)) * (1.0 + chance / 4)
        self.is_down = True
        self._failures += 1
        self.next_try = now + pause_s

    def gave_up(self, is_try: bool) -> None:
        """Whoever asked went away before there was an answer."""
        if is_try:
            self._is_trying = False
        else:
            self._under_way -= 1

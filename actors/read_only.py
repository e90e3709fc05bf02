"""`ReadOnlyTurn`: what a read-only handler works with in place of a turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn
from uuid import uuid4

from actors.activity import Activity
from actors.delivery import Delivery
from actors.errors import ReadOnly
from actors.journal import EntryType
from actors.message import Message


class ReadOnlyTurn:
    """The state, a clock and chance; whatever would leave a trace is refused with `ReadOnly`."""

    def __init__(
        self, message: Message, state: Mapping[str, Any], clock_ns: Callable[[], int]
    ) -> None:
        self.message = message
        self.state = state
        self._clock_ns = clock_ns

    def read_only(self) -> ReadOnlyTurn:
        return self

    def now(self) -> int:
        return self._clock_ns() // 1000

    def uuid(self) -> str:
        return uuid4().hex

    def patched(self, name: str) -> bool:
        return True

    def update_state(self, patch: Mapping[str, Any]) -> None:
        self._refuse("change the state")

    async def call_activity(self, activity: Activity, arguments: Mapping[str, Any]) -> Any:
        self._refuse("call an activity")

    async def sleep(self, seconds: float) -> None:
        self._refuse("sleep")

    async def wait_for_event(self, name: str, timeout: float | None) -> Any:
        self._refuse("wait for an event")

    async def call(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], timeout: float | None
    ) -> Any:
        self._refuse("call another actor")

    async def query(
        self, actor_type: type[Any], key: str, message_type: str, payload: Mapping[str, Any]
    ) -> Any:
        self._refuse("ask another actor")

    async def gather(self, calls: Sequence[Awaitable[Any]]) -> list[Any]:
        self._refuse("gather")

    def new_child(self, actor_type: str) -> str:
        self._refuse("start a child")

    def saga_entry(self, entry_type: EntryType, saga: str, more: Mapping[str, Any]) -> None:
        self._refuse("begin a saga")

    def send(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], delivery: Delivery
    ) -> None:
        self._refuse("send a message")

    def spawn(
        self, actor_type: str, key: str | None, message_type: str, payload: Mapping[str, Any]
    ) -> str:
        self._refuse("start a child")

    def annotate(self, labels: Sequence[str]) -> None:
        self._refuse("annotate its trace")

    def _refuse(self, what: str) -> NoReturn:
        message = self.message
        raise ReadOnly(
            f"the handler {message.message_type} of {message.actor_type} is read-only: it cannot"
            f" {what}"
        )

"""Who hears what this process decides and finds: those who follow the events, and those who get notices."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from provider.api import answers
from provider.api.events import Events
from provider.app.notified import Notified
from provider.app.settings import Settings
from provider.controller.controller import Controller
from provider.controller.outputs import Listeners
from provider.model import Condition, Decision
from provider.observability import notices
from provider.observability.metrics import Metrics
from provider.observability.notifier import Notifier, Result
from provider.store import SharedStore


class Reporting:
    """See the module. `controller` returns that of the term, None while this replica does not lead."""

    def __init__(self, settings: Settings, metrics: Metrics, controller: Callable[[], Controller | None]) -> None:
        self.events = Events()
        self.notifier = Notifier(
            settings.notify_urls, on_sent=lambda result: metrics.notifications.labels(result).inc()
        )
        for result in Result if settings.notify_urls else ():
            metrics.notifications.labels(result)  # from zero on: a rate knows nothing of what begins with 1
        self.listeners = Listeners(
            on_decision=self._decided,
            on_change=self._changed,
            on_service_condition=self._service_condition,
        )
        self._settings, self._controller = settings, controller
        self._notified: Notified | None = None

    def follow_term(self, shared: SharedStore | None) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Begin with a term; return its loops, which notify of what an earlier leader may not have (rule 63)."""
        self._notified = None
        if shared is None or not self._settings.notify_urls:
            return {}
        self._notified = Notified(shared, self._notify_decision, lambda: self.notifier.is_idle)
        return {"notified": self._notified.run}

    def condition(self, condition: Condition, is_reworded: bool) -> None:
        """Notify of a condition of the daemon."""
        self._notify(notices.of_condition(condition, self._environment, is_reworded=is_reworded))

    def _decided(self, decision: Decision) -> None:
        """Send a decision that is on disk to those who follow the events, and notify of it."""
        self.events.put(decision)
        self._notify_decision(decision)
        if self._notified is not None:
            self._notified.decided(decision)

    def _changed(self, groups: Iterable[str]) -> None:
        members = self._leading.state.members
        self.events.change(lambda: (name for key in groups for name in members.get(key, ())))

    def _service_condition(self, service: str, condition: Condition) -> None:
        self._notify(notices.of_service_condition(condition, service, self._environment))

    def _notify_decision(self, decision: Decision) -> None:
        context = answers.context(self._leading.state, decision.service, self._settings.public_url)
        self._notify(notices.of_decision(decision, context) if context is not None else None)

    def _notify(self, notice: notices.Notice | None) -> None:
        if notice is not None:
            self.notifier.put(notice)

    @property
    def _leading(self) -> Controller:
        controller = self._controller()
        assert controller is not None, "only a controller decides"
        return controller

    @property
    def _environment(self) -> str:
        controller = self._controller()
        desired = controller.state.desired if controller is not None else None
        return (
            desired.environment if desired is not None else str(self._settings.desired_state or self._settings.replica)
        )

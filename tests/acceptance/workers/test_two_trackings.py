"""Two tracking services, as docs/operations.md recommends: one tracks, whichever ends."""

from __future__ import annotations

from ...support.restaurant import eventually
from ...support.waiting import Stopwatch
from .test_tracking import Make, tracked

FLOWS_WITHIN_S = 5.0


def test_two_tracking_services_continue_within_seconds_of_any_restart(new_restaurant: Make) -> None:
    restaurant = new_restaurant()
    restaurant.open()
    first, second = restaurant.track(), restaurant.track(ready=False)
    second.wait_for("standing_by", count=2)
    placed: list[tuple[str, int]] = []

    def assert_flow() -> None:
        flowing = Stopwatch()
        placed.append((restaurant.place(), 1))
        eventually(lambda: tracked(restaurant) == sorted(placed), 20, "each change is tracked once")
        flowing.assert_within(FLOWS_WITHIN_S)

    assert_flow()
    rabbitmq, postgres = restaurant.servers.rabbitmq, restaurant.servers.postgres
    for restart in (rabbitmq.restart, rabbitmq.restart, rabbitmq.restart, postgres.restart):
        restart()
        restaurant.serves_again()
        assert_flow()
    for killed in (first, second):
        killed.kill()
        standby = restaurant.track(ready=False)
        assert_flow()
        assert not standby.said("event_gap") + killed.said("event_gap")
        eventually(lambda new=standby: new.lines, 60, "it has come up")

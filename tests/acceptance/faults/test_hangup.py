"""SIGHUP, which a process gets when its terminal closes, stops it as SIGTERM does."""

from __future__ import annotations

from collections.abc import Callable

from ...support.restaurant import Restaurant


def test_every_process_stops_in_order_when_its_terminal_closes(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    service = restaurant.open(stations="quality")
    cook = restaurant.start_cook("mario", cooking_time=1.5, grace=10)
    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)
    tracking = restaurant.track()
    standby = restaurant.track(ready=False)
    standby.wait_for("standing_by")
    webhooks = restaurant.start("webhooks", "--mode=webhook-worker")
    webhooks.wait_for("worker_connected")
    station = restaurant.start_cook("quality_1", station="quality", station_time=0)
    subscriber = restaurant.subscribe(name=f"screen_{restaurant.port}")
    processes = [service, cook, tracking, standby, webhooks, station, subscriber]
    for each in processes:
        each.hang_up()

    for each in processes:
        assert each.exit_code() == 0, each.name
    assert restaurant.ledger.orders()[number]["status"] == "ready"
    assert cook.lines[-1]["action"] == "worker_disconnected"
    assert service.lines[-1]["action"] == "service_stopped"
    states = restaurant.ledger.rows("select distinct status from workers")
    assert states == [{"status": "offline"}]


def test_processes_that_nohup_started_go_on_when_the_terminal_closes(
    new_restaurant: Callable[[], Restaurant],
) -> None:
    restaurant = new_restaurant()
    flags = (f"--port={restaurant.port}", "--stations=none", "--log-level=DEBUG")
    service = restaurant.start("order_service", "--mode=order-service", *flags, nohup=True)
    cook = restaurant.start("mario", "--mode=kitchen-worker", "--worker-name=mario", nohup=True)
    service.wait_for("service_started")
    cook.wait_for("worker_connected")

    for each in (service, cook):
        each.hang_up()

    number = restaurant.place()
    restaurant.ledger.wait_for("cooking", [number], 5)
    assert not service.said("worker_respawned")
    cook.hang_up()
    assert [each.stop() for each in (cook, service)] == [0, 0]
    assert restaurant.ledger.orders()[number]["status"] == "ready"

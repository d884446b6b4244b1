"""Storms at small size: the command's parts, on the session's servers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from chaos_tools import cli
from chaos_tools.cluster import ChaosCluster
from chaos_tools.report import Report
from chaos_tools.run import RunOptions, run_scenario
from chaos_tools.scenario import SCENARIOS, Scenario
from devservices import Servers

SMALL = RunOptions(seed=7, seconds=2.0, rate=4.0, warm_up=0.5)
# One cluster for many scenarios: its start takes longer than any of them.
BESIDE_THE_GUESTS = (
    "cooks", "stations", "commit-publish", "commit-ack", "queue-deleted", "duplicates", "poison",
    "busy-day", "hang-ups",
)  # fmt: skip
BEFORE_THE_GUESTS = ("clock", "one-way")
# What these do takes seconds, at any size.
CROWDED = ("backlog-burst", "wrong-address", "foreign-garbage")
# The others, at the size of a test of their own.
ELSEWHERE = {
    "rolling-restart": "acceptance/workers/test_upgrade.py::"
    "test_the_order_service_is_followed_by_another_and_no_request_fails_twice",
    "order-service": "acceptance/faults/test_kills.py::"
    "test_the_process_that_publishes_may_die_at_any_moment",
    "relay-killed": "taskqueue/relay/test_leadership.py::"
    "test_one_leads_and_a_killed_leader_is_followed_within_a_second",
    "frozen-cook": "acceptance/faults/test_stopping.py::"
    "test_a_frozen_cook_that_continues_changes_nothing",
    "long-cook": "taskqueue/worker/test_ack.py::"
    "test_a_job_longer_than_the_heartbeat_time_out_is_delivered_once",
    "frozen-in-transaction": "taskqueue/jobs/test_open_transactions.py::"
    "test_a_worker_frozen_in_its_transaction_is_replaced_and_no_other_job_waits",
    "long-transaction": "taskqueue/jobs/test_open_transactions.py::"
    "test_a_job_may_hold_its_transaction_for_long",
    "two-trackings": "acceptance/workers/test_two_trackings.py::"
    "test_two_tracking_services_continue_within_seconds_of_any_restart",
    "row-lock": "taskqueue/outbox/test_locked_rows.py::"
    "test_locked_messages_in_every_state_delay_no_others",
    "unroutable": "taskqueue/outbox/test_refusals.py::"
    "test_events_to_missing_exchanges_delay_no_others_and_become_dead_letters",
    "servers-late": "acceptance/faults/test_start.py::"
    "test_processes_that_come_before_their_servers_come_up_by_themselves",
    "broker-killed": "acceptance/faults/test_broker.py::"
    "test_an_order_that_is_cooking_while_the_broker_crashes_is_ready_once",
    "broker-wiped": "acceptance/faults/test_broker.py::"
    "test_a_broker_that_lost_its_disk_is_filled_again",
    "backlog-wiped": "taskqueue/outbox/test_republisher.py::"
    "test_messages_of_an_emptied_queue_are_published_again_while_events_are_published",
    "broker-hung": "acceptance/faults/test_broker.py::"
    "test_a_short_hang_of_the_broker_does_not_slow_orders",
    "database-killed": "acceptance/faults/test_database.py::"
    "test_orders_are_503_within_two_seconds_and_accepted_again_afterwards",
    "database-hung": "acceptance/faults/test_database.py::"
    "test_orders_refused_during_a_hang_are_not_stored_after_it",
    "read-only": "acceptance/faults/test_read_only.py::"
    "test_orders_are_503_meanwhile_and_201_afterwards",
    "network": "taskqueue/outages/test_network.py::"
    "test_connections_that_break_at_random_lose_and_double_nothing",
}


def in_sequence(name: str, scenarios: Sequence[Scenario]) -> Scenario:
    """Several scenarios on one cluster, with a recovery after each."""

    def run(cluster: ChaosCluster, random: Random, seconds: float) -> None:
        for each in scenarios:
            each.run(cluster, random, seconds)
            cluster.recover()

    assert not any(each.start_late for each in scenarios), "the processes run already"
    return Scenario(
        name,
        ", ".join(each.name for each in scenarios),
        run,
        use_proxy=any(each.use_proxy for each in scenarios),
        expect_no_errors=all(each.expect_no_errors for each in scenarios),
        recovery=max(each.recovery for each in scenarios),
    )


@pytest.mark.parametrize(
    "names",
    [BESIDE_THE_GUESTS, BEFORE_THE_GUESTS, CROWDED],
    ids=["beside", "before", "crowded"],
)
def test_small_scenarios_end_in_zeros(
    servers: Servers, tmp_path: Path, names: tuple[str, ...]
) -> None:
    scenario = in_sequence("small", [SCENARIOS[name] for name in names])
    report = run_scenario(servers, tmp_path, scenario, SMALL)
    # Times are for ./scripts/chaos to judge: here they are those of a machine that does much else.
    report.late.clear()
    assert report.good, cli.words(report)
    assert report.hits == report.aimed > 0
    assert report.delivered >= report.accepted > 0


def test_every_scenario_runs_at_small_size_too() -> None:
    small = {*BESIDE_THE_GUESTS, *BEFORE_THE_GUESTS, *CROWDED}
    assert set(SCENARIOS) == small | {*ELSEWHERE}
    tests = Path(__file__).parent.parent
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (tests / file).read_text(), place
    assert all(scenario.description for scenario in SCENARIOS.values())


def test_an_unknown_scenario_is_refused_with_the_names_of_those_that_exist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.parse_arguments(["tornado"])
    assert "there is no scenario 'tornado'; there are" in capsys.readouterr().err


def test_a_report_with_errors_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("cooks", 1, 30.0, accepted=2, delivered=1, lost=["ORD_20261125_002"])
    assert cli.words(report) == "1 lost (ORD_20261125_002)"
    cli.show([report])
    cli.write(tmp_path / "chaos.json", [report])
    assert "cooks" in capsys.readouterr().out
    (written,) = json.loads((tmp_path / "chaos.json").read_text())["reports"]
    assert (written["good"], written["lost"]) == (False, ["ORD_20261125_002"])


def test_notifications_lost_at_the_broker_are_no_error() -> None:
    lost_notification = Report(
        "broker-wiped", 1, 30.0, lost_at_broker=["ORD_1 change 2 at tracking"]
    )
    assert lost_notification.good
    assert "0 (1)" in cli.cells(lost_notification)


def test_the_table_is_no_wider_than_a_wide_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    longest = max(SCENARIOS, key=len)
    many = Report(longest, 1, 30.0, 1200, 1200, lost_at_broker=["x"] * 999, hits=800, aimed=800)
    cli.show([many])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 200

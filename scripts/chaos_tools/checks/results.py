"""Fills the report: the orders in the database, compared with the numbers answered."""

from collections import Counter
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Any

from benchmarks.results import percentile
from chaos_tools.checks import queries
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.report import Report
from chaos_tools.scenario import RECOVERY_SECONDS, Scenario
from chaos_tools.workload.order_generator import Response
from pizza.domain.status import RECEIVED, TRANSITIONS

# The limit applies to 95 of 100 responses. The slowest is only shown: clients share the machine
# with servers that start, so a client may wait for a processor.
RESPONSE_SECONDS = 2.0
DRAIN_SECONDS = 30.0
_SPEED_SPAN = 2.0
_SPEED_SHARE = 0.8


def fill_report(cluster: ChaosCluster, accepted: Collection[str], *, rate: float = 1.0) -> Report:
    """Add the results of the database and the logs to the report. rate: orders a second."""

    def numbers(query: str, **values: Any) -> list[str]:
        return sorted(row[0] for row in cluster.rows(query, **values))

    report, answered = cluster.report, Counter(accepted)
    report.accepted = len(accepted)
    report.delivered = delivered_count(cluster)
    report.lost[:0] = numbers(queries.LOST, accepted=list(accepted))
    twice = [f"{number} answered twice" for number, times in answered.items() if times > 1]
    report.doubled[:0] = numbers(queries.DOUBLED) + twice
    report.overlapping = numbers(queries.OVERLAPPING)
    report.wrong = wrong_steps(cluster.rows(queries.STEPS))
    report.missing = numbers(queries.MISSING) + numbers(queries.OUTBOX)
    report.missed, report.lost_at_broker = missed_changes(cluster)
    report.disordered = numbers(queries.DISORDERED)
    report.non_json_lines = cluster.non_json_lines()
    report.recovery = longest_recovery(cluster, rate)
    report.slowest = cluster.value(queries.SLOWEST)
    return report


def check_times(report: Report, scenario: Scenario, responses: Sequence[Response]) -> None:
    """Fill in the exceeded limits of time, and the responses that should have been 201."""
    # A connection that breaks does not count: its client retries at once. One without an answer
    # counts with its time-out.
    times = sorted(each.seconds for each in responses if each.status or each.timed_out)
    report.answers = (percentile(times, 95), times[-1]) if times else (0.0, 0.0)
    limits = (
        ("95 of 100 responses", report.answers[0], RESPONSE_SECONDS),
        ("full speed", report.recovery, scenario.recovery),
        ("an empty outbox", report.drained, DRAIN_SECONDS),
    )
    report.late = [
        f"{what} after {seconds:.1f} s instead of {limit:g}"
        for what, seconds, limit in limits
        if seconds > limit
    ]
    report.late += [str(each) for each in report.latencies if each.seconds > each.limit]
    if scenario.expect_no_errors:
        denied = sorted(each.status for each in responses if each.status != HTTPStatus.CREATED)
        report.denied = [f"{status or 'no answer'} ×{denied.count(status)}" for status in denied]


def delivered_count(cluster: ChaosCluster) -> int:
    """How many orders are delivered."""
    return int(cluster.value("select count(*) from orders where status = 'delivered'"))


def remaining_count(cluster: ChaosCluster, accepted: Collection[str]) -> int:
    """How many orders, messages and changes are still to be delivered, sent and received."""
    orders = len(cluster.rows(queries.LOST, accepted=list(accepted)))
    return int(
        orders + cluster.value("select count(*) from message") + len(missed_changes(cluster)[0])
    )


def missed_changes(cluster: ChaosCluster) -> tuple[list[str], list[str]]:
    """Changes that a subscriber did not receive: those to report, and those lost at the broker."""
    found: tuple[list[str], list[str]] = ([], [])
    for what, id in cluster.rows(queries.MISSED, subscriber=SUBSCRIBER):
        found[id in cluster.lost_at_broker].append(what)
    return sorted(found[0]), sorted(found[1])


def longest_recovery(cluster: ChaosCluster, rate: float) -> float:
    """The longest time in seconds from a recovery to full speed; 0 where nothing was left to cook.

    A recovery that ends before full speed in another injection counts only if it lasted longer
    than RECOVERY_SECONDS.
    """
    found = [0.0]
    values = {"count": max(1, round(_SPEED_SHARE * _SPEED_SPAN * rate)), "span": _SPEED_SPAN}
    for moment in cluster.recovered:
        until = min((each for each in cluster.injected if each > moment), default=None)
        seconds = cluster.value(queries.RECOVERY, moment=moment, until=until, **values)
        if seconds is not None:
            found.append(seconds)
        elif until is not None and (until - moment).total_seconds() > RECOVERY_SECONDS:
            found.append((until - moment).total_seconds())
    return max(found)


def wrong_steps(steps: Collection[tuple[Any, ...]]) -> list[str]:
    """Numbers of the orders with a change of status that is not in TRANSITIONS."""
    known = {(row.source, row.target, kind) for row in TRANSITIONS for kind in row.order_types}
    return sorted(
        {
            number
            for number, kind, status, before in steps
            if (before, status, kind) not in known and status != (before or RECEIVED)
        }
    )

"""The verdict: what the database says of the orders, beside the numbers that guests were told."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pizza.domain.status import RECEIVED, TRANSITIONS
from storms.world import SUBSCRIBER, World

BAD = (
    "lost", "doubled", "overlapping", "wrong", "missing", "unheard", "disordered", "died",
    "odd_lines", "failures",
)  # fmt: skip

_LOST = """
select told.number from unnest(%(accepted)s::text[]) as told(number)
where not exists (select from orders o where o.number = told.number)
union
select number from orders where status <> 'delivered'
"""
_DOUBLED = """
select o.number || ' ' || l.status from orders o join order_status_log l on l.order_id = o.id
where l.status in ('received', 'ready', 'out-for-delivery', 'delivered')
group by o.number, l.status having count(*) > 1
union
select max(number) || ' placed' from orders group by customer_name having count(*) > 1
union
select o.number || ' at ' || s.stage from orders o join order_stage s on s.order_id = o.id
where s.finished_at is not null
group by o.number, s.stage having count(*) > 1
"""
# A second cook has to have taken over from the first, and only the last one may finish.
_OVERLAPPING = """
with step as (
    select order_id, status, changed_by, notes,
           lag(status) over one as old, lag(changed_by) over one as old_by
    from order_status_log window one as (partition by order_id order by sequence)
)
select distinct o.number from step s join orders o on o.id = s.order_id
where s.old = 'cooking'
  and (s.status = 'cooking' and s.notes is distinct from 'taken over from ' || s.old_by
       or s.status = 'ready' and s.changed_by <> s.old_by)
"""
_STEPS = """
select o.number, o.type::text, l.status::text,
       lag(l.status::text) over (partition by l.order_id order by l.sequence)
from order_status_log l join orders o on o.id = l.order_id
"""
# Every change has its number, without a gap.
_MISSING = """
select o.number || ' in the log' from orders o left join order_status_log l on l.order_id = o.id
group by o.number, o.version
having count(l.sequence) <> o.version or min(l.sequence) <> 1 or max(l.sequence) <> o.version
"""
# And was heard by tracking and by the subscriber.
_UNHEARD = """
select o.number || ' at tracking' from orders o join order_status_log l on l.order_id = o.id
where not exists (select from tracking_event t
                  where t.order_number = o.number and t.sequence = l.sequence)
union
select t.order_number || ' at the subscriber' from tracking_event t
where not exists (select from notification_delivery d
                  where d.subscriber = %(subscriber)s and d.event_id = t.event_id)
"""
_OUTBOX = "select id::text || ' in the outbox' from message"
_DISORDERED = """
select distinct order_number from (
    select order_number, sequence,
           lag(sequence) over (partition by order_number order by received_at) as before
    from tracking_event
) heard where before > sequence
"""
_SLOWEST = """
select coalesce(max(extract(epoch from l.changed_at - o.created_at)), 0)::float8
from orders o join order_status_log l on l.order_id = o.id where l.status = 'delivered'
"""
_RECOVERY = """
select extract(epoch from min(changed_at) - %(moment)s)::float8
from order_status_log where status = 'cooking' and changed_at > %(moment)s
"""


@dataclass
class Verdict:
    """What one storm left behind. Everything that is named in BAD has to be empty.

    lost … disordered: orders by number. recovery: the longest time from a mend to a cooking.
    failures: orders that the guests could not place at all. excused: what the storm may spoil.
    """

    storm: str
    seed: int
    seconds: float
    accepted: int = 0
    delivered: int = 0
    unanswered: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    overlapping: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    odd_lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    recovery: float = 0.0
    slowest: float = 0.0

    @property
    def good(self) -> bool:
        """Whether all that has to be zero is."""
        return not any(getattr(self, name) for name in BAD if name not in self.excused)

    def as_json(self) -> dict[str, Any]:
        """For the file beside the table."""
        return asdict(self) | {"good": self.good}


def read(world: World, accepted: Collection[str], verdict: Verdict) -> Verdict:
    """Fill in what the database says, and the processes' last words."""

    def numbers(query: str, **values: Any) -> list[str]:
        return sorted(row[0] for row in world.rows(query, **values))

    verdict.accepted = len(accepted)
    verdict.delivered = delivered(world)
    verdict.lost = numbers(_LOST, accepted=list(accepted))
    verdict.doubled = numbers(_DOUBLED)
    verdict.overlapping = numbers(_OVERLAPPING)
    verdict.wrong = wrong_steps(world.rows(_STEPS))
    verdict.missing = numbers(_MISSING) + numbers(_OUTBOX)
    verdict.unheard = numbers(_UNHEARD, subscriber=SUBSCRIBER)
    verdict.disordered = numbers(_DISORDERED)
    verdict.died = list(world.died)
    verdict.odd_lines = world.odd_lines()
    verdict.recovery = max((recovery(world, moment) for moment in world.healed), default=0.0)
    verdict.slowest = world.value(_SLOWEST)
    return verdict


def delivered(world: World) -> int:
    """How many orders are with their guests."""
    return int(world.value("select count(*) from orders where status = 'delivered'"))


def undone(world: World, accepted: Collection[str], *, heard: bool) -> int:
    """How much is still to come: orders to deliver, messages to send, and if `heard` to hear."""
    orders = len(world.rows(_LOST, accepted=list(accepted)))
    messages = world.value("select count(*) from message")
    unheard = len(world.rows(_UNHEARD, subscriber=SUBSCRIBER)) if heard else 0
    return int(orders + messages + unheard)


def recovery(world: World, moment: datetime) -> float:
    """Seconds from a mend to the next cooking; 0 where nothing was left to cook."""
    return float(world.value(_RECOVERY, moment=moment) or 0.0)


def wrong_steps(steps: Collection[tuple[Any, ...]]) -> list[str]:
    """Orders with a change of status that the table of the domain does not know."""
    known = {(row.source, row.target, kind) for row in TRANSITIONS for kind in row.order_types}
    return sorted(
        {
            number
            for number, kind, status, before in steps
            if (before, status, kind) not in known and status != (before or RECEIVED)
        }
    )

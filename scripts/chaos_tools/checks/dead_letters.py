"""The dead letters, where this release keeps them: in rows, or in messages at the broker."""

from chaos_tools.checks import queues
from chaos_tools.cluster import ChaosCluster
from pizza.taskqueue.topology import DEAD_LETTER_QUEUE

_HAS_ROWS = "select to_regclass('dead_message') is not null"
_ROWS = "select body, reason from dead_message"


def dead_letters(cluster: ChaosCluster) -> list[tuple[bytes, str]]:
    """Body and reason of each dead letter; they stay where they are."""
    if cluster.value(_HAS_ROWS):
        return [(bytes(body), reason or "") for body, reason in cluster.rows(_ROWS)]
    found = []
    for message in queues.read(cluster, DEAD_LETTER_QUEUE):
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        headers = message.properties.get("application_headers") or {}
        found.append((body, str(headers.get("reason") or "")))
    return found

"""A restaurant for a minute: servers, all its staff, a lunch rush, a clean end.

Takes PostgreSQL from DB_URL and RabbitMQ from RABBITMQ where set (environment or .env); otherwise
both are private, with their data in .pizza, kept from run to run.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress

from rich.live import Live

from bootstrap.data_dir import ROOT, clean, data_folder
from demo_tools.order_view import HEADINGS, OrderView, Row, RushFailed, verify
from demo_tools.scenario import Show, cancel_one, follow, orders, place, prioritise_one
from devservices import claim, free_port, wait_until
from pizza.config.settings import SettingsError, read_dotenv
from pizza.domain.stations import STATION_NAMES
from pizza.domain.status import COOKING, RECEIVED
from supervisor.api_client import ApiClient, ApiError
from supervisor.backing_services import BackingServices
from supervisor.program import Stopped, run_program
from supervisor.supervisor import Supervisor, SupervisorFailed
from terminal.progress import step
from terminal.tables import build_table, print_table

USUAL_PORT = 3000
COOKS = 3
WORKERS = COOKS + len(STATION_NAMES)
PACE = {"COOKING_TIME": "1.5", "STATION_TIME": "0.4", "STATIONS": "all", "SEND_BACK_PERCENT": "0"}
OPENING_SECONDS = 60.0
FAILURES = (ApiError, SupervisorFailed, RushFailed, SettingsError)


def main() -> int:
    """Run the demo; 0 when every order was cooked exactly once and everything was stopped."""
    options = parse_arguments()
    if options.clean:
        return clean()
    began = time.monotonic()
    code = run_program(lambda: run(options.stay), FAILURES, "the demo failed: ")
    if code == 0:
        print(f"Everything is stopped. {time.monotonic() - began:.0f} s in all.")
    return code


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stay", action="store_true", help="leave the restaurant open until Ctrl-C")
    what.add_argument(
        "--clean", action="store_true", help="remove .pizza (data, logs, fetched programs)"
    )
    return parser.parse_args()


def run(stay: bool) -> int:
    """Start the restaurant, run the rush, show the result, stay open if asked, stop."""
    given = read_dotenv(ROOT / ".env") | os.environ
    claimed = claim(USUAL_PORT)
    port = USUAL_PORT if claimed else free_port()
    restarted: list[str] = []
    with closing(claimed) if claimed else nullcontext(), data_folder() as folder:
        backing = BackingServices(folder, given)
        procfile = {"ORDER_PORT": str(port), **PACE}
        supervisor = Supervisor(backing, folder / "logs", procfile, restarted.append)
        key = given.get("STAFF_KEY", "").replace(",", " ").split()
        client = ApiClient(port, supervisor.check, key[0] if key else "")
        try:
            open_restaurant(supervisor, client)
            mention_older(client)
            views = lunch_rush(client)
            print_table(HEADINGS, [view.table_row() for view in views])
            print("\n".join(verify(client, views)))
            for name in restarted:
                print(f"  {name} had died and was started again.")
            print_what_next(client, max(views, key=lambda view: len(view.history)), stay)
            if stay:
                print_addresses(backing.environment)
                stay_open(supervisor)
        finally:
            with step("Closing the restaurant"):
                supervisor.close()
    return 0


def open_restaurant(supervisor: Supervisor, client: ApiClient) -> None:
    """Servers, tables, queues, order service and workers, until orders can be taken and cooked."""
    try:
        supervisor.start_services()
    except SupervisorFailed as error:
        if not supervisor.backing.has_old_data:
            raise
        print(f"  The data of an earlier run does not fit: {error}")
        supervisor.backing.move_data_away()
        supervisor.start_services()
    staff = f"{COOKS} cooks, {', '.join(STATION_NAMES)}"
    with step(f"Opening the order service; {staff} come in"):
        supervisor.open({"cook": COOKS})
        if not wait_until(lambda: is_open(supervisor, client), OPENING_SECONDS, 0.1):
            raise SupervisorFailed(f"The restaurant was not open after {OPENING_SECONDS:.0f} s.")


def is_open(supervisor: Supervisor, client: ApiClient) -> bool:
    """Whether all workers are online and the service is ready. Raises SupervisorFailed."""
    supervisor.check()
    workers = client.get("/workers/status", OPENING_SECONDS)
    online = sum(worker["status"] == "online" for worker in workers)
    return online >= WORKERS and client.get("/readyz")["status"] == "ready"


def lunch_rush(client: ApiClient) -> list[OrderView]:
    """Place the orders, cancel one, prioritise one; then watch until all are delivered."""
    print(f"\nThe lunch rush at {client.url}:\n")
    views: list[OrderView] = []
    with watch(views) as show:
        for order in orders():
            views.append(place(client, order))
            show(None, None)
        prioritise_one(client, views)
        views += cancel_one(client)
        follow(client, views, show)
    print()
    return views


@contextmanager
def watch(views: Sequence[OrderView]) -> Iterator[Show]:
    """A live table of orders on a terminal, for the time of the block; elsewhere lines of text.

    Gives the function that draws the table again, or prints a change, if any.
    """
    live = Live(auto_refresh=False, transient=True)

    def show(changed: OrderView | None, row: Row | None) -> None:
        if live.console.is_terminal:
            live.update(build_table(HEADINGS, [view.table_row() for view in views]), refresh=True)
        elif changed and row:
            print(changed.line(row), flush=True)

    with live if live.console.is_terminal else nullcontext():
        yield show


def mention_older(client: ApiClient) -> None:
    """Say how many orders of an earlier run are before ours; its data is kept, and so are they."""
    board = client.get("/kitchen/board")
    older = sum(order["status"] in (RECEIVED, COOKING) for order in board)
    if older:
        orders_wait = "1 order waits" if older == 1 else f"{older} orders wait"
        print(f"  {orders_wait} from an earlier run and will be cooked as well.")


def print_what_next(client: ApiClient, view: OrderView, stay: bool) -> None:
    """What to do now, with lines to copy."""
    order = '{"customer_name": "You", "items": [{"name": "Pizza", "quantity": 1, "price": 9.5}]}'
    url = client.url if stay else f"http://127.0.0.1:{USUAL_PORT}"
    pages = {"/": "order something", "/kitchen": "the kitchen's board"}
    pages |= {"/manage": "workers, queues, figures, menu"}
    pages |= {view.page: "the steps of an order"} if view.page else {}
    if stay:
        print("\nThe restaurant stays open until Ctrl-C. In a browser:")
        for page, what in pages.items():
            print(f"  {url}{page:24} {what}")
        print("Or on a terminal:")
    else:
        print(f"\n`scripts/demo --stay` leaves the restaurant open at {url}; then order something:")
    print(f"  curl {url}/orders -d '{order}'")
    print(f"  curl {url}/orders/{view.number}/history")
    print(f"  curl {url}/workers/status\n")


def print_addresses(environment: Mapping[str, str]) -> None:
    """What the commands of the documentation need to reach this restaurant, to be copied."""
    print("For restaurant-system and flask --app pizza in another terminal:")
    print("  . .venv/bin/activate")
    for name, value in environment.items():
        print(f"  export {name}={value}")
    print(flush=True)


def stay_open(supervisor: Supervisor) -> None:
    """Wait for a signal."""
    with suppress(Stopped):
        while True:
            supervisor.check()
            time.sleep(0.5)
    print()


if __name__ == "__main__":
    sys.exit(main())

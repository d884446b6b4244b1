"""A restaurant for a minute: servers, all its staff, a lunch rush to the last door, a clean end.

Takes PostgreSQL from DB_URL and RabbitMQ from RABBITMQ where set (environment or .env); otherwise
both are private, with their data in .pizza, kept from run to run.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bootstrap import clean
from bootstrap.data_dir import ROOT, DataFolderError, data_folder
from demo_tools.board import DemoBoard
from demo_tools.order_view import OrderView, RushFailed
from demo_tools.scenario import follow, one_more, orders, place, verify
from demo_tools.staff_actions import cancel_one, prioritise_one
from devservices import ProcessFailed, claim, free_port
from pizza.config.settings import SettingsError, read_dotenv
from pizza.domain.stations import STATION_NAMES
from pizza.domain.status import COOKING, RECEIVED
from supervisor.api_client import ApiClient, ApiError
from supervisor.backing_services import BackingServices
from supervisor.signals import Stopped, stop_on_signals
from supervisor.supervisor import Supervisor, SupervisorFailed
from terminal.progress import step

USUAL_PORT = 3000
COOKS = 3
WORKERS = COOKS + len(STATION_NAMES)
PACE = {"COOKING_TIME": "1.5", "STATION_TIME": "0.4", "STATIONS": "all", "SEND_BACK_PERCENT": "0"}
OPENING_SECONDS = 60.0
FAILURES = (ApiError, DataFolderError, OSError, ProcessFailed, SupervisorFailed, RushFailed)


def main() -> int:
    """Run the demo; 0 when every order was cooked exactly once and everything was stopped."""
    options = parse_arguments()
    if options.clean:
        return clean.main()
    stop_on_signals()
    began = time.monotonic()
    try:
        with data_folder() as folder:
            run(folder, options.stay)
    except Stopped as stop:
        print(f"pizza: stopped by {stop}; nothing is left running.", file=sys.stderr)
        return stop.exit_code
    except (*FAILURES, SettingsError) as error:
        print(f"pizza: the demo failed: {error}", file=sys.stderr)
        return 1
    print(f"Everything is stopped. {time.monotonic() - began:.0f} s in all.")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stay", action="store_true", help="leave the restaurant open until Ctrl-C")
    what.add_argument(
        "--clean", action="store_true", help="remove .pizza (data, logs, fetched programs)"
    )
    return parser.parse_args()


def run(folder: Path, stay: bool) -> None:
    """Start the restaurant, run the rush, show the result, stay open if asked, stop."""
    given = read_dotenv(ROOT / ".env") | os.environ
    backing = BackingServices(folder, given)
    claimed = claim(USUAL_PORT)
    port = USUAL_PORT if claimed else free_port()
    procfile = {"ORDER_PORT": str(port), **PACE}
    supervisor = Supervisor(backing, folder / "logs", procfile)
    key = given.get("STAFF_KEY", "").replace(",", " ").split()
    client = ApiClient(port, supervisor.check, key[0] if key else "")
    board = DemoBoard()
    try:
        open_restaurant(supervisor, client)
        mention_older(client)
        views = lunch_rush(client, board)
        board.print_result()
        print("\n".join(verify(client, views)))
        for name in supervisor.restarted:
            print(f"  {name} had died and was started again.")
        print_what_next(client, max(views, key=lambda view: len(view.history)), stay)
        if stay:
            print_addresses(backing.environment)
            stay_open(supervisor)
    finally:
        with step("Closing the restaurant"):
            supervisor.close()
        if claimed:
            claimed.close()


def open_restaurant(supervisor: Supervisor, client: ApiClient) -> None:
    """Servers, tables, queues, order service and workers, until orders can be taken and cooked."""
    supervisor.backing.prepare()
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
        deadline = time.monotonic() + OPENING_SECONDS
        while online(client) < WORKERS or client.get("/readyz")["status"] != "ready":
            supervisor.check()
            if time.monotonic() > deadline:
                raise SupervisorFailed(
                    f"The restaurant was not open after {OPENING_SECONDS:.0f} s."
                )
            time.sleep(0.1)


def online(client: ApiClient) -> int:
    """How many workers are at work."""
    workers = client.get("/workers/status", OPENING_SECONDS)
    return sum(worker["status"] == "online" for worker in workers)


def lunch_rush(client: ApiClient, board: DemoBoard) -> list[OrderView]:
    """Place the orders, cancel one, hurry one; then watch them until all are with their guests."""
    print(f"\nThe lunch rush at {client.url}:\n")
    views: list[OrderView] = []
    with board.watching(views):
        for order in orders():
            views.append(place(client, order))
            board.show(None, None)
        prioritise_one(client, views)
        views += cancel_one(client, lambda: place(client, one_more()))
        follow(client, views, board.show)
    print()
    return views


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
    print()
    if stay:
        print("The restaurant stays open until Ctrl-C. In a browser:")
        print(f"  {url}/{'':24}order something")
        print(f"  {url}/kitchen{'':17}the kitchen's board")
        print(f"  {url}/manage{'':18}workers, queues, figures, menu")
        if view.page:
            print(f"  {url}{view.page}   an order's way")
        print("Or on a terminal:")
    else:
        print(f"`scripts/demo --stay` leaves the restaurant open at {url}; then order something:")
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
    """Wait for a signal, which is the way to end this."""
    try:
        while True:
            supervisor.check()
            time.sleep(0.5)
    except Stopped:
        print()


if __name__ == "__main__":
    sys.exit(main())

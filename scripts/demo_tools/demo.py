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
from demo_tools.board import Board
from demo_tools.order_view import RushFailed, Ticket
from demo_tools.scenario import follow, one_more, orders, place, verify
from demo_tools.staff_actions import cancel_one, hurry_one
from devservices import ProcessFailed, claim, free_port
from pizza.config.settings import SettingsError, read_dotenv
from pizza.domain.stations import STATION_NAMES
from pizza.domain.status import COOKING, RECEIVED
from supervisor.api_client import ApiError, Client
from supervisor.backing_services import Backing
from supervisor.signals import Stopped, stop_on_signals
from supervisor.supervisor import Restaurant, RestaurantFailed
from terminal.progress import step

USUAL_PORT = 3000
COOKS = 3
WORKERS = COOKS + len(STATION_NAMES)
PACE = {"COOKING_TIME": "1.5", "STATION_TIME": "0.4", "STATIONS": "all", "SEND_BACK_PERCENT": "0"}
OPENING_SECONDS = 60.0
FAILURES = (ApiError, DataFolderError, OSError, ProcessFailed, RestaurantFailed, RushFailed)


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
    """Open the restaurant, have the rush, show the result, stay open if asked, close."""
    given = read_dotenv(ROOT / ".env") | os.environ
    backing = Backing(folder, given)
    claimed = claim(USUAL_PORT)
    port = USUAL_PORT if claimed else free_port()
    procfile = {"ORDER_PORT": str(port), **PACE}
    restaurant = Restaurant(backing, folder / "logs", procfile)
    key = given.get("STAFF_KEY", "").replace(",", " ").split()
    client = Client(port, restaurant.check, key[0] if key else "")
    board = Board()
    try:
        open_restaurant(restaurant, client)
        mention_older(client)
        tickets = lunch_rush(client, board)
        board.print_result()
        print("\n".join(verify(client, tickets)))
        for name in restaurant.mended:
            print(f"  {name} had died and was started again.")
        print_what_next(client, max(tickets, key=lambda ticket: len(ticket.history)), stay)
        if stay:
            print_addresses(backing.environment)
            stay_open(restaurant)
    finally:
        with step("Closing the restaurant"):
            restaurant.close()
        if claimed:
            claimed.close()


def open_restaurant(restaurant: Restaurant, client: Client) -> None:
    """Servers, tables, queues, order service and workers, until orders can be taken and cooked."""
    restaurant.backing.prepare()
    try:
        restaurant.start_backing()
    except RestaurantFailed as error:
        if not restaurant.backing.has_old_data:
            raise
        print(f"  The data of an earlier run does not fit: {error}")
        restaurant.backing.set_data_aside()
        restaurant.start_backing()
    staff = f"{COOKS} cooks, {', '.join(STATION_NAMES)}"
    with step(f"Opening the order service; {staff} come in"):
        restaurant.open({"cook": COOKS})
        deadline = time.monotonic() + OPENING_SECONDS
        while online(client) < WORKERS or client.get("/readyz")["status"] != "ready":
            restaurant.check()
            if time.monotonic() > deadline:
                raise RestaurantFailed(
                    f"The restaurant was not open after {OPENING_SECONDS:.0f} s."
                )
            time.sleep(0.1)


def online(client: Client) -> int:
    """How many workers are at work."""
    workers = client.get("/workers/status", OPENING_SECONDS)
    return sum(worker["status"] == "online" for worker in workers)


def lunch_rush(client: Client, board: Board) -> list[Ticket]:
    """Place the orders, cancel one, hurry one; then watch them until all are with their guests."""
    print(f"\nThe lunch rush at {client.url}:\n")
    tickets: list[Ticket] = []
    with board.watching(tickets):
        for order in orders():
            tickets.append(place(client, order))
            board.show(None, None)
        hurry_one(client, tickets)
        tickets += cancel_one(client, lambda: place(client, one_more()))
        follow(client, tickets, board.show)
    print()
    return tickets


def mention_older(client: Client) -> None:
    """Say how many orders of an earlier run are before ours; its data is kept, and so are they."""
    board = client.get("/kitchen/board")
    older = sum(order["status"] in (RECEIVED, COOKING) for order in board)
    if older:
        orders_wait = "1 order waits" if older == 1 else f"{older} orders wait"
        print(f"  {orders_wait} from an earlier run and will be cooked as well.")


def print_what_next(client: Client, ticket: Ticket, stay: bool) -> None:
    """What to do now, with lines to copy."""
    order = '{"customer_name": "You", "items": [{"name": "Pizza", "quantity": 1, "price": 9.5}]}'
    url = client.url if stay else f"http://127.0.0.1:{USUAL_PORT}"
    print()
    if stay:
        print("The restaurant stays open until Ctrl-C. In a browser:")
        print(f"  {url}/{'':24}order something")
        print(f"  {url}/kitchen{'':17}the kitchen's board")
        print(f"  {url}/manage{'':18}workers, queues, figures, menu")
        if ticket.page:
            print(f"  {url}{ticket.page}   an order's way")
        print("Or on a terminal:")
    else:
        print(f"`scripts/demo --stay` leaves the restaurant open at {url}; then order something:")
    print(f"  curl {url}/orders -d '{order}'")
    print(f"  curl {url}/orders/{ticket.number}/history")
    print(f"  curl {url}/workers/status\n")


def print_addresses(environment: Mapping[str, str]) -> None:
    """What the commands of the documentation need to find this restaurant, to be copied."""
    print("For restaurant-system and flask --app pizza in another terminal:")
    print("  . .venv/bin/activate")
    for name, value in environment.items():
        print(f"  export {name}={value}")
    print(flush=True)


def stay_open(restaurant: Restaurant) -> None:
    """Wait for a signal, which is the way to end this."""
    try:
        while True:
            restaurant.check()
            time.sleep(0.5)
    except Stopped:
        print()


if __name__ == "__main__":
    sys.exit(main())

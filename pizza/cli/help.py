# ruff: noqa: E501  (examples are for copying, in one piece)
"""What `restaurant-system --help` prints: the specification's page in its order, with additions.

A test compares the page with the options of the program.
"""

USAGE = """\
Restaurant Order Management System with RabbitMQ and PostgreSQL

Usage:
  restaurant-system --mode=order-service [OPTIONS]
  restaurant-system --mode=kitchen-worker --worker-name=worker_name [OPTIONS]
  restaurant-system --mode=tracking-service [OPTIONS]
  restaurant-system --mode=notification-subscriber [OPTIONS]
  restaurant-system --mode=webhook-worker [OPTIONS]
  restaurant-system --setup-db [OPTIONS]
  restaurant-system --setup-queues [OPTIONS]
  restaurant-system --migrate-db [OPTIONS]
  restaurant-system --help
  restaurant-system --version

Service Modes:
  order-service            REST API for receiving and managing orders
  kitchen-worker           Kitchen staff processing orders from queue
  tracking-service         Centralized order status tracking service
  notification-subscriber  Real-time customer notification service
  webhook-worker           Deliveries over HTTP to the registered webhooks

Connection Options:
  --db                     PostgreSQL connection string (required for all modes)
                           Format: postgres://user:pass@host:port/dbname, several hosts with
                           commas between, or host=… dbname=…, as libpq takes them
  --db-trusted-network     yes: in production TLS need not verify a database on another machine
                           (default: no, which requires sslmode=verify-full)
  --rabbitmq               RabbitMQ server address (default: localhost:5672)
                           Format: host, host:port, several of them with commas between, or
                           amqp://user:pass@host:port,host:port/vhost (amqps:// for TLS)
  --rabbitmq-user          RabbitMQ username (default: guest)
  --rabbitmq-pass          RabbitMQ password (default: guest)
                           Better in the environment: ps shows the command line until the program
                           has started and hidden it
  --env                    development or production, which refuses unsafe settings
                           (default: development)

Order Service Options:
  --db-pool                Address of a pooler such as PgBouncer, which may be in transaction mode:
                           for HTTP requests only (default: as --db)
  --host                   Address to listen on (default: 127.0.0.1; 0.0.0.0 for all)
                           Without STAFF_KEY or STAFF_KEY_FILE it is always 127.0.0.1
  --port                   HTTP port for REST API (default: 3000)
  --share-port             yes: share the port with an order service that will end, for an upgrade
                           without a break (default: no)
  --max-concurrent         Maximum concurrent orders (default: 50; 0: no limit). Counts for an order
                           service that starts alone; what flask --app pizza kitchen max-concurrent
                           has set stays
  --prices                 menu: dishes and prices of an order have to be the menu's, and a price
                           may be left out; staff with a key may deviate. given: any are taken
                           (default: menu with PIZZA_ENV=production or once there is a staff key)
  --client-places          Of those, how many one client may have that shows no staff key and is
                           not on this machine (default: a quarter; 0: no limit). Its
                           network may have half, and a tenth is kept for staff
  --rate-limit             Requests a minute of such a client, in each HTTP worker
                           (default: 600; 0: no limit)
  --trusted-proxies        Proxies whose X-Forwarded-For, -Host, -Proto, -Port and -Prefix, or
                           Forwarded, are trusted (default: none)
                           Format: addresses or networks: 127.0.0.1,10.0.0.0/8
  --cors-origins           Origins whose pages may use the API from a browser (default: none)
                           Format: https://shop.example,http://localhost:5173, or * for all
  --allowed-hosts          Host names that requests may be for, besides localhost (default: all with
                           a staff key, none without)
                           Format: pizza.example,*.example.org
  --session-idle           Seconds until an unused session of staff ends (default: 7200)
  --audit-days             Days that the audit log is kept, at least 30; 0: no limit (default: 730)
  --stations               Stations behind the kitchen that the restaurant staffs (default: all)
                           Options: quality,packaging,courier, or none
  --ageing                 Seconds after which a waiting order goes first; the same for all
                           processes (default: 300; 0: never)
  --history-days           Days that tracked events and deliveries are kept; the same for all
                           processes (default: 90; 0: no limit)
  --personal-data-days     Days after which an ended order no longer names its customer; the same
                           for all processes (default: 365; 0: no limit)
  --web-workers            HTTP worker processes (default: 2)
  --web-threads            Requests at work at a time in each HTTP worker (default: 3)
  --max-streams            Streams (/events) open at a time, shared by the HTTP workers; one client
                           may have a tenth, its network a quarter, and a tenth is kept for staff
                           (default: 1000; 0: none)

Kitchen Worker Options:
  --worker-name            Unique worker name (required)
  --order-types            Comma-separated order types to process (default: all)
                           Options: dine-in,takeout,delivery, or tags of the menu: pizza,pasta
  --station                Station to staff (default: kitchen)
                           Options: kitchen,quality,packaging,courier
  --station-time           Seconds that a station takes (default: 2; a courier 2.5 times as long)
  --send-back-percent      Orders of a hundred that quality sends back (default: 0)
  --cooking-time           Base cooking time in seconds (default: 10)
                           A dine-in order takes 0.8 of it, a delivery 1.2
  --heartbeat              Seconds between heartbeats to the broker (default: 10)
  --lease                  Seconds after which a silent worker's order is taken over
                           (default: 15)

Tracking Service Options:
  --stuck-factor           Times its estimate after which an order is stuck (default: 3)
  --watch-interval         Seconds between checks for stuck orders and dead workers (default: 2)

Notification Options:
  --customer               Customer name filter for notifications
  --notification-types     Types of notifications to receive (default: all)
                           Options: received,cooking,ready,out-for-delivery,delivered,cancelled
  --name                   Keep notifications while the subscriber of this name is away
  --db                     Optional here: deliveries are logged in the database

Webhook Options (order service and webhook worker alike):
  --webhook-schemes        How webhooks may be reached (default: https)
                           Options: https,http
  --webhook-private-targets=yes
                           Webhooks may be on this machine and in private networks
                           (default: no)
  --webhook-threads        Deliveries that a webhook worker makes at a time (default: 4)

Setup Commands:
  --setup-db               Initialize PostgreSQL database schema
  --setup-queues           Initialize RabbitMQ exchanges and queues
  --migrate-db             Run database migrations
                           These may be combined, and run in this order

Logging Options:
  --log-level              Log level: DEBUG, INFO, WARN, ERROR (default: INFO)
  --log-file               Log file path (default: stdout)

Stopping:
  --grace                  Seconds to finish work after Ctrl-C, SIGTERM or SIGHUP (default: 15)

Examples:
  # Setup environment
  ./restaurant-system --setup-db --db="postgres://user:pass@localhost/restaurant"
  ./restaurant-system --setup-queues --rabbitmq="localhost:5672"

  # Start order service
  ./restaurant-system --mode=order-service --port=3000 --db="postgres://user:pass@localhost/restaurant"

  # Start specialized kitchen worker
  ./restaurant-system --mode=kitchen-worker --worker-name=pizza_chef --order-types=dine-in,takeout --db="postgres://user:pass@localhost/restaurant"

  # Cooks by the menu, and the stations behind the kitchen
  ./restaurant-system --mode=kitchen-worker --worker-name=chef_luigi --order-types=pizza,pasta --db="postgres://user:pass@localhost/restaurant"
  ./restaurant-system --mode=kitchen-worker --worker-name=quality_1 --station=quality --db="postgres://user:pass@localhost/restaurant"
  ./restaurant-system --mode=kitchen-worker --worker-name=packager_1 --station=packaging --db="postgres://user:pass@localhost/restaurant"
  ./restaurant-system --mode=kitchen-worker --worker-name=courier_1 --station=courier --db="postgres://user:pass@localhost/restaurant"

  # A restaurant without couriers: what is ready goes past the stations that are left out
  ./restaurant-system --mode=order-service --stations=quality,packaging --db="postgres://user:pass@localhost/restaurant"

  # Everything at once, three cooks (by the Procfile)
  honcho start -c all=1,cook=3

  # Place an order, follow it
  curl http://localhost:3000/orders -d '{"customer_name": "John Doe", "items": [{"name": "Margherita Pizza", "quantity": 1, "price": 15.99}]}'
  curl http://localhost:3000/orders/ORD_20241216_001/status
  curl http://localhost:3000/orders/ORD_20241216_001/history

  # What staff does: cancel, hand over, send back, hurry an order (also: flask --app pizza orders)
  curl http://localhost:3000/orders/ORD_20241216_001/cancel -d '{"reason": "no more dough", "by": "anna"}'
  curl http://localhost:3000/orders/ORD_20241216_001/deliver -d '{"by": "anna"}'
  curl http://localhost:3000/orders/ORD_20241216_001/send-back -d '{"reason": "burnt", "by": "quality"}'
  curl http://localhost:3000/orders/ORD_20241216_001/priority -d '{"priority": 10, "reason": "birthday", "by": "anna"}'
  curl http://localhost:3000/workers/status

  # Track orders, workers, and requests by message
  ./restaurant-system --mode=tracking-service --db="postgres://user:pass@localhost/restaurant"

  # Monitor specific customer notifications
  ./restaurant-system --mode=notification-subscriber --customer="John Doe"

  # The same, and receive later what was sent while it did not run
  ./restaurant-system --mode=notification-subscriber --customer="John Doe" --name=johns_screen

  # Deliver to the webhooks of flask --app pizza webhooks add https://…
  ./restaurant-system --mode=webhook-worker --db="postgres://user:pass@localhost/restaurant"

Other Commands:
  flask --app pizza setup-db|setup-queues|migrate-db   The same set-up
  flask --app pizza orders|workers|menu|customers      Show and change them
  flask --app pizza kitchen pause|resume               Take no orders for a while
  flask --app pizza report --day 2024-12-16            A day's figures
  flask --app pizza keys add|list|revoke               Keys of people and devices, each with a role
  flask --app pizza sessions list|end                  Browsers that are logged in
  flask --app pizza audit                              Who has changed what, or read whose data
  flask --app pizza webhooks add|list|deliveries|…     Other programs that receive events over HTTP
  flask --app pizza dead-letters list|show|retry|drop  Messages that nobody could process
  Each has --help with examples. They read DB_URL, RABBITMQ and .env.

Environment Variables:
  DB_URL      PostgreSQL connection string
  RABBITMQ    RabbitMQ server address
  LOG_LEVEL   Default log level

  Every option has its variable: RABBITMQ_USER, RABBITMQ_PASS, LISTEN_HOST, LISTEN_PORT, SHARE_PORT,
  MAX_CONCURRENT, WEB_WORKERS, WEB_THREADS, MAX_STREAMS, WORKER_NAME, ORDER_TYPES, COOKING_TIME,
  STATION, STATIONS, STATION_TIME, SEND_BACK_PERCENT, AGEING, HISTORY_DAYS, PERSONAL_DATA_DAYS,
  AUDIT_DAYS, HEARTBEAT, LEASE, CUSTOMER, NOTIFICATION_TYPES, SUBSCRIBER_NAME, STUCK_FACTOR,
  WATCH_INTERVAL, LOG_FILE, GRACE, MODE, PIZZA_ENV, PRICES, CLIENT_PLACES, RATE_LIMIT,
  TRUSTED_PROXIES, CORS_ORIGINS, ALLOWED_HOSTS, SESSION_IDLE, WEBHOOK_SCHEMES,
  WEBHOOK_PRIVATE_TARGETS, WEBHOOK_THREADS, DB_POOL_URL, DB_TRUSTED_NETWORK.
  STAFF_KEY and STAFF_KEY_FILE have no option, so that no key is ever on a command line: one or
  several keys, which staff then has to show (Authorization: Bearer …), or a file of them.
  An option wins over a variable, a variable over the same name in the file .env.

Exit Status:
  0  done, or stopped as asked
  1  a server is missing, or something failed
  2  the command line or a setting is invalid, a name is in use, the kitchen is full

Troubleshooting:
  - Ensure PostgreSQL and RabbitMQ services are running
  - Check connection strings and credentials
  - Verify database schema is initialized (--setup-db)
  - Ask a running order service what it misses: curl http://localhost:3000/readyz
  - Orders are taken and not cooked: is a cook online who may cook them? (curl …/workers/status)
    An order with a dish that is on no menu needs a cook without menu tags
  - Orders stay "ready": is each station of --stations staffed? Dine-in and takeout wait to be
    handed over: POST /orders/{number}/deliver
  - Orders are answered 503: the restaurant is full (kitchen max-concurrent), paused (flask --app pizza
    kitchen resume), or without its database; the answer says which
  - Staff is answered 401: there is a staff key, by STAFF_KEY or flask --app pizza keys list; 403
    is for a customer's token, and for a key whose role is too small; the answer says which it needs
  - "already at work": another process has that worker name; the name of a killed process is free
    within seconds. There may be ten workers at most, all stations together
  - Orders of other programs do not arrive: flask --app pizza dead-letters list says why
  - Nothing is published: is a process running with a relay? The order service and every worker
    have one; --log-level=DEBUG shows more
  - A queue is refused with PRECONDITION_FAILED: it exists with other properties; delete it, it is
    declared and filled again by itself
  - Check RabbitMQ management interface at http://localhost:15672
"""

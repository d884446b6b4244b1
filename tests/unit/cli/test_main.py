"""The command line: output and refusals."""

import signal
import subprocess
import sys
from importlib import metadata

import pytest

from pizza.cli import commands, main
from pizza.cli.help import USAGE
from pizza.config.settings import OPTIONS

DB = "--db=postgres://user:s3cret-word@127.0.0.1:1/restaurant"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No variables and no .env of the user; logging and signals are restored."""
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pizza.observability.logging_config.setup_logging", lambda settings: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def refused(capsys, *argv):
    """Run with bad usage; return the one sentence on stderr."""
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_the_help_page_is_printed(capsys):
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.strip() == USAGE.strip()


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pizza {metadata.version('pizza')}\n"


def test_the_help_page_has_every_option_and_every_verb():
    for option in OPTIONS:
        assert f"{option.flag} " in USAGE or f"{option.flag}=" in USAGE
        assert option.variable in USAGE
    for verb in commands.SETUP_COMMANDS:
        assert f"--{verb.replace('_', '-')} " in USAGE


def test_the_help_page_has_the_headings_of_the_specification_in_their_order():
    headings = [
        "Usage:",
        "Service Modes:",
        "Connection Options:",
        "Order Service Options:",
        "Kitchen Worker Options:",
        "Notification Options:",
        "Setup Commands:",
        "Logging Options:",
        "Examples:",
        "Environment Variables:",
        "Troubleshooting:",
    ]
    places = [USAGE.index(f"\n{heading}\n") for heading in headings]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--mode=order-service|"),
        (["--mode=waiter"], "must be one of order-service"),
        (["--mode"], "--mode"),
        (["--mode=order-service"], "--db is missing: give --db=… or set DB_URL"),
        (["--mode=kitchen-worker", DB], "--worker-name is missing"),
        (["--mode=order-service", "--setup-db", DB], "cannot be given together"),
        (["--setup-db"], "--db is missing"),
        (["--migrate-db"], "--db is missing"),
        (["--prot=3000"], "--prot"),
        (["order-service"], "order-service"),
        (["--mode=order-service", DB, "--port=99999"], "--port (LISTEN_PORT)"),
        (
            ["--mode=kitchen-worker", "--worker-name=a", DB, "--order-types=pizza,,x"],
            "order types or menu tags",
        ),
        (["--mode=kitchen-worker", "--worker-name=a", DB, "--cooking-time=inf"], "COOKING_TIME"),
        (["--setup-db", "--db=mysql://user:s3cret-word@h/d"], "postgres://"),
        (["--mode=tracking-service"], "--db is missing"),
        (
            ["--mode=notification-subscriber", "--notification-types=eaten"],
            "--notification-types (NOTIFICATION_TYPES) knows received, cooking, ready",
        ),
        (["--mode=notification-subscriber", "--name=a b"], "--name (SUBSCRIBER_NAME) must be 1"),
        (["--setup-db=yes"], "--setup-db"),
    ],
)
def test_bad_usage_is_a_sentence_and_exit_2(capsys, argv, said):
    line = refused(capsys, *argv)
    assert line.startswith("restaurant-system: ")
    assert said in line
    assert "s3cret" not in line


def test_a_file_that_cannot_be_logged_to_is_a_sentence_and_exit_2(capsys, monkeypatch):
    monkeypatch.undo()
    assert "--log-file" in refused(
        capsys, "--mode=notification-subscriber", "--log-file=/no/such/folder/x"
    )


def test_each_mode_runs_its_process(monkeypatch):
    ran = []
    monkeypatch.setattr("pizza.web.server.serve.serve", lambda s: ran.append(s.port) or 0)
    monkeypatch.setattr(
        "pizza.processes.kitchen_worker.run_worker", lambda s: ran.append(s.worker_name) or 0
    )
    assert main(["--mode=order-service", DB, "--port=3001"]) == 0
    assert main(["--mode", "kitchen-worker", DB, "--worker-name", "chef"]) == 0
    assert ran == [3001, "chef"]


def test_setup_verbs_combine_and_run_in_their_order(monkeypatch):
    ran = []
    monkeypatch.setattr("pizza.processes.setup.setup_db", lambda url: ran.append("db"))
    monkeypatch.setattr("pizza.processes.setup.migrate_db", lambda url: ran.append("migrate"))
    monkeypatch.setattr("pizza.processes.setup.setup_queues", lambda url: ran.append(url))
    assert main(["--setup-queues", "--migrate-db", "--setup-db", DB]) == 0
    assert ran == ["db", "migrate", "amqp://guest:guest@localhost:5672//"]


def test_queues_are_set_up_without_a_database(monkeypatch):
    monkeypatch.setattr("pizza.processes.setup.setup_queues", lambda url: None)
    assert main(["--setup-queues"]) == 0


def test_a_mode_in_the_environment_does_not_hinder_a_setup(monkeypatch):
    monkeypatch.setenv("MODE", "order-service")
    monkeypatch.setattr("pizza.processes.setup.setup_db", lambda url: None)
    assert main(["--setup-db", DB]) == 0


def test_a_server_that_is_missing_is_exit_1(capsys):
    assert main(["--setup-db", DB]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_refused_worker_is_a_sentence_and_exit_2(capsys, monkeypatch):
    from pizza.taskqueue.errors import RegistrationRefused

    def refuse(settings):
        raise RegistrationRefused("A worker named 'chef' is already at work; choose another name.")

    monkeypatch.setattr("pizza.processes.kitchen_worker.run_worker", refuse)
    line = refused(capsys, "--mode=kitchen-worker", "--worker-name=chef", DB)
    assert "already at work" in line


def test_a_refused_subscriber_is_a_sentence_and_exit_2(capsys, monkeypatch):
    from pizza.taskqueue.errors import RegistrationRefused

    def refuse(settings):
        raise RegistrationRefused("A subscriber named 'a' is already at work; choose another name.")

    monkeypatch.setattr("pizza.processes.notification_subscriber.run_subscriber", refuse)
    line = refused(capsys, "--mode=notification-subscriber", "--name=a")
    assert "already at work" in line


@pytest.mark.parametrize(
    "service", ["kitchen_worker", "tracking_service", "notification_subscriber"]
)
def test_a_cook_does_not_carry_the_web_about(service):
    script = (
        f"import sys, pizza.cli, pizza.processes.{service}\n"
        "print([m for m in ('flask', 'granian', 'pydantic', 'rich') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_the_package_is_a_program_of_its_own():
    found = subprocess.run(
        [sys.executable, "-m", "pizza", "--help"], capture_output=True, text=True
    )
    assert found.returncode == 0
    assert found.stdout.strip() == USAGE.strip()


def test_flask_has_the_same_verbs():
    environ = {"DB_URL": DB.removeprefix("--db="), "PATH": ""}
    found = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "pizza", "setup-db"],
        capture_output=True,
        text=True,
        env=environ,
    )
    assert found.returncode == 1
    assert '"service":"setup","action":"setup_db_failed"' in found.stdout
    assert found.stderr == ""


def test_a_stop_that_comes_while_a_service_is_still_being_loaded_is_a_clean_one(monkeypatch):
    monkeypatch.setattr(commands, "run_service", lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        main(["--mode=notification-subscriber"])
    assert ended.value.code == 0

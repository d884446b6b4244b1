"""Unsafe configuration: warnings, and what production refuses."""

import logging

import pytest

from pizza.config import preflight
from pizza.config.settings import SettingsError, load

DB = "postgres://localhost/restaurant"
SOUND = "5f2a90bc77d1e02b4c6a8d9e"
ELSEWHERE = {"RABBITMQ": "broker.example:5672"}
KEYED = {"MODE": "order-service", "STAFF_KEY": SOUND}
VERIFIED = "postgres://db.example/restaurant?sslmode=verify-full&sslrootcert=/ca.pem"
OPEN = {"MODE": "order-service", "LISTEN_HOST": "0.0.0.0"}


def taken(caplog, environ):
    caplog.set_level(logging.INFO)
    settings = preflight.check_deployment(load({}, {"DB_URL": DB, **environ}, None))
    return settings, [(record.levelname, record.action) for record in caplog.records]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "my.house"])
def test_without_a_key_only_this_machine_can_connect_and_it_is_logged(caplog, host):
    settings, said = taken(caplog, {**OPEN, "LISTEN_HOST": host})

    assert settings.host == "127.0.0.1"
    assert said == [("WARNING", "auth_disabled")]
    assert "set STAFF_KEY" in caplog.text and host in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_this_machine_there_is_nothing_to_warn_of(caplog, host):
    settings, said = taken(caplog, {"MODE": "order-service", "LISTEN_HOST": host})

    assert (settings.host, said) == (host, [])


def test_with_a_key_it_listens_on_the_configured_address(caplog, tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"{SOUND}\nanother-sound-key-of-the-staff\n")

    for key in ({"STAFF_KEY": SOUND}, {"STAFF_KEY_FILE": str(file)}):
        settings, said = taken(caplog, {**OPEN, **key})
        assert (settings.host, said) == ("0.0.0.0", [])
    assert len(settings.keys) == 2


def test_a_key_may_be_given_by_its_hash():
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    plain, hashed = load({}, {"STAFF_KEY": f"abc sha256:{abc}"}, None).keys

    assert plain.digest == hashed.digest
    assert plain.weakness and not hashed.weakness


def test_a_short_key_is_warned_of(caplog):
    assert taken(caplog, {**OPEN, "STAFF_KEY": "s3cret"})[1] == [("WARNING", "weak_staff_key")]
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("mode", ["order-service", "kitchen-worker", "notification-subscriber"])
def test_the_account_guest_at_a_broker_elsewhere_is_a_warning(caplog, mode):
    given = {"MODE": mode, **ELSEWHERE, "STAFF_KEY": SOUND}

    assert taken(caplog, given)[1] == [("WARNING", "default_broker_account")]


def test_the_account_guest_at_one_of_several_brokers_is_a_warning(caplog):
    given = {"MODE": "kitchen-worker", "RABBITMQ": "localhost,broker.example"}

    assert taken(caplog, given)[1] == [("WARNING", "default_broker_account")]


@pytest.mark.parametrize(
    "given",
    [
        {"RABBITMQ": "localhost"},
        {"RABBITMQ": "127.0.0.1:5672"},
        {"RABBITMQ": "amqp://[::1]/x"},
        {"RABBITMQ": "localhost:1,127.0.0.1:2"},
        {**ELSEWHERE, "RABBITMQ_PASS": "sound"},
        {"RABBITMQ": "amqp://cook:sound@broker.example"},
    ],
)
def test_the_account_guest_here_and_another_elsewhere_are_no_warning(caplog, given):
    assert taken(caplog, given)[1] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ELSEWHERE, "give --rabbitmq-user and RABBITMQ_PASS"),
        ({"MODE": "order-service"}, "needs a staff key: set STAFF_KEY"),
        ({"MODE": "order-service", "STAFF_KEY": "s3cret"}, "can be guessed"),
        ({**KEYED, "STAFF_KEY": "changemechangeme"}, "repeats itself, and can be guessed"),
        ({**KEYED, "STAFF_KEY": "the-kitchen-password-2026"}, "is made of common words"),
        ({**KEYED, "STAFF_KEY": "aaaaaaaaaaaabbbbbbbbbbbb"}, "neighbouring characters"),
        ({**KEYED, "STAFF_KEY": "abcdefghijklmnopqrstuv"}, "neighbouring characters"),
        ({**KEYED, "STAFF_KEY": "axaxbxaaxxbbxaxbbaxxa"}, "too few different characters"),
        ({**KEYED, "TRUSTED_PROXIES": "127.0.0.1,0.0.0.0/0"}, "--trusted-proxies=0.0.0.0/0"),
        ({**KEYED, "TRUSTED_PROXIES": "::/0"}, "--trusted-proxies=::/0"),
        ({**KEYED, "TRUSTED_PROXIES": "128.0.0.0/1"}, "addresses of your proxies alone"),
        ({**KEYED, "RATE_LIMIT": "0"}, "give --rate-limit a number"),
        ({"RABBITMQ_USER": "pizza", "RABBITMQ_PASS": "CHANGE"}, "RabbitMQ is still the one of"),
        ({**ELSEWHERE, "RABBITMQ_USER": "cook", "RABBITMQ_PASS": "Pizza"}, "tries at broker.exa"),
        ({"RABBITMQ": "amqp://cook:cook@broker.example"}, "tries at broker.example"),
        ({**ELSEWHERE, "RABBITMQ_PASS": "secret"}, "tries at broker.example"),
        ({"DB_URL": "postgres://pizza:CHANGE@localhost/d"}, "in DB_URL is still the one of"),
        ({"DB_URL": f"{VERIFIED}&user=a&password=password"}, "tries at db.example"),
        ({"DB_POOL_URL": "postgres://pizza:change-me@localhost/d"}, "in DB_POOL_URL is still"),
    ],
)
def test_production_refuses_all_of_it(caplog, given, said):
    with pytest.raises(SettingsError, match=said):
        taken(caplog, {"PIZZA_ENV": "production", **given})


def test_production_takes_what_is_safe(caplog):
    given = {**OPEN, "PIZZA_ENV": "production", "STAFF_KEY": SOUND}

    assert taken(caplog, given)[0].host == "0.0.0.0"
    assert taken(caplog, {"PIZZA_ENV": "production", "MODE": "kitchen-worker"})[1] == []


@pytest.mark.parametrize(
    "given",
    [
        {"STAFF_KEY": "0c6ed1f42a90bc77d1e02b4c6a8d9e0f1a2b3c4d"},
        {"STAFF_KEY": "f03b9a51c7e2d846"},
        {"STAFF_KEY": "Zr3k_8vQm1xWb-0LtYc7Ng"},
        {"STAFF_KEY": "correct-horse-battery-staple"},
        {"TRUSTED_PROXIES": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.1,fd00::/8,::1"},
        {"TRUSTED_PROXIES": "104.16.0.0/13,104.64.0.0/10,2a06:98c0::/29"},
        {"RABBITMQ_USER": "pizza", "RABBITMQ_PASS": "pizza"},
        {"DB_URL": "postgres://pizza:pizza@localhost/d"},
        {"DB_URL": f"{VERIFIED}&user=a&password=5f2a90bc77d1e02b"},
        {**ELSEWHERE, "RABBITMQ_USER": "cook", "RABBITMQ_PASS": "5f2a90bc77d1e02b"},
    ],
    ids=str,
)
def test_production_takes_what_nobody_guesses(caplog, given):
    assert taken(caplog, {"PIZZA_ENV": "production", **KEYED, **given})[1] == []


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize("key", ["sha256:(1234)", "SHA256:1234", "sha256:" + "G" * 64, "sha256:"])
def test_an_invalid_hash_is_refused_in_every_environment(environment, key, tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"{SOUND}\n{key}\n")
    for given in ({"STAFF_KEY": f"{SOUND} {key}"}, {"STAFF_KEY_FILE": str(file)}):
        with pytest.raises(SettingsError, match="sha256: and has no 64 hex digits") as problem:
            load({}, {"PIZZA_ENV": environment, **given}, None)
        assert "1234" not in str(problem.value)


def test_development_is_warned_of_proxies_all_over_the_world(caplog):
    assert taken(caplog, {**KEYED, "TRUSTED_PROXIES": "0.0.0.0/0"})[1] == [
        ("WARNING", "proxies_too_wide")
    ]


@pytest.mark.parametrize("mode", ["order-service", "webhook-worker"])
def test_production_warns_that_webhooks_may_call_private_hosts(caplog, mode):
    given = {"MODE": mode, "PIZZA_ENV": "production", "STAFF_KEY": SOUND}

    assert taken(caplog, {**given, "WEBHOOK_PRIVATE_TARGETS": "yes"})[1] == [
        ("WARNING", "private_webhook_targets")
    ]
    caplog.clear()
    assert taken(caplog, {**given, "WEBHOOK_PRIVATE_TARGETS": "no"})[1] == []
    assert taken(caplog, {"MODE": mode, "WEBHOOK_PRIVATE_TARGETS": "yes"})[1] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"STAFF_KEY": "clé-s3cret"}, "STAFF_KEY must be one or more keys"),
        ({"STAFF_KEY": " , "}, "STAFF_KEY must be"),
        ({"STAFF_KEY_FILE": "/no/such/file"}, "STAFF_KEY_FILE cannot be read"),
        ({"TRUSTED_PROXIES": "everybody"}, "--trusted-proxies .TRUSTED_PROXIES. must be"),
        ({"PIZZA_ENV": "test"}, "--env .PIZZA_ENV. must be one of development, production"),
    ],
)
def test_what_makes_no_sense_is_a_sentence_without_the_key(given, said):
    with pytest.raises(SettingsError, match=said) as problem:
        load({}, given, None)
    assert "s3cret" not in str(problem.value)


PRODUCTION = {"PIZZA_ENV": "production"}


@pytest.mark.parametrize(
    "address",
    [
        DB,
        "postgres:///restaurant",
        "host=/var/run/postgresql dbname=restaurant",
        "postgres://[::1]/restaurant",
        VERIFIED,
        "postgres://one.example,two.example/restaurant?sslmode=verify-full",
        "postgres://localhost,127.0.0.1/restaurant?sslmode=disable",
    ],
)
def test_production_takes_a_database_that_is_here_or_proves_who_it_is(caplog, address):
    _, said = taken(caplog, {**PRODUCTION, "DB_URL": address})

    assert said == []


@pytest.mark.parametrize(
    ("address", "host", "mode"),
    [
        ("postgres://db.example/restaurant", "db.example", "prefer"),
        ("postgres://db.example/restaurant?sslmode=require", "db.example", "require"),
        ("postgres://db.example/restaurant?sslmode=verify-ca", "db.example", "verify-ca"),
        ("host=localhost,10.1.2.3 dbname=restaurant", "10.1.2.3", "prefer"),
        ("host=localhost hostaddr=10.1.2.3 sslmode=disable", "10.1.2.3", "disable"),
    ],
)
def test_production_wants_a_database_elsewhere_to_prove_who_it_is(caplog, address, host, mode):
    for variable in ("DB_URL", "DB_POOL_URL"):
        with pytest.raises(SettingsError) as refusal:
            taken(caplog, {**PRODUCTION, variable: address})
        assert f"The database at {host} is asked for with sslmode={mode}" in str(refusal.value)
        assert "sslmode=verify-full" in str(refusal.value)

    trusted = {**PRODUCTION, "DB_URL": address, "DB_TRUSTED_NETWORK": "yes"}
    assert taken(caplog, trusted)[1] == [("WARNING", "database_not_verified")]
    assert host in caplog.text and f"sslmode={mode}" in caplog.text


def test_development_takes_any_database(caplog):
    assert taken(caplog, {"DB_URL": "postgres://db.example/restaurant"})[1] == []


def test_the_mode_of_tls_may_be_given_by_a_variable(caplog, monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "verify-full")

    assert taken(caplog, {**PRODUCTION, "DB_URL": "postgres://db.example/restaurant"})[1] == []

"""Where settings come from, and the messages about invalid ones."""

from dataclasses import fields

import pytest

from pizza.config.settings import OPTIONS, Settings, SettingsError, load, read_dotenv

DB = "postgres://user:s3cret-word@db:5432/restaurant"


def of(flags=None, environ=None, dotenv=None):
    return load(flags or {}, environ or {}, dotenv)


def test_nothing_given_means_the_defaults_of_the_specification():
    settings = of()
    assert (settings.port, settings.max_concurrent, settings.cooking_time) == (3000, None, 10)
    assert settings.broker_url == "amqp://guest:guest@localhost:5672//"
    assert settings.order_types == ("dine-in", "takeout", "delivery")
    assert settings.log_level == "INFO"
    assert settings.notification_types[0] == "received" and len(settings.notification_types) == 6


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("LOG_LEVEL=ERROR\nCOOKING_TIME=3\nMAX_CONCURRENT=7\n")
    settings = of({"log_level": "DEBUG"}, {"LOG_LEVEL": "WARN", "COOKING_TIME": "4"}, dotenv)
    assert settings.log_level == "DEBUG"
    assert settings.cooking_time == 4
    assert settings.max_concurrent == 7


def test_an_empty_variable_counts_as_missing():
    assert of(environ={"MAX_CONCURRENT": "", "DB_URL": ""}) == Settings()


def test_a_dotenv_file_may_have_comments_quotes_and_exports(tmp_path):
    path = tmp_path / ".env"
    path.write_text(
        "# comment=1\n\nexport DB_URL='postgres://a#b'\n"
        'X = plain # and why\nY="a b"\nbroken line\n'
    )
    assert read_dotenv(path) == {"DB_URL": "postgres://a#b", "X": "plain", "Y": "a b"}


def test_a_missing_dotenv_file_is_no_error(tmp_path):
    assert read_dotenv(tmp_path / ".env") == {}
    assert read_dotenv(tmp_path / "file" / ".env") == {}


def test_a_dotenv_file_that_is_no_text_is_an_error_with_a_sentence(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_dotenv(tmp_path / ".env")


def test_every_field_can_be_given_by_flag_and_by_variable():
    assert [option.name for option in OPTIONS] == [item.name for item in fields(Settings)]
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)


def test_a_missing_value_is_named_by_flag_and_variable():
    with pytest.raises(SettingsError, match=r"--db is missing: .*DB_URL"):
        of().require("db_url")
    with pytest.raises(SettingsError, match=r"--worker-name is missing: .*WORKER_NAME"):
        of().require("worker_name")


BAD = {
    "mode": ["cook", "", "order-service "],
    "db_url": ["", "localhost", "mysql://x", "postgres://h:port/d", "postgres://h/\0", "http://x"],
    "rabbitmq": ["", "amqp://", "memory://", "host:99999", "host:0", "h:x", "a b", "http://h"],
    "rabbitmq_user": [""],
    "host": ["", "a b", "http://x/"],
    "port": ["", "0", "65536", "-1", "3000.0", "1e3", " 3000", "٣", "9" * 5000],
    "max_concurrent": ["-1", "many", "1_000"],
    "worker_name": ["", " ", "x" * 51, "a\nb", "a\0"],
    "order_types": ["", "takeout,", "takeout,,delivery", "pizza,\x07"],
    "cooking_time": ["-1", "nan", "inf", "soon", ""],
    "log_level": ["", "TRACE", "INFOS"],
    "log_file": [""],
    "notification_types": ["", "eaten", "ready,", "Ready"],
    "subscriber_name": ["", "a b", "x" * 51, "a/b", "é", "a\n"],
    "stuck_factor": ["0", "nan", "often"],
    "monitor_interval": ["0", "nan", ""],
    "shutdown_grace_period": ["-1", "nan"],
    "web_workers": ["0", "65"],
    "web_threads": ["0"],
    "heartbeat_seconds": ["0", "nan"],
    "lease_seconds": ["0"],
}


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name in BAD for raw in BAD[name]])
def test_a_bad_value_is_refused_by_flag_and_variable(name, raw):
    option = next(option for option in OPTIONS if option.name == name)
    with pytest.raises(SettingsError) as refusal:
        of({name: raw})
    assert option.flag in str(refusal.value)
    assert option.variable in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("db_url", "host=/tmp dbname=x", "host=/tmp dbname=x"),
        ("order_types", "all", ("dine-in", "takeout", "delivery")),
        ("order_types", " delivery , takeout,delivery", ("delivery", "takeout")),
        ("cooking_time", "0", 0.0),
        ("max_concurrent", "0", 0),
        ("log_level", "warning", "WARN"),
        ("worker_name", "cook.1", "cook.1"),
        ("notification_types", "cooking, ready", ("cooking", "ready")),
        ("subscriber_name", "front.desk_2-b", "front.desk_2-b"),
        ("stuck_factor", "1.5", 1.5),
    ],
)
def test_a_good_value_is_read(name, raw, value):
    assert getattr(of({name: raw}), name) == value


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"rabbitmq": "mq"}, "amqp://guest:guest@mq:5672//"),
        ({"rabbitmq": "mq:1234"}, "amqp://guest:guest@mq:1234//"),
        ({"rabbitmq": "[::1]:1234"}, "amqp://guest:guest@[::1]:1234//"),
        ({"rabbitmq": "amqp://a:b@mq/v"}, "amqp://a:b@mq:5672/v"),
        ({"rabbitmq": "amqps://mq/"}, "amqps://guest:guest@mq:5671//"),
        ({"rabbitmq": "amqp://a:b%40c@mq"}, "amqp://a:b%40c@mq:5672//"),
        (
            {"rabbitmq": "amqp://a:b@mq", "rabbitmq_user": "u@h", "rabbitmq_pass": "p/:%"},
            "amqp://u%40h:p%2F%3A%25@mq:5672//",
        ),
    ],
)
def test_the_address_of_the_broker_may_be_short_or_a_url(given, url):
    assert of(given).broker_url == url


def test_no_password_shows_in_a_repr():
    settings = of(
        {"db_url": DB, "rabbitmq": "amqp://u:hidden1@h", "rabbitmq_pass": "hidden2", "mode": None}
    )
    assert "s3cret" not in repr(settings)
    assert "hidden" not in repr(settings)
    assert set(settings.secrets) == {"s3cret-word", "hidden1", "hidden2"}


@pytest.mark.parametrize("raw", ["postgres://u:s3cret@h:port/d", "mysql://u:s3cret@h/d"])
def test_no_password_shows_in_an_error(raw):
    with pytest.raises(SettingsError) as refusal:
        of({"db_url": raw})
    assert "s3cret" not in str(refusal.value)

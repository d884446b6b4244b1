"""Which arguments `ps` may show."""

import pytest

from pizza.cli.hide_passwords import split_passwords
from pizza.config.settings import load

DB = "postgres://cook:p%40ss/w@db/restaurant"


@pytest.mark.parametrize(
    ("argv", "kept", "variables"),
    [
        ([f"--db={DB}", "--mode=x"], ["--mode=x"], {"DB_URL": DB}),
        (["--mode", "x", "--db", DB], ["--mode", "x"], {"DB_URL": DB}),
        (["--db=postgres://h/d"], ["--db=postgres://h/d"], {}),
        (["--db=host=h password='it''s'"], [], {"DB_URL": "host=h password='it''s'"}),
        (["--db=postgres://h/d?password=x"], [], {"DB_URL": "postgres://h/d?password=x"}),
        (["--rabbitmq-pass", "x"], [], {"RABBITMQ_PASS": "x"}),
        (["--rabbitmq=amqp://u:x@h"], [], {"RABBITMQ": "amqp://u:x@h"}),
        (["--rabbitmq=h:1", "--rabbitmq-user=u"], ["--rabbitmq-user=u", "--rabbitmq=h:1"], {}),
        ([f"--db={DB}", "--db=postgres://h/d"], ["--db=postgres://h/d"], {}),
        (["--db=postgres://h/d", f"--db={DB}"], [], {"DB_URL": DB}),
        (["--rabbitmq-pass"], ["--rabbitmq-pass"], {}),
        (["--rabbitmq-pass="], ["--rabbitmq-pass="], {}),
    ],
)
def test_passwords_become_variables_and_the_rest_stays(argv, kept, variables):
    assert split_passwords(argv) == (kept, variables)


def test_the_settings_are_the_same():
    kept, variables = split_passwords(["--db=" + DB.replace("/w", ""), "--rabbitmq-pass=x"])
    assert kept == []
    sound = DB.replace("/w", "")
    plain = load({"db_url": sound, "rabbitmq_pass": "x"}, {}, None)
    assert load({}, variables, None) == plain


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"DB_URL": DB.replace("/w", "")}, {"p%40ss", "p@ss"}),
        ({"DB_URL": "host=h password=plain"}, {"plain"}),
        ({"DB_URL": "host=h password='a \\' b'"}, {"a ' b"}),
        ({"DB_URL": "postgres://h/d?password=x%2Fy"}, {"x/y"}),
        ({"RABBITMQ": "amqp://u:x%2Fy@h", "RABBITMQ_PASS": "other"}, {"x%2Fy", "x/y", "other"}),
    ],
)
def test_every_password_is_known_to_the_log(given, found):
    assert set(load({}, given, None).secrets) == found

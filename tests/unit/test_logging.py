"""The log: one JSON object on one line, whatever happens."""

import io
import json
import logging
import re
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from decimal import Decimal

import pytest

from pizza.config.settings import Settings, SettingsError
from pizza.observability import logging_config

SETTINGS = Settings(
    mode="kitchen-worker", worker_name="chef_mario", db_url="postgres://u:s3cret-word@h/d"
)


@contextmanager
def logger(settings=SETTINGS):
    """A logger that formats as `settings` say, and the list of its lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging_config.LineFormatter(settings))
    log = logging.Logger("test")
    log.addHandler(handler)
    lines = []
    yield log, lines
    lines += stream.getvalue().splitlines()


def one_line(call, settings=SETTINGS):
    with logger(settings) as (log, lines):
        call(log)
    assert len(lines) == 1
    return json.loads(lines[0])


def test_a_line_has_the_specified_fields_in_their_order():
    line = one_line(
        lambda log: log.info(
            "Order received and queued for processing",
            extra={
                "action": "order_received",
                "order_number": "ORD_20241216_001",
                "duration_ms": 45,
                "details": {"customer_name": "John Doe", "total_amount": Decimal("15.99")},
            },
        )
    )
    assert list(line) == [
        "timestamp",
        "level",
        "service",
        "worker_name",
        "order_number",
        "action",
        "message",
        "duration_ms",
        "details",
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert line["service"] == "kitchen-worker"
    assert line["worker_name"] == "chef_mario"
    assert line["details"]["total_amount"] == 15.99


def test_fields_without_a_value_are_left_out():
    line = one_line(lambda log: log.info("Hello"), Settings(mode="order-service"))
    assert list(line) == ["timestamp", "level", "service", "message"]


def test_a_zero_is_something():
    assert one_line(lambda log: log.info("x", extra={"duration_ms": 0}))["duration_ms"] == 0


@pytest.mark.parametrize(
    ("call", "level"),
    [
        ("debug", "DEBUG"),
        ("info", "INFO"),
        ("warning", "WARN"),
        ("error", "ERROR"),
        ("critical", "ERROR"),
    ],
)
def test_levels_have_the_names_of_the_specification(call, level):
    assert one_line(lambda log: getattr(log, call)("x"))["level"] == level


@pytest.mark.parametrize(
    "text", ["two\nlines", "\u2028\u0085", 'a "quote"', '"}\n{"level":"ERROR"', "\ud800", "\x1b[0m"]
)
def test_no_text_breaks_out_of_its_line(text):
    line = one_line(lambda log: log.info("%s", text, extra={"details": {"name": text}}))
    assert line["message"] == text
    assert line["details"]["name"] == text


def test_an_exception_is_its_type_and_text():
    def fail(log):
        try:
            raise ValueError("no\ngood")
        except ValueError:
            log.exception("It failed", extra={"details": {"try": 2}})

    line = one_line(fail)
    assert line["details"] == {"try": 2, "error": "ValueError", "reason": "no good"}


def test_the_stack_comes_at_debug_only():
    def fail(log):
        log.error("x", exc_info=ValueError("y"))

    debug = Settings(mode="order-service", log_level="DEBUG")
    assert "stack" not in one_line(fail)["details"]
    assert "ValueError: y" in one_line(fail, debug)["details"]["stack"]


def test_passwords_are_blotted_out():
    def fail(log):
        log.error("cannot open %s", SETTINGS.db_url, exc_info=OSError("s3cret-word is wrong"))

    assert "s3cret-word" not in json.dumps(one_line(fail))


def test_a_callers_mistakes_lose_no_event():
    assert one_line(lambda log: log.info("%d orders", "many"))["message"] == "%d orders"
    loop = {}
    loop["loop"] = loop
    assert one_line(lambda log: log.info("x", extra={"details": loop}))["message"] == "x"
    assert one_line(lambda log: log.info("x", extra={"details": {(1, 2): 3}}))["message"] == "x"


def test_a_log_file_that_cannot_be_opened_is_a_sentence():
    with pytest.raises(SettingsError, match=r"--log-file \(LOG_FILE\) cannot be opened"):
        logging_config.setup_logging(Settings(log_file="/no/such/folder/log"))


# Code that replaces hooks of the interpreter is tested in a separate interpreter.


def run(script, *arguments):
    code = textwrap.dedent("""
        import logging, sys, threading, warnings
        from pizza.observability import logging_config as logs
        from pizza.config.settings import Settings
        log_file = sys.argv[1] if sys.argv[1:] else None
        logs.setup_logging(Settings(mode="order-service", log_file=log_file))
    """)
    return subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("raise ValueError('x')", "Unexpected error"),
        (
            "t = threading.Thread(target=lambda: 1/0); t.start(); t.join()",
            "Unexpected error in thr",
        ),
        ("warnings.warn('old')", "old"),
        ("logging.getLogger('kombu').error('broken')", "broken"),
        ("class A:\n def __del__(self): 1/0\nA()", "Error while cleaning up"),
    ],
)
def test_whatever_a_process_says_is_json_on_stdout(script, said):
    process = run(script)
    assert process.stderr == ""
    (line,) = process.stdout.splitlines()
    assert said in json.loads(line)["message"]


def test_a_closed_stdout_spills_nothing():
    process = run("sys.stdout.close(); logging.getLogger().error('x')")
    assert process.stderr == ""


def test_a_process_without_stdout_logs_into_no_other_file(tmp_path):
    victim = tmp_path / "victim"
    code = textwrap.dedent(f"""
        import logging, os
        os.close(1)
        from pizza.observability import logging_config as logs
        from pizza.config.settings import Settings
        logs.setup_logging(Settings(mode="order-service"))
        assert os.open({str(victim)!r}, os.O_CREAT | os.O_WRONLY) == 1
        logging.getLogger().error("x")
    """)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stderr == ""
    assert victim.read_text() == ""


def test_lines_of_many_threads_stay_apart():
    process = run("""
        log = logging.getLogger("pizza")
        def work(n):
            for i in range(300):
                log.info("%s", "x" * (n * 100), extra={"details": {"i": i}})
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """)
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(lines) == 8 * 300
    assert {len(line["message"]) for line in lines} == {n * 100 for n in range(8)}


def test_a_line_longer_than_a_pipe_takes_at_once_arrives_whole():
    process = run("logging.getLogger('pizza').info('x' * 300_000)")
    assert len(json.loads(process.stdout)["message"]) == 300_000


def test_libraries_are_quiet_at_info():
    assert run("logging.getLogger('kombu').info('chatter')").stdout == ""


def test_a_log_file_is_appended_to_and_survives_rotation(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"before":1}\n')
    script = f"""
        import os
        log = logging.getLogger("pizza")
        log.info("one")
        os.rename({str(path)!r}, {str(path) + ".1"!r})
        log.info("two")
    """
    process = run(script, str(path))
    assert process.stdout == process.stderr == ""
    assert [len((tmp_path / name).read_text().splitlines()) for name in ("log.1", "log")] == [2, 1]


# What a reader of the log finds after the file has gone, and what stderr says of it. `forbid` takes
# the right to write to the file away, as root as well.
FORBID = """
    import os, pathlib, time
    log = logging.getLogger("pizza")
    path = pathlib.Path(sys.argv[1])
    def forbid(place, mode):
        os.chmod(place, mode)
        if os.getuid() == 0:
            os.seteuid(65534)
    def allow(place, mode):
        os.seteuid(os.getuid())
        os.chmod(place, mode)
"""
REOPEN = r"restaurant-system: --log-file \(LOG_FILE\) \S+ cannot be opened again: "
GOES_ON = r"The log goes on in the file that was open; make the path writable\.\n"
WELL = r"restaurant-system: The log is written to \S+ again\.\n"


def messages(path):
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def test_a_new_file_that_cannot_be_written_is_reported_once_and_the_old_one_used(tmp_path):
    process = run(
        FORBID
        + """
    log.info("one")
    path.rename(f"{path}.1")
    path.touch()
    forbid(path, 0)
    for n in range(3): log.info("two %s", n)
    allow(path, 0o644)
    while not path.stat().st_size:
        time.sleep(0.02)
        log.info("three")
    log.info("four")
    """,
        str(tmp_path / "log"),
    )
    before = messages(tmp_path / "log.1")
    assert [each for each in before if each != "three"] == ["one", "two 0", "two 1", "two 2"]
    assert messages(tmp_path / "log") == ["three", "four"]
    assert re.fullmatch(f"{REOPEN}Permission denied. {GOES_ON}{WELL}", process.stderr)


def test_a_folder_that_is_moved_away_takes_its_log_along(tmp_path):
    (tmp_path / "logs").mkdir()
    process = run(
        FORBID
        + """
    path.parent.rename(path.parent.with_name("moved"))
    for n in range(3): log.info("%s", n)
    """,
        str(tmp_path / "logs" / "log"),
    )
    assert messages(tmp_path / "moved" / "log") == ["0", "1", "2"]
    assert re.fullmatch(f"{REOPEN}No such file or directory. {GOES_ON}", process.stderr)


def test_lines_of_a_log_that_is_deleted_and_cannot_be_made_follow_on_stderr(tmp_path):
    (tmp_path / "logs").mkdir()
    process = run(
        FORBID
        + """
    log.info("one")
    path.unlink()
    forbid(path.parent, 0o555)
    log.info("two")
    """,
        str(tmp_path / "logs" / "log"),
    )
    moved, deleted, line = process.stderr.splitlines()
    assert re.fullmatch(f"{REOPEN}Permission denied. {GOES_ON}", moved + "\n")
    assert "has been deleted. The lines of the log follow here." in deleted
    assert json.loads(line)["message"] == "two"


def test_lines_that_a_full_disk_does_not_take_follow_on_stderr(tmp_path):
    (tmp_path / "log").symlink_to("/dev/full")
    process = run(
        FORBID
        + """
    log.info("one")
    log.info("two")
    path.unlink()
    log.info("three")
    """,
        str(tmp_path / "log"),
    )
    full, one, two, well = process.stderr.splitlines()
    assert full == (
        f"restaurant-system: The log cannot be written to {tmp_path / 'log'}: No space left on "
        "device. Its lines follow here until it can."
    )
    assert [json.loads(line)["message"] for line in (one, two)] == ["one", "two"]
    assert re.fullmatch(WELL, well + "\n")
    assert messages(tmp_path / "log") == ["three"]


def test_the_part_of_a_line_that_a_full_disk_took_spoils_no_later_line(tmp_path):
    process = run(
        FORBID
        + """
    import resource
    log.info("one")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, hard))
    log.info("two")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    log.info("three")
    """,
        str(tmp_path / "log"),
    )
    one, part, three = (tmp_path / "log").read_text().splitlines()
    assert json.loads(one)["message"] == "one"
    assert len(part) == 50
    assert json.loads(three)["message"] == "three"
    _, two, well = process.stderr.splitlines()
    assert json.loads(two)["message"] == "two"
    assert re.fullmatch(WELL, well + "\n")


def test_lines_that_cannot_be_reported_are_counted(tmp_path):
    (tmp_path / "log").symlink_to("/dev/full")
    process = run(
        FORBID
        + """
    before = os.dup(2)
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
    for n in range(3): log.info("%s", n)
    os.dup2(before, 2)
    path.unlink()
    log.info("three")
    """,
        str(tmp_path / "log"),
    )
    assert process.stderr.endswith(" again. 3 lines were lost.\n")


def test_a_reader_that_is_gone_is_reported_once():
    process = run("""
        import os
        read, write = os.pipe()
        os.dup2(write, logging.getLogger().handlers[0]._descriptor)
        os.close(read)
        for n in range(3): logging.getLogger("pizza").info("%s", n)
    """)
    assert process.stderr.count("Broken pipe. Its lines are lost until it can.") == 1


def test_a_pipe_that_does_not_block_and_is_full_loses_no_line():
    code = """
        import fcntl, os
        fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK | fcntl.fcntl(1, fcntl.F_GETFL))
        log = logging.getLogger("pizza")
        for n in range(2000): log.info("%s", "x" * 1000)
    """
    process = run(code)
    assert process.stderr == ""
    assert len(process.stdout.splitlines()) == 2000

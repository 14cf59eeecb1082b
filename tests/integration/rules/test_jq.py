"""jq programs: what they give, and that the worst of them harm nothing but their own message."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.integration.rules.functions import jq
from tieline.integration.rules.functions.jq import Programs
from tieline.integration.rules.values.errors import RuleFailure


@pytest.fixture
def programs() -> Iterator[Programs]:
    made = Programs()
    yield made
    made.close()


def test_results_are_values_however_many(programs: Programs) -> None:
    assert programs.run(".[]", '["ä\\n", null, 1.5, {"a": []}]', 1) == ["ä\n", None, 1.5, {"a": []}]
    assert programs.run("empty", "1", 1) == []
    assert programs.run("halt", "1", 1) == []
    assert jq.jq("length", {"a": 1}) == [1] and jq.jq(".a", '{"a": 2}') == [2]


@pytest.mark.parametrize(
    ("program", "given", "said"),
    [
        ("(", "1", "syntax error"),
        (".", "{", "parse error"),
        ('"no" | error', "1", "no"),
        (".a", "[]", "Cannot index"),
        ("[range(20000000)]", "1", "too much memory|did not end"),
    ],
)
def test_what_is_wrong_is_said(programs: Programs, program: str, given: str, said: str) -> None:
    with pytest.raises(RuleFailure, match=said):
        programs.run(program, given, 5)
    assert programs.run(".", "1", 1) == [1]


@pytest.mark.parametrize("program", ["repeat(1)", "def f: f; f", "[limit(100000000; repeat(1))] | length"])
def test_a_program_without_end_is_ended_and_left_alone_for_a_while(
    programs: Programs, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuleFailure, match=r"did not end within 0\.2 s|too much memory"):
        programs.run(program, "1", 0.2)
    began = time.process_time()
    with pytest.raises(RuleFailure, match=r"is not tried again for \d s|too much memory"):
        programs.run(program, "1", 0.2)
    assert time.process_time() - began < 0.1
    assert programs.run(".", "1", 1) == [1]  # others run
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2.1)
    with pytest.raises(RuleFailure, match=r"did not end within|too much memory"):
        programs.run(program, "1", 0.2)


def test_a_program_sees_neither_the_environment_nor_files(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    (tmp_path / "keys.json").write_text(json.dumps({"key": "secret"}))
    assert "secret" not in json.dumps(programs.run("$ENV, env", "1", 1))
    with pytest.raises(RuleFailure) as refused:
        programs.run(f'import "keys" as $keys {{search: "{tmp_path}"}}; $keys', "1", 1)
    assert "secret" not in str(refused.value)
    with pytest.raises(RuleFailure):
        programs.run("input", "1", 1)


def test_a_process_that_is_killed_costs_one_message(programs: Programs) -> None:
    assert programs.run(".", "1", 1) == [1]
    assert programs._process is not None
    os.kill(programs._process.pid, signal.SIGKILL)
    with pytest.raises(RuleFailure, match="broke jq"):
        programs.run(".", "1", 1)
    assert programs.run(".", "1", 1) == [1]


def test_threads_take_turns(programs: Programs) -> None:
    found: dict[int, list[object]] = {}

    def work(number: int) -> None:
        found[number] = [programs.run(". + 1", str(number * 100 + n), 1) for n in range(50)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [[number * 100 + n + 1] for n in range(50)] for number in range(4)}


def test_the_time_is_bounded() -> None:
    for milliseconds in (0, -1, 10_001):
        with pytest.raises(RuleFailure, match="at most 10000 ms"):
            jq.jq(".", 1, milliseconds)

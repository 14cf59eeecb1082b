"""A template is read in a time that is linear in its length, whatever stands in it."""

from __future__ import annotations

import contextlib
import time

import pytest

from tieline.integration.rules.compile.template import MAX_LENGTH, sql_template, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.influxdb.lines import lines
from tieline.integration.sinks.mysql.statement import statement
from tieline.integration.sinks.postgresql.bulk import many_rows

INSERT = "insert into t(a) values (${a})"
PARTS = (
    *("${", "${a", "'", "''", "'\\", "e'\\", '"', "/* ", "/*/", "-- ", "--\n", "$a$ ", "$ab$", "`a", "( ", ") ", "#"),
    *(" ", ";", " on conflict ", "select ", ", (${a})", "${a}", "?", "a=", "\\"),
)
SECONDS = 2.0


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("head", ["", INSERT])
def test_no_template_takes_the_square_of_its_length(head: str, part: str) -> None:
    text = (head + part * (MAX_LENGTH // len(part)))[: MAX_LENGTH - 1] + "x"
    began = time.process_time()
    for read in (text_template, sql_template, statement, lines):
        with contextlib.suppress(TemplateError):
            read(text)
    with contextlib.suppress(TemplateError):
        many_rows(text.replace("${a}", "$1"), [])
    assert time.process_time() - began < SECONDS


def test_dollar_quotes_that_are_different_each_time() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    text = " ".join(f"${a}{b}{c}$" for a in letters for b in letters for c in letters)[: MAX_LENGTH - 100]
    began = time.process_time()
    sql_template(text)
    assert time.process_time() - began < SECONDS


def test_the_length_is_bounded() -> None:
    assert text_template("x" * MAX_LENGTH).parts == ("x" * MAX_LENGTH,)
    for read in (text_template, sql_template, statement, lines):
        with pytest.raises(TemplateError, match="at most 65536 characters"):
            read("x" * (MAX_LENGTH + 1))


def test_what_is_not_closed_in_a_text_is_text_and_in_sql_refused() -> None:
    assert text_template("a ${b} ${c").parts == ("a ", ("b",), " ${c")
    with pytest.raises(TemplateError, match="not closed"):
        sql_template("select ${a} + ${b")
    assert sql_template("select a$b$c + ${a}").paths == (("a",),)
    with pytest.raises(TemplateError, match="stands inside"):
        sql_template("select 1 /* ${a}")

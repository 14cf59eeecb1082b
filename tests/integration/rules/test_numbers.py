"""No number changes on its way through a rule, and no text is taken for a number that it is not."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.messages import json_text
from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import compile_rule
from tieline.integration.rules.values.errors import RuleFailure
from tieline.integration.rules.values.texts import rounded, written
from tieline.integration.rules.values.values import MAX_BITS

LARGE = [2**53 + 1, -(2**53) - 1, 2**63, -(2**63) - 1, 2**64, 2**64 - 1, 10**400, -(10**400), 1724442618569203714]


def value(expression: str, **payload: Any) -> Any:
    rule = compile_rule(f'SELECT {expression} as r FROM "t"')
    return rule.evaluate(Message("t", json.dumps(payload, ensure_ascii=False).encode()))[0]["r"]


@pytest.mark.parametrize("number", LARGE)
@pytest.mark.parametrize(
    "expression",
    [
        *("payload.x", "payload.list[1]", "payload.text.x", "json_decode(payload.text).x", "map_get('x', payload)"),
        *("round(payload.x)", "int(payload.x)", "ceil(payload.x)", "floor(payload.x)", "int(str(payload.x))"),
        *(
            "- - payload.x",
            "payload.x + 0",
            "payload.x * 1",
            "payload.x div 1",
            "payload.x - 1 + 1",
            "bitor(payload.x, 0)",
        ),
        *(
            "coalesce(payload.x, 1)",
            "nth(1, payload.list)",
            "map(payload.text).x",
            "json_decode(json_encode(payload.x))",
        ),
        *(
            "first(payload.list)",
            "term_decode(term_encode(payload.x))",
            "int(concat(payload.x))",
            "int('' + payload.x)",
        ),
        *("int(sprintf('~b', payload.x))", "int(sprintf('~p', payload.x))", "int(join_to_string(payload.list))"),
        *("case when payload.x = payload.x then payload.x end", "kv_store_put('n', payload.x)"),
    ],
)
def test_a_whole_number_keeps_every_digit(expression: str, number: int) -> None:
    found = value(expression, x=number, list=[number], text=json.dumps({"x": number}))
    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize("number", LARGE)
def test_a_whole_number_of_an_output_is_written_as_it_came(number: int) -> None:
    outputs = compile_rule('SELECT payload.x as x FROM "t"').evaluate(Message("t", f'{{"x": {number}}}'.encode()))
    assert json_text.encode(outputs) == f'[{{"x":{number}}}]'


NO_NUMBERS = ["", " ", "1_0", "1_000.5", " 1", "1 ", "1\n", "١٢", "1e5", "0x10", "0x1F", "nan", "NaN", "inf", "-inf",
    "Infinity", "infinity", ".5", "5.", "1.e5", "1.5e", "--1", "+", "1.5.5", "1.0e400", "９", "1L", "true"]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize("expression", ["int(payload.t)", "float(payload.t)", "float(payload.t, 2)", "payload.t > 1"])
def test_a_text_that_is_no_number_fails_the_message(expression: str, text: str) -> None:
    with pytest.raises(RuleFailure, match=r"no number|too large"):
        value(expression, t=text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("2.50", 2.5), ("-1.0e3", -1000.0), ("1.0E-2", 0.01), ("1,5", 1.5)],
)
def test_a_text_that_is_a_number(text: str, number: float) -> None:
    assert value("float(payload.t)", t=text) == number
    assert value("payload.t = payload.n", t=text, n=number) is True


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.5, 1), (-0.5, -1), (2.5, 3), (-2.5, -3), (0.49999999999999994, 0), (-0.49999999999999994, 0), (-0.0, 0),
     (4503599627370495.5, 4503599627370496), (9007199254740993.0, 9007199254740992), (1e22, 10**22), (1e-7, 0)],
)  # fmt: skip
def test_round_takes_halves_away_from_zero(number: float, expected: int) -> None:
    assert value("round(payload.x)", x=number) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_round_is_exact_for_every_fraction(number: float) -> None:
    assert rounded(number) == int(Decimal(number).to_integral_value("ROUND_HALF_UP"))


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-7, "0.0000001"), (0.000000314159265359, "0.0000003142"), (1e20, "100000000000000000000.0"), (2.0, "2.0"),
     (3.14159265359, "3.1415926536"), (123456789.12, "123456789.1200000048"), (-0.0, "-0.0"), (0.1 + 0.2, "0.3"),
     (1e-11, "0.0"), (12345.678901234567, "12345.6789012346"), (2**53 + 1, "9007199254740993"), (True, "true")],
)  # fmt: skip
def test_the_text_of_a_number_has_no_exponent_and_ten_places(number: Any, text: str) -> None:
    assert written(number) == text
    for expression in ("str(payload.x)", "concat(payload.x)", "'' + payload.x", "join_to_string([payload.x])"):
        assert value(expression, x=number) == text, expression


def test_a_number_that_python_would_not_write_is_refused() -> None:
    for expression in (
        f"bitsl(1, {MAX_BITS})",
        f"subbits(payload.t, {MAX_BITS + 1})",
        "payload.x * payload.x * payload.x",
    ):
        with pytest.raises(RuleFailure, match=f"more than {MAX_BITS} bits"):
            value(expression, t="x" * MAX_BITS, x=10**2000)
    assert str(value(f"bitsl(1, {MAX_BITS - 1})"))


@pytest.mark.parametrize("written_number", ["1e400", "-1e999", "9" * 5000])
def test_json_whose_number_has_no_value_is_no_json(written_number: str) -> None:
    message = Message("t", f'{{"x": {written_number}}}'.encode())
    with pytest.raises(RuleFailure, match="not JSON"):
        compile_rule('SELECT payload.x as r FROM "t"').evaluate(message)


NANO = "2024-02-23T15:56:30.535904509Z"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (f"rfc3339_to_unix_ts('{NANO}', 'nanosecond')", 1708703790535904509),
        (f"rfc3339_to_unix_ts('{NANO}', 'microsecond')", 1708703790535905),
        (f"rfc3339_to_unix_ts('{NANO}', 'millisecond')", 1708703790536),
        (f"rfc3339_to_unix_ts('{NANO}')", 1708703790),
        ("rfc3339_to_unix_ts('2024-02-23t15:56:30z')", 1708703790),
        ("rfc3339_to_unix_ts('2024-02-23 15:56:30.9999999999+00:00', 'nanosecond')", 1708703791000000000),
        ("rfc3339_to_unix_ts('1969-12-31T23:59:59.5Z', 'millisecond')", -500),
        ("rfc3339_to_unix_ts('0001-01-01T00:00:00Z')", -62135596800),
        ("date_to_unix_ts('nanosecond', '%Y-%m-%d %H:%M:%S.%N', '2024-02-23 15:56:30.535904509')", 1708703790535904509),
        ("format_date('nanosecond', 'Z', '%S.%N', 1708703790535904509)", "30.535904509"),
        ("substr(unix_ts_to_rfc3339(rfc3339_to_unix_ts('0099-06-15T00:00:00Z')), 0, 7)", "0099-06"),
        ("bin2hexstr(subbits(hexstr2bin('9F4E58'), 5, 12, 'bits'))", "F4E"),
        ("strlen(payload.t)", 3),
        ("reverse(payload.t)", "ce\u0301a"),
        ("substr(payload.t, 1, 1)", "e\u0301"),
        ("pad(payload.t, 5, 'leading', '*')", "**ae\u0301c"),
        (
            "sprintf('~.4s|~6.2s|~3c|~i~*s|~2s|~#', 'ab', 'cde', 42, 'gone', 4, 'x', 'long', 10)",
            "ab  |    cd|***|   x|lo|10#10",
        ),
        ("sprintf('~5s|~-5s|~.16B|~e|~g', 'ab', 'cd', 255, 12.5, 12.5)", "   ab|cd   |FF|1.25000e+1|12.5000"),
    ],
)
def test_what_a_function_gives(call: str, expected: Any) -> None:
    assert value(call, t="ae\u0301c") == expected


@pytest.mark.parametrize("time", ["2024-02-23T15:56:30", "2024-02-30T00:00:00Z", "2024-02-23T24:00:00Z", "2024-02-23",
    "2024-02-23T15:56:60Z", "2024-02-23T15:56:30.Z", "2024-02-23T15:56:30+8:00", "٢٠٢٤-02-23T15:56:30Z"])  # fmt: skip
def test_what_is_no_time_fails_the_message(time: str) -> None:
    with pytest.raises(RuleFailure, match=r"no time of RFC 3339|no such time"):
        value("rfc3339_to_unix_ts(payload.t)", t=time)

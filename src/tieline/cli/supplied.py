"""What commands are given: what they work on, whose options are written down once, and the options that were typed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Concatenate, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


def given(**options: Any) -> dict[str, Any]:
    """The options that were typed: one that was not is left out, one that is empty is not."""
    return {name: value for name, value in options.items() if value is not None}


def supplied(make: Callable[..., T]) -> Callable[[Callable[Concatenate[T, P], None]], Callable[..., None]]:
    """A decorator of commands: the first parameter is what `make` returns, and `make`'s options follow the own ones."""
    options = list(inspect.signature(make, eval_str=True).parameters.values())

    def widen(command: Callable[Concatenate[T, P], None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            made = make(**{option.name: values.pop(option.name) for option in options})
            with ExitStack() as stack:
                if isinstance(made, AbstractContextManager):
                    stack.enter_context(made)
                command(made, **values)  # type: ignore[call-arg]

        run.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
        run.__annotations__ = {}  # what typer would rather read
        return run

    return widen

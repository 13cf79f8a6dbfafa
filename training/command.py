"""What all commands of training and convert share: the way they run and end, and options that several of them take."""

import math
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from server.errors import CorollaError

CommandT = TypeVar("CommandT", bound=Callable[..., object])

REFUSED = 1
"""The exit code where something is refused."""
HELP_WIDTH_CHARS = 100
FILE = click.Path(path_type=Path)
"""The type of every path. Whoever opens it says what is wrong with it."""


class NumberRange(click.FloatRange):
    """A range of numbers. NaN, which no comparison puts out of a range, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse an option's value."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def with_options(*options: Callable[[CommandT], CommandT]) -> Callable[[CommandT], CommandT]:
    """Return one decorator that adds these options and arguments to a command, in this order."""

    def add(command: CommandT) -> CommandT:
        for option in reversed(options):
            command = option(command)
        return command

    return add


data_dir_option = click.option(
    "--data-dir",
    type=FILE,
    default="data",
    envvar="COROLLA_DATA_DIR",
    show_envvar=True,
    help="Folder of the run log and of the runs' files.",
)
models_dir_option = click.option(
    "--models-dir",
    type=FILE,
    default="models",
    envvar="COROLLA_MODELS_DIR",
    show_envvar=True,
    help="The model repository: the folder of the published versions.",
)


def run_command(command: click.Command, arguments: Sequence[str], program: str) -> int:
    """Run a command.

    Args:
        command: The command, or a group of them.
        arguments: What follows the program's name.
        program: The program's name, as a user types it.

    Returns:
        The exit code: 0, 1 if something is refused, 2 for wrong arguments, or the one that the command exits with.
    """
    try:
        with command.make_context(
            program,
            list(arguments),
            help_option_names=["-h", "--help"],
            max_content_width=HELP_WIDTH_CHARS,
            show_default=True,
        ) as context:
            command.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (CorollaError, OSError, sqlite3.Error) as error:
        print(f"refused: {error}", file=sys.stderr)  # noqa: T201  a command prints
        return REFUSED
    return 0

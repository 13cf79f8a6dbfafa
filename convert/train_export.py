"""The command `python -m convert.train_export`: train on a table, then convert and publish the run, in one go.

The published version's folder goes to standard output, for scripts. What is for people goes to standard error.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
import click

from convert.cli import ConvertOptions, convert_options, convert_runs
from training.cli import train_runs
from training.command import run_command
from training.options import TrainOptions, train_options

OptionsT = TypeVar("OptionsT", TrainOptions, ConvertOptions)


def main(arguments: Sequence[str]) -> int:
    """Train and convert.

    Returns:
        The exit code: 0, 1 if the table or the run is refused, 2 for wrong arguments, 3 if parity fails, 4 if a gate
        fails.
    """
    return run_command(_train_export, arguments, "python -m convert.train_export")


@click.command()
@train_options
@convert_options
def _train_export(**options: Any) -> None:
    """Train on a table, compile the run to ONNX, prove that it answers as its estimator does, and publish it.

    Does what `python -m training train` and `python -m convert` do, and takes the options of both.
    Prints the published version's folder. Exits with 3 if parity fails and with 4 if a gate fails: nothing is published
    then.
    """
    if not options["target"]:  # as the recipe gives it, where only the table is named
        raise click.UsageError(f"name the column to predict: just train-export {options['source']} TARGET")
    run_ids = train_runs(_pick(TrainOptions, options))
    folder = convert_runs(run_ids, _pick(ConvertOptions, options))
    print(f"serve it: just serve; then POST /{folder.parent.name}/predict", file=sys.stderr)  # noqa: T201  a command prints


def _pick(kind: type[OptionsT], options: Mapping[str, Any]) -> OptionsT:
    return kind(**{field.name: options[field.name] for field in attrs.fields(kind)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Runs commands. As a program, it runs those that it reads, and so those of another environment."""

import contextlib
import io
import json
import sys
import traceback
from unittest import mock

from keras_recurrent.apps import cli
from keras_recurrent.apps.shared.training.checkpoints import States


class Killed(Exception):
    """Ends a training where a process would have been killed."""


def run(*arguments, last=None):
    """Runs a command and returns its standard output.

    Args:
        *arguments: The arguments of the command.
        last: The epoch after whose state is saved the training ends. None trains to the end.
    """

    def save(states, rows, *arguments, save=States.save, **options):
        save(states, rows, *arguments, **options)
        if len(rows) == last:
            states.wait()
            raise Killed

    output = io.StringIO()
    with contextlib.redirect_stdout(output), mock.patch.object(States, "save", save):
        try:
            status = cli.main([*map(str, arguments)])
        except Killed:
            return None
    assert status == 0 and last is None, f"exit status {status}"
    return output.getvalue()


def main():
    """Reads lines with the arguments of `run` as JSON, and answers each with `[result, error]`."""
    for line in sys.stdin:
        arguments, options = json.loads(line)
        try:
            answer = run(*arguments, **options), ""
        except BaseException:
            answer = None, traceback.format_exc()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

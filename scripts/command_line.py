"""Command lines from dataclasses: every field a flag, `_` and `-` alike, a wrong option one clear line.

Scripts hand their options and their work to `run`. Files that are to be written are looked at before the work begins,
so that no result is lost for want of a place. Scripts import this module first, and it says in one line what to do
where the project is not installed. They import what does their work after parsing, so that --help and a wrong option
are answered at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.util
import io
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cases", "grid_model", "control", "marl")
NOTHING_WRITTEN = "stopped, nothing was written"  # after Ctrl-C, where nothing is kept for going on


# What modules make when they are imported stays, and looking through it again and again is a tenth of a start.
gc.set_threshold(100_000, 20, 20)


class WorkFailed(RuntimeError):
    """The work cannot be done, and the message says all there is to say; what else is raised is a fault to look at."""


def _stopped_while_starting(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Ctrl-C before `attempt` is reached, while modules are read, in one line; all else as ever."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"{Path(sys.argv[0]).name}: {NOTHING_WRITTEN}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__ and Path(sys.argv[0]).resolve().parent == ROOT / "scripts":
    sys.excepthook = _stopped_while_starting


def what_is_not_installed() -> str:
    """What to do before any script can work, in one line; empty if this project's packages are the ones imported."""
    advice = (
        f"activate its environment or use {ROOT / '.venv' / 'bin' / 'python'}; `make setup` or "
        "`pip install -c constraints.txt -e .` installs it"
    )
    for name in (*PACKAGES, "tyro"):
        spec = importlib.util.find_spec(name)
        if spec is None:
            return f"{sys.executable} does not have this project installed (no {name}): {advice}"
        if name in PACKAGES and (spec.origin is None or Path(spec.origin).resolve().parent != ROOT / name):
            return f"{sys.executable} would import {name} of {spec.origin}, not this project's: {advice}"
    return ""


if __name__ != "__main__" and (missing := what_is_not_installed()):
    print(f"{Path(sys.argv[0]).name}: error: {missing}", file=sys.stderr)
    raise SystemExit(2)

from cases.nearest_name import perhaps  # noqa: E402
from cases.whole_file import OutputError as OutputError  # noqa: E402, that it is ours is known only now
from cases.whole_file import write_json as write_json  # noqa: E402
from cases.whole_file import write_text as write_text  # noqa: E402
from option_checks import OptionError as OptionError  # noqa: E402
from option_checks import require_writable  # noqa: E402


def one_thread() -> None:
    """One thread for numpy, numba and torch unless the environment says otherwise; before they are imported."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def attempt(
    program: str,
    work: Callable[[], int | None],
    *,
    refused: tuple[type[Exception], ...] = (),
    failed: tuple[type[Exception], ...] = (ValueError, OSError, RuntimeError),
    stopped: str = "stopped",
) -> int:
    """Does the work, and tells in one line why it could not be done.

    Args:
        program: name of the script, for messages.
        work: what to do; its status, or None for 0.
        refused: what makes an option a wrong one, besides OptionError and what comparisons, scenarios and
            configurations refuse.
        failed: what else ends the work.
        stopped: what is said after Ctrl-C.

    Returns:
        Exit status: that of the work or 0, 2 wrong option, 1 failed or nobody takes what it prints, 130 stopped.

    Raises:
        SystemExit: that of the work.
    """
    if sys.stdout is None:  # closed by whoever started the script
        return _told(program, "the standard output is closed")
    try:
        with contextlib.redirect_stdout(cast(Any, _Stdout(sys.stdout))):
            try:
                return work() or 0
            finally:  # what is printed may wait until here for a full disk to refuse it
                sys.stdout.flush()
    except _StdoutRefused as error:
        return _told(program, str(error))
    except KeyboardInterrupt:
        print(f"{program}: {stopped}", file=sys.stderr)
        return 130
    except MemoryError as error:
        return _told(program, f"out of memory: {error}" if str(error) else "out of memory")
    except Exception as error:
        from cases.arrays import CaseDataError
        from control.evaluation.refusal import ComparisonError
        from control.scenario.config import ScenarioError
        from marl.config.check import ConfigError

        refusals = (OptionError, CaseDataError, ComparisonError, ConfigError, ScenarioError, *refused)
        wrong = isinstance(error, refusals)
        if not wrong and not isinstance(error, (OutputError, WorkFailed, *failed)):
            raise
        return _told(program, in_words(error), 2 if wrong and not isinstance(error, OutputError) else 1)


def _told(program: str, what: str, status: int = 1) -> int:
    """Says in one line what went wrong, or nothing where there is nothing to say; the exit status."""
    if what:
        print(f"{program}: error: {what}", file=sys.stderr)
    return status


def command(script: str, *options: str) -> str:
    """A command that works where the user is now, whether or not an environment is activated.

    Args:
        script: its file.
        options: as they are to be typed.
    """
    shown = [os.path.relpath(path) for path in (sys.executable, script)]
    absolute = [os.path.abspath(path) for path in (sys.executable, script)]
    parts = [far if near.startswith("..") else near for near, far in zip(shown, absolute, strict=True)]
    return shlex.join([*parts, *options])


def in_words(error: BaseException) -> str:
    """What an exception says, in one line; the system's own errors without their numbers."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return text or type(error).__name__


class _StdoutRefused(Exception):
    """The standard output takes no more; without words where its reader has left, as `| head` does."""


class _Stdout:
    """The standard output, which says that it was the one that refused: a full disk names no file."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._told():
            written: int = self._stream.write(text)
        return written

    def flush(self) -> None:
        with self._told():
            self._stream.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # To nowhere with what is left: the interpreter would try again at its end, and say so in its own words.
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                raise _StdoutRefused from error
            reason = error.strerror or error
            raise _StdoutRefused(f"cannot write to the standard output: {reason}") from error


def run(
    program: str,
    options_type: type[T],
    work: Callable[[T], int | None],
    arguments: Sequence[str],
    *,
    about: str | None,
    writes: Sequence[str] = (),
    single_thread: bool = False,
    **ends: Any,
) -> int:
    """What the main of a script does: parses, looks at the places of its results, and works.

    Args:
        program: name of the script, for messages.
        options_type: dataclass whose fields are the options.
        work: given the options; its status, or None for 0.
        arguments: of the command line.
        about: for --help.
        writes: options that name files to be written.
        single_thread: see `one_thread`.
        ends: keywords of `attempt`.

    Returns:
        Exit status of `attempt`.

    Raises:
        SystemExit: see `parse`.
    """

    def parse_and_work() -> int | None:
        options = parse(options_type, program=program, description=(about or "").strip(), arguments=arguments)
        if single_thread:
            one_thread()
        for name in writes:
            require_writable(name, getattr(options, name))
        return work(options)

    return attempt(program, parse_and_work, **ends)


def progress_bar(total: int, unit: str = " intervals", **options: Any) -> Any:
    """tqdm's on the terminal; none where the output goes to a file."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=not sys.stderr.isatty(), **options)


def parse(
    config_type: type[T],
    *,
    program: str,
    description: str,
    arguments: Sequence[str],
    default: T | None = None,
    others_follow: bool = False,
    may_be_empty: Sequence[str] = (),
) -> T:
    """Builds a `config_type` from the arguments.

    Args:
        config_type: dataclass whose fields are the options.
        program: name of the script, for messages.
        description: for --help.
        arguments: of the command line.
        default: values of options that are not given; those of the dataclass if None.
        others_follow: take these options from among others, which a second look with other defaults is for.
        may_be_empty: options of which an empty value says something that leaving them out does not.

    Raises:
        SystemExit: 0 after --help, 2 after a mistake, which is told in one line.
    """
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}
    if others_follow:
        options |= {"return_unknown_args": True, "add_help": False}
    complaint, before = io.StringIO(), os.environ.get("COLUMNS")
    if not {"-h", "--help"} & set(arguments):
        os.environ["COLUMNS"] = (
            "10000"  # a complaint is on a wide page: a long path must not be broken in two
        )
    try:
        with contextlib.redirect_stderr(complaint):
            result: Any = tyro.cli(
                tyro.conf.OmitArgPrefixes[config_type],  # type: ignore[valid-type, misc]
                prog=program,
                description=description,
                args=list(arguments),
                **options,
            )
    except SystemExit as error:
        if error.code in (0, None):
            raise
        print(f"{program}: error: {one_line(complaint.getvalue())}; see --help", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        os.environ.pop("COLUMNS", None)
        if before is not None:
            os.environ["COLUMNS"] = before
    built: T = result[0] if others_follow else result
    wrong = _beyond_numbers(built, None if default is None else default)
    if not others_follow:
        wrong = wrong or _empty(arguments, may_be_empty)
    if wrong:
        print(f"{program}: error: {wrong}; see --help", file=sys.stderr)
        raise SystemExit(2)
    return built


def _empty(arguments: Sequence[str], may_be: Sequence[str]) -> str:
    """Which option is given an empty value, in words; empty if none is.

    That is what a variable of the shell gives that is not set, and nobody means all there is, or the default, by it.
    """
    flag = ""
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if argument.startswith("--"):
            flag = name
        empty = not argument or (argument.startswith("--") and sign and not value)
        if empty and flag.strip("-").replace("-", "_") not in may_be:
            what = f"{flag} is given" if flag else "there is"
            return f"{what} an empty value, as by a variable that is not set: name one, or leave it out"
    return ""


def _beyond_numbers(options: object, default: object) -> str:
    """Which option is no number that can be computed with, and why; empty if all are.

    Checks of a range are passed by `nan`, which is neither above nor below anything, and what is drawn, counted or
    allocated with more than 64 bits fails in ways of every kind, often late. A default may be infinite.
    """
    for item in dataclasses.fields(options) if dataclasses.is_dataclass(options) else ():
        value, usual = getattr(options, item.name), getattr(default, item.name, item.default)
        if dataclasses.is_dataclass(value):
            inner = _beyond_numbers(value, usual)
            if inner:
                return inner
        for number in value if isinstance(value, tuple) else (value,):
            name = f"--{item.name.replace('_', '-')} {number}"
            if isinstance(number, float) and not math.isfinite(number) and number != usual:
                return f"{name}, expected a finite number"
            if isinstance(number, int) and abs(number) >= 2**63:
                return f"{name}, expected a number of at most 63 bits"
    return ""


def one_line(box: str) -> str:
    """tyro's framed message without the frame: its first paragraph, and the flag it thinks was meant."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │|") for line in box.splitlines()]
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if not line or set(line) <= set("─- "):
            paragraphs.append([])
        elif line[0] not in "╭╰":
            paragraphs[-1].append(line)
    found = [" ".join(p) for p in paragraphs if p]
    if "╭" not in box:
        found = found[1:]  # without box characters the title is a paragraph of its own
    message = (
        re.sub(r"^Error parsing (?!-)[\w.]+: ", "", found[0])
        if found
        else "the command line was not understood"
    )
    guess = re.search(r"Perhaps you meant: (--[\w-]+)", " ".join(found[1:]))
    message = message[0].lower() + message[1:]
    meant = f" (perhaps you meant {guess.group(1)})" if guess else ""
    choice = re.match(r"invalid choice '([^']*)' for argument .*?Expected one of \(([^)]*)\)", message)
    if choice:
        meant = perhaps(choice.group(1), re.findall(r"'([^']*)'", choice.group(2)))
    return message.rstrip(".") + meant

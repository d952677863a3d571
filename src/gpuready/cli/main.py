"""The command line: every verb in its own file, loaded only when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from gpuready import __version__
from gpuready.model.errors import UserError

VERBS = {
    "up": "from bare nodes to proven GPUs: look, plan, ask, apply, verify",
    "init": "look at the cluster and write gpuready.yaml",
    "plan": "show what would be done, why, and how far it can be undone",
    "apply": "carry out the plan; --resume, --undo, --dry-run=server",
    "verify": "compute on every GPU and judge",
    "status": "which GPUs there are, their health, who holds them",
    "doctor": "why a GPU cannot be used, from the evidence",
    "why": "the same for one pod or node: each link of its chain",
    "explain": "what a rule looks at, what it means, what to do; by its id",
    "demo": "the main job and a bad night on a simulated cluster, in seconds",
    "collect": "keep what doctor reads, redacted, in one archive",
    "uninstall": "take everything of ours out again, and prove it",
    "image": "build, save or push the one image",
    "rbac": "print the rights that a verb needs",
    "schema": "print the JSON Schema of gpuready.yaml",
    "completion": "print the shell completion script",
}
HIDDEN = ("agent", "probe")


class LazyGroup(click.Group):
    """Knows the verbs by name; imports a verb's module when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS and name not in HIDDEN:
            return None
        command = importlib.import_module(f"gpuready.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="gpuready takes a Kubernetes cluster from bare NVIDIA GPU nodes to GPUs that pods can use, proves it, "
    "and says why when a GPU cannot be used.",
    epilog="Exit codes: 0 all is well, 1 the tool could not do it, 2 findings, 3 something could not be determined.",
)
@click.version_option(__version__, prog_name="gpuready")
def cli() -> None:
    pass


def main(argv: list[str] | None = None) -> None:
    """Run, and turn every failure into one clear message: no traceback reaches a user."""
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    try:
        result: Any = cli.main(args=argv, prog_name=_program(), standalone_mode=False)
        return result if isinstance(result, int) else 0
    except UserError as error:
        return _say(error.what, error.next)
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except click.ClickException as usage:
        hint = f"{usage.ctx.command_path} --help" if isinstance(usage, click.UsageError) and usage.ctx else ""
        return _say(usage.format_message(), hint)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", "")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _say(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), "")
    except Exception as bug:
        return _say_bug(bug)


def _program() -> str:
    """`kubectl gpuready` when kubectl runs us as its plugin."""
    return "kubectl gpuready" if os.path.basename(sys.argv[0]).startswith("kubectl-") else "gpuready"


def _say(what: str, next_: str) -> int:
    from gpuready.model.redact import redact

    for line in redact(what).splitlines() or [""]:
        click.echo(f"error: {line}", err=True)
    for line in redact(next_).splitlines():
        click.echo(f"next:  {line}", err=True)
    return 1


def _say_bug(bug: Exception) -> int:
    """A defect of gpuready itself: where, so that it can be reported; the traceback only on request."""
    if os.environ.get("GPUREADY_DEBUG"):
        raise bug
    frame = bug.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    where = f"{os.path.basename(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}" if frame else "?"
    return _say(
        f"this is a defect in gpuready {__version__}: {type(bug).__name__} at {where}: {bug}",
        "please report it; GPUREADY_DEBUG=1 prints the traceback",
    )

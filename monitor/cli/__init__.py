"""The `monitor` program: one module a command, imported when it is called for."""

from __future__ import annotations

import gc
import importlib
import os
import sys

import click

from monitor.errors import MonitorError

COMMANDS = {
    "demo": "monitor.cli.demo:demo_command",
    "run": "monitor.cli.run:run_command",
    "replay": "monitor.cli.replay:replay_command",
    "import": "monitor.cli.import_:import_group",
    "incidents": "monitor.cli.incidents:incidents_group",
    "evaluate": "monitor.cli.evaluate:evaluate_command",
    "pages": "monitor.cli.pages:pages_group",
    "dead": "monitor.cli.dead:dead_group",
    "doctor": "monitor.cli.doctor:doctor_command",
    "rules": "monitor.cli.rules:rules_group",
    "store": "monitor.cli.store:store_group",
}


class Commands(click.Group):
    """A group whose commands are imported by name; help lists them in the order above."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fleet-monitor", prog_name="monitor")
def program() -> None:
    """Watch a machine-learning fleet: telemetry in, one incident that names its cause out.

    \b
    Try:  monitor demo
          monitor replay frames.ndjson.zst --topology topology.ndjson --incidents incidents.ndjson
          monitor incidents list --from incidents.ndjson
    """


def main() -> None:
    """Run the program; exit 0 done, 1 the answer is no or the work failed, 2 bad usage or configuration."""
    gc.set_threshold(50_000, 20, 100)  # frames hold no cycles, and thousands of them are alive
    try:
        try:
            program()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # else it happens at exit, where nobody hears that it failed
    except MonitorError as error:
        click.echo(f"monitor: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        click.echo(f"monitor: {error.filename or 'standard output'}: {error.strerror or error}", err=True)
        if not error.filename:  # what is left of the output would fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)

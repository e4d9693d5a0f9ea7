"""The program as a whole: what goes wrong with files is a line on standard error, never a traceback."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from loadgen.cli import main as loadgen_command
from loadgen.run import Run
from loadgen.spec import Spec
from loadgen.write import write_run
from monitor.cli import main, program
from monitor.cli.run import run_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def monitor(monkeypatch, capsys):
    """The program in this process: arguments to its exit code and what it said on standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["monitor", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """An hour of a small hall."""
    return write_run(Run(Spec("clean", 16, hours=1, interval=300)), tmp_path_factory.mktemp("run")).path


@pytest.mark.parametrize("arguments", [["--help"], ["rules", "show"]])
def test_output_that_has_no_room_is_said(arguments):
    """Also where it is so short that it fails only when the process ends."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "monitor", *arguments]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.stderr == "monitor: standard output: No space left on device\n"
    assert result.returncode == 1


@pytest.mark.parametrize("option", ["--incidents", "--anomalies", "--dead", "--state"])
@pytest.mark.parametrize("place", ["/proc/none", "/dev/null"])
def test_outputs_that_cannot_be_written_are_said(monitor, frames, tmp_path, option, place):
    """The file and the reason, on one line."""
    more = ["--incidents", tmp_path / "incidents.ndjson"] if option == "--state" else []
    code, said = monitor("replay", frames, option, place, *more)
    assert said.splitlines()[-1].startswith(("monitor: /", "Error: "))
    assert place in said
    assert code in {1, 2}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["demo", "--out", "/proc/none", "--gpus", "512"],
            "monitor: /proc/none: No such file or directory\n",
        ),
        (["demo", "--hours", "nan"], "nan hours is no length of a run"),
        (["demo", "--seed", "-1"], "-1 is not in the range x>=0"),
        (
            ["store", "stats", "clickhouse://127.0.0.1:1"],
            "clickhouse://127.0.0.1:1/fleet: cannot be reached: Connection",
        ),
        (["replay", __file__, "--topology", "/tmp"], "'/tmp' is a directory"),
        (["doctor", __file__, "--topology", "/tmp"], "'/tmp' is a directory"),
        (["store", "stats", "chdb:///"], "monitor: chdb:///: name a directory"),
        (
            ["incidents", "list", "--url", "http://127.0.0.1:1"],
            "monitor: http://127.0.0.1:1: Connection refused; is a `monitor run` listening there?\n",
        ),
        (
            ["store", "stats", "clickhouse://host:99999"],
            "monitor: clickhouse://host:99999: Port out of range",
        ),
    ],
)
def test_bad_values_are_said(monitor, arguments, why):
    """What cannot be done is said with its reason."""
    code, said = monitor(*arguments)
    assert why in said
    assert code in {1, 2}


def test_a_port_that_is_taken_is_said(monitor, tmp_path):
    """With what to do, and nothing is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        code, said = monitor("run", "--state", tmp_path / "state", "--listen", listen)
    assert said == (
        f"monitor: --listen {listen}: address already in use; stop what listens there, or name another port\n"
    )
    assert code == 2
    assert not (tmp_path / "state").exists()


def test_a_wrong_topology_names_its_first_problems(monitor, frames, tmp_path):
    """Twenty of them, and how many more there are; nobody reads thousands."""
    (tmp_path / "topology.ndjson").write_text("{}\n" * 1234)
    code, said = monitor("replay", frames, "--topology", tmp_path / "topology.ndjson")
    first, *told, last = said.splitlines()
    assert first == f"monitor: {tmp_path}/topology.ndjson: 1,234 problems"
    assert told == [f"  line {number}: `id` is missing" for number in range(1, 21)]
    assert last == "  and 1,214 more"
    assert code == 2


def test_what_is_no_dead_letter_is_said(monitor, frames):
    """In words, with the line."""
    topology = frames.with_name("topology.ndjson")
    assert f"{topology}, line 1: no dead letter record (" in monitor("dead", "list", "--from", topology)[1]


def test_what_does_nothing_yet_is_taken_and_not_shown():
    """Options of the contract that nothing answers to stay out of the help."""
    for command, option in ((run_command, "--bus"), (loadgen_command, "--models")):
        assert [known.hidden for known in command.params if option in known.opts] == [True]


def test_every_example_asks_where_the_process_listens():
    """Its address in docs, README and help is the one that it has by default."""
    (listen,) = [parameter.default for parameter in run_command.params if "--listen" in parameter.opts]
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("monitor/cli/*.py")]
    named = {address for path in texts for address in re.findall(r"127\.0\.0\.1:\d+", path.read_text())}
    assert named == {listen}


def commands(command, path):
    """Yield each command with its words."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), [*path, name])


@pytest.mark.parametrize(
    ("path", "command"),
    [pytest.param(path, found, id=" ".join(path)) for path, found in commands(program, ["monitor"])],
)
def test_every_command_has_an_example_and_a_line_that_fits(path, command):
    """In a terminal of 80 columns the list of commands cuts no line off."""
    assert " ".join(path) in command.help
    listed = command.get_help(click.Context(command, terminal_width=78)).partition("Commands:")[2]
    assert "..." not in listed

"""`monitor run`: the pipeline, live."""

from __future__ import annotations

from pathlib import Path

import click

IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command("run")
@click.argument("source", required=False, type=click.Choice(["-"]), metavar="[-]")
@click.option("--bus", default="memory://", hidden=True, help="Where frames come from beside HTTP.")
@click.option("--store", metavar="DSN", help="Write rollups and records there, as chdb:///directory.")
@click.option("--topology", type=IN_FILE, help="NDJSON, one entity a line.")
@click.option(
    "--rules", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Rules directory."
)
@click.option("--listen", default="127.0.0.1:8720", show_default=True, metavar="HOST:PORT")
@click.option(
    "--state", type=DIRECTORY,
    help="Directory for journal, snapshots, records, pages; by default beside the store, as STORE.live.",
)  # fmt: skip
@click.option("--scrape", type=IN_FILE, help="Scrape the targets of this file, in Prometheus's own form.")
@click.option("--partitions", default=1, show_default=True, type=click.IntRange(1, 1024))
@click.option("--drain", is_flag=True, help="Work off what there is, close every tick and exit.")
@click.option("--stdin", is_flag=True, help="Read frames from standard input too, as `-` does.")
def run_command(
    source: str | None, bus: str, store: str | None, topology: Path | None, rules: Path | None, listen: str,
    state: Path | None, scrape: Path | None, partitions: int, *, drain: bool, stdin: bool,
) -> None:  # fmt: skip
    """Run the pipeline live: frames in, incidents and pages out.

    Frames come over HTTP and are safe on disk before they are answered. After a kill, start it again with the
    same --state: it goes on where it stood. The token for what changes state is in MONITOR_TOKEN, or in the
    file `token` of the state directory.

    Prometheus may push to it too: remote write goes to /api/v1/write. `monitor doctor --url` says what of it
    is not seen or not judged.

    With --drain, `received` in frames from standard input is honoured, and the process ends with them.

    \b
    Example:
      monitor run --topology topology.ndjson --store chdb:///var/lib/fleet
      monitor run --topology topology.ndjson --state state --scrape prometheus.yml
      curl --data-binary @frames.ndjson http://127.0.0.1:8720/v1/frames
      monitor run --state state --drain - < frames.ndjson
    """
    import asyncio
    import logging
    import sys

    from monitor.errors import UsageError, WorkError
    from monitor.runners.live import Live, LivePlan, default_state, refuse_bus
    from monitor.web.serve import bind, read_listen, serve, standard_input

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    refuse_bus(bus)
    read_listen(listen)
    place = state or default_state(store)
    if place is None:
        raise UsageError("name a directory for the journal and snapshots with --state")
    listening = bind(listen)
    live = Live(LivePlan(place, store, topology, rules, partitions, drain, scrape))
    stream = standard_input() if stdin or source == "-" else None

    def ready(url: str) -> None:
        click.echo(f"monitor: listening on {url}, state in {place}", err=True)

    try:
        ended = asyncio.run(serve(live, listening, stream, ready))
    except BaseException:
        live.stop()
        raise
    sys.stdout.flush()
    if not ended:
        raise WorkError("some work did not end in time; nothing is lost, it is done at the next start")

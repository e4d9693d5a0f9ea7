"""`monitor run` as its users meet it: a fault in, a page out, people's commands, secrets, locks, full disks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from monitor.adapters.clickhouse import Store
from monitor.adapters.meters import Meters
from monitor.runners.receiver import Receiver
from tests.live.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "s3cr3tr0ut1ngkey" * 2
TOKEN = "t0k3n-that-nobody-may-see"
HASTY = "tick_ms: 1000\nlateness_ms: 1000\npage_wait_ticks: 0\nsnapshot_ticks: 2\n"


def rules(out: Path, text: str = HASTY) -> Path:
    path = out / "rules"
    path.mkdir(exist_ok=True)
    (path / "settings.yaml").write_text(text)
    return path


def gpu(xid: int, source: str = "node:n1") -> bytes:
    now = time.time_ns() // 1_000_000
    metrics = {"xid": [xid, 0], "gpu_temp_celsius": [60, 61]}
    return json.dumps(
        {"kind": "gpu", "ts": now, "source": source, "items": ["0", "1"], "metrics": metrics}
    ).encode()


def monitor(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments], capture_output=True, text=True, check=False, **more
    )


def send(process: Process, *lines: bytes) -> httpx2.Response:
    return httpx2.post(f"{process.url}/v1/frames", content=b"\n".join(lines), timeout=20)


def incidents(process: Process) -> list[dict[str, Any]]:
    return httpx2.get(f"{process.url}/v1/incidents", timeout=20).json()["incidents"]  # type: ignore[no-any-return]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver().start()
    yield started
    started.stop()


def test_a_fault_from_the_first_frame_to_the_page_and_what_people_say(
    tmp_path: Path, receiver: Receiver
) -> None:
    """A GPU falls off the bus: one incident, one page; ack, mark and resolve through the command line; why."""
    env = os.environ | {
        "MONITOR_PAGERDUTY_ROUTING_KEY": KEY, "MONITOR_PAGERDUTY_URL": receiver.url, "MONITOR_TOKEN": TOKEN,
    }  # fmt: skip
    store = f"chdb://{tmp_path}/store"
    process = Process(tmp_path, "--rules", str(rules(tmp_path)), "--store", store, env=env)
    process.start()
    send(process, gpu(0))
    send(process, gpu(79))
    process.wait_for(lambda: receiver.alerts)
    assert [alert.state for alert in receiver.alerts] == ["triggered"]
    (incident,) = incidents(process)
    assert (incident["cause"]["entity"], incident["pages"]) == ("gpu:n1/0", 1)
    asked = ["--state", str(process.state)]
    listed = monitor("incidents", "list", "--json", *asked)
    assert json.loads(listed.stdout)["id"] == incident["id"], listed.stderr
    by_url = monitor("incidents", "list", "--json", env=os.environ | {"MONITOR_URL": process.url})
    assert by_url.stdout == listed.stdout
    some = incident["id"][:8]
    refused = monitor("incidents", "ack", some, *asked)
    assert refused.returncode == 2
    assert "the token is missing or wrong" in refused.stderr
    for action, more in (("ack", []), ("mark", ["--as", "noise"]), ("resolve", [])):
        said = monitor("incidents", action, some, "--user", "ann", *asked, *more, env=env)
        assert said.returncode == 0, said.stderr
    process.wait_for(lambda: incidents(process)[0]["state"] == "resolved")
    shown = httpx2.get(f"{process.url}/v1/incidents/{some}", timeout=20).json()
    transitions = [line["transition"] for line in shown["transitions"]]
    assert transitions[:2] == ["opened", "paged"]
    assert transitions.count("acknowledged") <= 1
    assert transitions[-1] == "resolved"
    process.wait_for(lambda: receiver.alerts[0].state == "resolved")
    assert "noise, says ann" in monitor("incidents", "why", some, *asked).stdout
    again = monitor("incidents", "resolve", some, "--user", "ann", *asked, env=env)
    assert "is resolved" in again.stderr
    assert httpx2.get(f"{process.url}/v1/incidents?state=open", timeout=20).json() == {"incidents": []}
    metrics = httpx2.get(f"{process.url}/metrics", timeout=20).text
    assert 'monitor_pages_total{action="trigger",status="sent"} 1.0' in metrics
    assert process.stop() == 0
    stood = monitor("incidents", "list", "--json", *asked)
    assert monitor("incidents", "list", "--json", "--store", store).stdout == stood.stdout != ""
    with Store.open(store) as opened:
        pages = opened.rows("SELECT action, incident, state, attempt FROM pages FINAL ORDER BY at")
    assert pages[0] == ("trigger", incident["id"], "sent", 1)
    assert pages[-1] == ("resolve", incident["id"], "sent", 1)
    no_secret_anywhere(process, metrics, refused.stderr, refused.stdout, listed.stdout)


def no_secret_anywhere(process: Process, *said: str) -> None:
    """The key of the pager and the token are in no file and no answer."""
    assert KEY not in process.log.read_text()
    for text in said:
        assert KEY not in text
        assert TOKEN not in text
    for file in process.out.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert KEY.encode() not in data, file
            assert TOKEN.encode() not in data, file


def test_the_token_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """The token's file is 0600 and never logged; one that others may read is refused."""
    process = Process(tmp_path, "--rules", str(rules(tmp_path)))
    process.start()
    token = process.token()
    assert (process.state / "token").stat().st_mode & 0o777 == 0o600
    for wrong in ("x", token[:-1], token + "x", "\u00e9"):
        headers = {b"Authorization": f"Bearer {wrong}".encode()}
        answer = httpx2.post(f"{process.url}/v1/incidents/abc/ack", headers=headers, timeout=20)
        assert answer.status_code == 401
        assert answer.json()["error"].startswith("this is not the token: ")
        assert token not in answer.text
    answer = httpx2.post(
        f"{process.url}/v1/incidents/abc/ack", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    assert answer.status_code == 404
    assert answer.json()["error"] == "no incident begins with `abc`"
    assert process.stop() == 0
    assert token not in process.log.read_text()
    (process.state / "token").chmod(0o644)
    refused = monitor("run", "--state", str(process.state), "--listen", "127.0.0.1:0")
    assert (refused.returncode, "others may read it" in refused.stderr) == (2, True)


def test_commands_do_not_come_in_through_the_back_door(tmp_path: Path) -> None:
    """A frame of the kind `command` needs the token too; without it, it is not even journalled."""
    process = Process(tmp_path, "--rules", str(rules(tmp_path)))
    process.start()
    now = time.time_ns() // 1_000_000
    frame = json.dumps({"kind": "command", "ts": now, "source": "user:eve", "command": "ack", "target": "x"})
    assert send(process, frame.encode()).json()["rejected"] == [
        {"line": 1, "reason": "a command needs the token"}
    ]
    headers = {"Authorization": f"Bearer {process.token()}"}
    allowed = httpx2.post(f"{process.url}/v1/frames", content=frame, headers=headers, timeout=20)
    assert allowed.json() == {"accepted": 1, "rejected": []}
    assert process.stop() == 0
    journal = b"".join(file.read_bytes() for file in (process.state / "journal").iterdir())
    assert journal.count(b"user:eve") == 1


def test_on_another_address_than_loopback_frames_need_the_token(tmp_path: Path) -> None:
    """Whoever can reach us from elsewhere must show the token before anything is read."""
    process = Process(tmp_path, "--rules", str(rules(tmp_path)))
    process.start("--listen", f"0.0.0.0:{process.port}")
    assert send(process, gpu(0)).status_code == 401
    headers = {"Authorization": f"Bearer {process.token()}"}
    answer = httpx2.post(f"{process.url}/v1/frames", content=gpu(0), headers=headers, timeout=20)
    assert answer.json() == {"accepted": 1, "rejected": []}
    assert process.stop() == 0
    assert b"node:n1" in (process.state / "journal" / "frames-0000000001.ndjson").read_bytes()


def test_one_process_has_a_state_directory_and_a_store(tmp_path: Path) -> None:
    """A second one is told which process has it."""
    process = Process(tmp_path, "--rules", str(rules(tmp_path)), "--store", f"chdb://{tmp_path}/store")
    process.start()
    assert process.running is not None
    second = monitor("run", "--state", str(process.state), "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert f"process {process.running.pid}" in second.stderr
    other = monitor("run", "--state", str(tmp_path / "other"), "--store", f"chdb://{tmp_path}/store",
                    "--listen", "127.0.0.1:0")  # fmt: skip
    assert other.returncode == 1
    assert "is open in another process" in other.stderr
    same_port = monitor("run", "--state", str(tmp_path / "third"), "--listen", f"127.0.0.1:{process.port}")
    assert same_port.returncode == 2
    assert "ddress already in use" in same_port.stderr
    assert process.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--bus", "kafka://localhost:9092"], "Kafka is not built yet"),
        (["--bus", "carrier-pigeon://"], "write memory://"),
        (["--listen", "8720"], "write HOST:PORT"),
        ([], "name a directory"),
        (["--state", "/dev/null/x"], "cannot be written"),
    ],
)  # fmt: skip
def test_bad_usage_is_said(arguments: list[str], why: str) -> None:
    """What cannot be done is said in a line, with what to do."""
    result = monitor("run", *arguments)
    assert result.returncode in {1, 2}
    assert why in result.stderr
    assert "Traceback" not in result.stderr


def test_dead_letters_and_the_store_are_read_through_the_process_that_has_them(tmp_path: Path) -> None:
    """Whatever names it: the store, the state directory, the address; after its end the store itself."""
    store = f"chdb://{tmp_path}/store"
    process = Process(tmp_path, "--rules", str(rules(tmp_path)), "--store", store,
                      "--state", f"{tmp_path}/store.live")  # fmt: skip
    process.start()
    bad = [b"{", b'{"kind":"fridge","ts":1,"source":"node:a"}', b"\xff"]
    assert send(process, gpu(0), *bad).json()["accepted"] == 1
    send(process, gpu(0))
    ways = (["--store", store], ["--state", f"{tmp_path}/store.live"], ["--url", process.url])
    process.wait_for(lambda: '"unknown_kind":1' in monitor("dead", "count", "--json", *ways[0]).stdout)
    for way in ways:
        assert json.loads(monitor("dead", "count", "--json", *way).stdout) == {
            "malformed": 2,
            "unknown_kind": 1,
        }
    listed = [monitor("dead", "list", "--json", "--reason", "malformed", *way) for way in ways]
    assert {run.stdout for run in listed} == {listed[0].stdout}, listed[0].stderr
    found = [json.loads(line) for line in listed[0].stdout.splitlines()]
    assert [letter["frame"] for letter in found] == ["{", "\\xff"]
    one = monitor("dead", "list", "--json", "--limit", "1", "--url", process.url).stdout
    assert one.splitlines() == listed[0].stdout.splitlines()[:1]

    def tables(*named: str) -> dict[str, Any]:
        said = monitor("store", "stats", "--json", *named)
        return {row["table"]: row for row in map(json.loads, said.stdout.splitlines())}

    def written() -> bool:
        send(process, gpu(0))
        held = tables(store)
        return held["dead_letters"]["rows"] == 3 and "first" in held["s10"]

    process.wait_for(written)
    asked = tables("--url", process.url)
    assert asked.keys() == tables(store).keys()
    assert asked["s10"]["first"][:2] == "20"
    assert (process.stop(), tables(store)["dead_letters"]["rows"]) == (0, 3)
    stored = monitor("dead", "list", "--json", "--reason", "malformed", "--store", store).stdout
    assert sorted(stored.splitlines()) == sorted(listed[0].stdout.splitlines())
    for more in ([], [store, "--url", process.url]):
        refused = monitor("store", "stats", *more)
        assert (refused.returncode, "name a store" in refused.stderr) == (2, True)


def test_a_question_is_answered_by_the_process_that_has_the_store(tmp_path: Path) -> None:
    """The first query of a page can be asked while it is on; only reading, within limits, with the token."""
    store = f"chdb://{tmp_path}/store"
    process = Process(tmp_path, "--rules", str(rules(tmp_path)), "--store", store,
                      "--state", f"{tmp_path}/store.live")  # fmt: skip
    process.start()
    send(process, b"{", b"\xff", gpu(0))
    sql = "SELECT reason, count() AS frames, max(written_at) AS last FROM dead_letters GROUP BY reason"
    process.wait_for(lambda: send(process, gpu(0)) and monitor("store", "query", store, sql, "--json").stdout)
    (told,) = map(json.loads, monitor("store", "query", store, sql, "--json").stdout.splitlines())
    assert (told["reason"], told["frames"], told["last"][:2]) == ("malformed", 2, "20")
    assert monitor("store", "query", store, sql).stdout.split()[:3] == ["reason", "frames", "last"]
    assert "10.0.0.1" in monitor("store", "query", store, "SELECT toIPv4('10.0.0.1')").stdout
    with_token = os.environ | {"MONITOR_TOKEN": (tmp_path / "store.live" / "token").read_text().strip()}
    for wrong, why in (("DROP TABLE m1", "READONLY"), ("SELEC 1", "Syntax error"), ("", "Empty query"),
                       ("SELECT * FROM numbers(100000000)", "TOO_MANY_ROWS_OR_BYTES")):  # fmt: skip
        said = monitor("store", "query", process.url, wrong, env=with_token)
        assert (said.returncode, why in said.stderr, said.stderr.count("\n")) == (1, True, 1), said.stderr
    assert "the token is missing or wrong" in monitor("store", "query", process.url, sql).stderr
    assert process.stop() == 0


def test_a_process_without_a_store_and_one_that_nobody_finds(tmp_path: Path) -> None:
    """Each is said, with what to do."""
    store = f"chdb://{tmp_path}/store"
    process = Process(tmp_path, "--rules", str(rules(tmp_path)), "--store", store)
    process.start()
    for command in (["dead", "count", "--store", store], ["store", "stats", store]):
        refused = monitor(*command)
        assert refused.returncode == 1
        assert f"is open in another process (process {process.running.pid}" in refused.stderr  # type: ignore[union-attr]
        assert "name it with --url" in refused.stderr
    assert monitor("store", "stats", "--url", process.url).returncode == 0
    assert process.stop() == 0
    bare = Process(tmp_path / "rules", "--rules", str(tmp_path / "rules"))
    bare.start()
    refused = monitor("store", "stats", "--url", bare.url)
    assert (refused.returncode, "this process writes no store" in refused.stderr) == (1, True)
    assert httpx2.get(f"{bare.url}/v1/dead?limit=many", timeout=20).status_code == 400
    assert bare.stop() == 0


def test_standard_input_and_drain(tmp_path: Path) -> None:
    """`run --drain -` loads what was recorded, honours its stamps, closes every tick and exits."""
    start = 1_795_500_000_000
    lines = [
        json.dumps({"kind": "gpu", "ts": start + n * 1000, "source": "node:n1", "items": ["0"],
                    "metrics": {"xid": [79 if n > 30 else 0]}, "received": start + n * 1000 + 50})
        for n in range(60)
    ]  # fmt: skip
    state = tmp_path / "state"
    result = monitor("run", "--rules", str(rules(tmp_path)), "--state", str(state), "--drain", "-",
                     "--listen", "127.0.0.1:0", input="\n".join(lines))  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in (state / "incidents.ndjson").read_bytes().splitlines()]
    assert found[0]["cause"]["entity"] == "gpu:n1/0"
    journal = (state / "journal" / "frames-0000000001.ndjson").read_text().splitlines()
    assert [json.loads(line) for line in journal] == [json.loads(line) for line in lines]


def test_a_full_disk_is_said_and_the_process_stays_up(tmp_path: Path) -> None:
    """No room: 507 with the reason, nothing half there; with room again it goes on, and all is counted once."""
    script = f'mount -t tmpfs -o size=2m tmpfs {tmp_path}/state && touch {tmp_path}/mounted && exec "$@"'
    (tmp_path / "state").mkdir()
    probe = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        f"mount -t tmpfs tmpfs {tmp_path}/state",
    ]
    try:
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            pytest.skip("this system lets nobody mount a small disk")
    except FileNotFoundError:
        pytest.skip("no unshare here to mount a small disk with")
    process = Process(tmp_path, "--rules", str(rules(tmp_path)),
                      prefix=("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"))  # fmt: skip
    process.start()
    frames = [gpu(0, f"node:n{n}") for n in range(500)]
    statuses = [send(process, *frames).status_code for _ in range(40)]
    assert 507 in statuses
    assert set(statuses) <= {202, 507}
    refused = send(process, *frames)
    assert "the journal cannot be written: No space left on device" in refused.json()["error"]
    health = httpx2.get(f"{process.url}/healthz", timeout=20)
    assert health.status_code == 503
    assert "No space left" in health.json()["reasons"]["journal"]
    assert process.running is not None
    inside = f"/proc/{process.running.pid}/root{tmp_path}/state/journal/frames-0000000001.ndjson"
    lines = Path(inside).read_bytes()
    assert lines.endswith(b"}\n")
    assert lines.count(b'node:n0"') == statuses.count(202)
    room = subprocess.run(
        ["nsenter", f"--target={process.running.pid}", "--user", "--mount", "--preserve-credentials",
         "mount", "-o", "remount,size=50m", f"{tmp_path}/state"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    if room.returncode == 0:
        assert send(process, *frames).status_code == 202
        process.wait_for(lambda: httpx2.get(f"{process.url}/healthz", timeout=20).status_code == 200)
    assert process.stop() == 0


def test_every_metric_is_explained(tmp_path: Path) -> None:
    """docs/live.md names each metric of the process."""
    page = (Path(__file__).parents[2] / "docs/live.md").read_text()
    text = Meters().text().decode()
    for name in re.findall(r"^# HELP (\w+)", text, re.MULTILINE):
        assert f"`{name}`" in page or name.startswith("process_"), name

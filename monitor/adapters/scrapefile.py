"""Scrape configurations and what they name: files of targets, secrets, certificates."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec
import yaml

from monitor.config.scrape import ScrapeJob, StaticConfig, parse_scrape
from monitor.errors import UsageError, WorkError
from monitor.ingest.exposition.relabel import relabel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LABELMAP_LABEL = "__labelmap__"
"""A target label that chooses the label map, in files that Prometheus reads too."""


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One target of a job: where it is, the labels its samples get, the label map chosen (None: by names).

    What it is called in reports and logs leaves out parameters, which may hold a secret.
    """

    job: ScrapeJob
    url: str
    labels: tuple[tuple[str, str], ...]
    labelmap: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells targets apart."""
        return self.job.job_name, self.url

    @property
    def name(self) -> str:
        """What the target is called."""
        return f"{self.job.job_name} {self.url.partition('?')[0]}"


def load_scrape(path: Path, labelmaps: Iterable[str]) -> ScrapeFile:
    """Read a scrape configuration. Raises UsageError, ConfigError with every problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start}: not UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    return ScrapeFile(path, parse_scrape(text, str(path), labelmaps))


class ScrapeFile:
    """The jobs of a file and their targets. Files of targets that cannot be read leave what was known."""

    def __init__(self, path: Path, jobs: tuple[ScrapeJob, ...]) -> None:
        self.path, self.jobs = path, jobs
        self.problems: dict[str, str] = {}
        self._read: dict[Path, tuple[tuple[int, int], tuple[StaticConfig, ...]]] = {}

    def targets(self) -> list[TargetSpec]:
        """Return the targets as they are now. Files that changed are read; `problems` says which not."""
        found: dict[tuple[str, str], TargetSpec] = {}
        for job in self.jobs:
            for listed in self._listed(job):
                for address in listed.targets:
                    spec = _target(job, address, listed.labels)
                    if spec is not None:
                        found.setdefault(spec.key, spec)
        return list(found.values())

    def _listed(self, job: ScrapeJob) -> Iterator[StaticConfig]:
        yield from job.static_configs
        for discovery in job.file_sd_configs:
            for pattern in discovery.files:
                for path in _matching(self.path.parent / pattern):
                    yield from self._groups(path)

    def _groups(self, path: Path) -> tuple[StaticConfig, ...]:
        _, known = self._read.get(path, ((0, 0), ()))
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_size)
            if self._read.get(path, ((0, 0), ()))[0] != mark:
                known = _read_groups(path)
                self._read[path] = (mark, known)
            self.problems.pop(str(path), None)
        except (OSError, ValueError, yaml.YAMLError) as error:
            self.problems[str(path)] = f"{path}: {error}"
        return known


def _matching(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor or ".")
    return sorted(root.glob(str(pattern.relative_to(root) if pattern.anchor else pattern)))


def _read_groups(path: Path) -> tuple[StaticConfig, ...]:
    text = path.read_text(encoding="utf-8")
    raw = msgspec.json.decode(text) if path.suffix == ".json" else yaml.safe_load(text)
    groups: tuple[StaticConfig, ...] = msgspec.convert(raw or [], tuple[StaticConfig, ...])
    return groups


def _target(job: ScrapeJob, address: str, labels: dict[str, str]) -> TargetSpec | None:
    """Return the target that an address and its labels are after relabelling, None where it is dropped."""
    before = {
        "__address__": address, "__scheme__": job.scheme, "__metrics_path__": job.metrics_path,
        "job": job.job_name, **{f"__param_{k}": v[0] for k, v in job.params.items() if v}, **labels,
    }  # fmt: skip
    found = relabel(job.relabel_configs, before)
    if found is None or not found.get("__address__"):
        return None
    params: dict[str, Any] = dict(job.params)
    params |= {k.removeprefix("__param_"): [v] for k, v in found.items() if k.startswith("__param_")}
    query = f"?{urlencode(params, doseq=True)}" if params else ""
    url = f"{found['__scheme__']}://{found['__address__']}{found['__metrics_path__']}{query}"
    own = {"instance": found["__address__"], **{k: v for k, v in found.items() if not k.startswith("__")}}
    return TargetSpec(job, url, tuple(sorted(own.items())), found.get(LABELMAP_LABEL, job.labelmap))


def authorization(job: ScrapeJob, beside: Path) -> dict[str, str]:
    """Return the header that lets us in, read from its files anew. Raises WorkError, without the secret."""
    if job.basic_auth is not None:
        user = _secret(job.basic_auth.username, job.basic_auth.username_file, beside)
        word = _secret(job.basic_auth.password, job.basic_auth.password_file, beside)
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()}
    if job.authorization is not None:
        secret = _secret(job.authorization.credentials, job.authorization.credentials_file, beside)
        return {"Authorization": f"{job.authorization.type} {secret}"}
    return {}


def _secret(text: str, file: str, beside: Path) -> str:
    if not file:
        return text
    try:
        return (beside / file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WorkError(f"{beside / file}: cannot be read: {type(error).__name__}") from error


def tls_context(job: ScrapeJob, beside: Path) -> ssl.SSLContext:
    """Return whom a job trusts and who it is. Raises UsageError where a file cannot be used."""
    tls = job.tls_config
    try:
        context = ssl.create_default_context(cafile=str(beside / tls.ca_file) if tls.ca_file else None)
        if tls.cert_file:
            key = str(beside / tls.key_file) if tls.key_file else None
            context.load_cert_chain(str(beside / tls.cert_file), key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"tls_config of job {job.job_name}: {error}") from error
    if tls.insecure_skip_verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context

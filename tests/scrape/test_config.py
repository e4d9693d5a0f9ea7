"""Scrape configurations: Prometheus's own form, every problem at once, no secret told."""

from __future__ import annotations

import pytest

from monitor.config.scrape import parse_scrape
from monitor.errors import ConfigError

GOOD = """
global: {scrape_interval: 15s, external_labels: {site: a}}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: dcgm
    scrape_timeout: 5s
    static_configs: [{targets: ["n1:9400"], labels: {rack: r1}}]
    file_sd_configs: [{files: ["targets/*.yaml"]}]
    basic_auth: {username: u, password: hush}
    relabel_configs: [{source_labels: [__address__], regex: "(.*):.*", target_label: node}]
    params: {"collect[]": [a, b]}
  - {job_name: vllm, scrape_interval: 1m30s, scheme: https, bearer_token_file: token, labelmap: vllm,
     body_size_limit: 1MB, tls_config: {insecure_skip_verify: true}}
"""

BAD = """
globals: {}
scrape_configs:
  - job_name: a
    scrape_interval: soon
    kubernetes_sd_configs: [{role: pod}]
    static_config: []
  - job_name: b
    scrape_interval: 5s
    scrape_timeout: 10s
    labelmap: dcmg
    basic_auth: {username: u, password: hush, password_file: p}
    bearer_token: hush
    static_configs: [{targets: ["http://n1:9400/metrics"]}]
    relabel_configs: [{regex: "(", target_label: x}, {action: hashmod, target_label: x}, {action: relabel}]
  - job_name: c
    relabel_configs: [{regex: "(", target_label: x}, {action: hashmod, target_label: x}]
    scrape_interval: 5s
    scrape_timeout: 10s
    basic_auth: {username: u, password: hush, password_file: p}
    bearer_token: hush
    static_configs: [{targets: ["http://n1:9400/metrics"]}]
  - {job_name: d, labelmap: dcmg}
  - {job_name: d, scrape_interval: soon}
  - {job_name: d}
"""

TOLD = """
globals: unknown key; did you mean `global`?
scrape_configs[0].kubernetes_sd_configs: no such discovery here; targets come from static_configs and file_sd_configs
scrape_configs[0].static_config: unknown key; did you mean `static_configs`?
scrape_configs[1].relabel_configs[2].action: unknown value `relabel`; did you mean `replace`?
scrape_configs[2].scrape_timeout: longer than scrape_interval, 5s
scrape_configs[2].bearer_token: there is basic_auth already; write one of them
scrape_configs[2].basic_auth.password: password_file is there too; write one of them
scrape_configs[2].relabel_configs[0].regex: `(`: missing ), unterminated subpattern at position 0
scrape_configs[2].relabel_configs[1].modulus: missing; `hashmod` needs one above 0
scrape_configs[2].static_configs[0].targets: `http://n1:9400/metrics`: write host:port; scheme and path have keys
scrape_configs[4].scrape_interval: `soon` is no duration above 0; write 15s, 1m or 1m30s
scrape_configs[5].job_name: another job is called `d`
scrape_configs[3].labelmap: no label map `dcmg`; there are dcgm, vllm
""".strip().splitlines()


def test_prometheus_own_form_is_read():
    """Defaults, times, what is ours, and sections that are none of our business."""
    dcgm, vllm = parse_scrape(GOOD, "p.yml", ["vllm"])
    assert (dcgm.interval_ms, dcgm.timeout_ms, dcgm.metrics_path) == (15_000, 5_000, "/metrics")
    assert dcgm.static_configs[0].labels == {"rack": "r1"}
    assert dcgm.params == {"collect[]": ("a", "b")}
    assert (vllm.interval_ms, vllm.timeout_ms) == (90_000, 10_000)
    assert (vllm.authorization.credentials_file, vllm.labelmap) == ("token", "vllm")
    assert (vllm.max_body_bytes, dcgm.max_body_bytes) == (1 << 20, 64 << 20)


def test_every_problem_is_told_with_its_place():
    """What is wrong, where, and what to write."""
    with pytest.raises(ConfigError) as error:
        parse_scrape(BAD, "p.yml", ["dcgm", "vllm"])
    assert sorted(error.value.problems) == sorted(TOLD)


def test_secrets_are_not_told():
    """Neither by problems nor by what the records print of themselves."""
    with pytest.raises(ConfigError) as error:
        parse_scrape(BAD, "p.yml")
    assert "hush" not in str(error.value)
    assert "hush" not in repr(parse_scrape(GOOD, "p.yml"))


def test_an_empty_file_is_a_problem():
    """Nothing to scrape is not what anybody meant."""
    for text in ("", "global: {}"):
        with pytest.raises(ConfigError, match="nothing to scrape"):
            parse_scrape(text, "p.yml")

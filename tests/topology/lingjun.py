"""The real tree of a training cluster (hosts under ToR, pod and core switches) as topology lines.

The source is a CSV of `ip,DSW,PSW,ASW`, one host a line. A ToR (ASW) is named only within its pod switch
(PSW), so its entity carries both names. A cable's far end is what a host depends on: host on ToR, ToR on pod
switch, pod switch on core.
"""

import csv
import json
from pathlib import Path

CSV = Path(__file__).parents[3] / "shared" / "data" / "lingjun_topo" / "data" / "topo.csv"


def topology_lines(text):
    """Yield the topology lines of the CSV's text: the switches level by level, then the hosts."""
    hosts = list(csv.DictReader(text.splitlines()))
    switches = {}
    for host in hosts:
        core, pod, tor = switch_path(host)
        switches |= {core: None, pod: core, tor: pod}
    yield line("fabric:lingjun")
    for switch, above in sorted(switches.items()):
        yield line(switch, parent="fabric:lingjun", depends_on=[above] if above else [], owner="network")
    for host in hosts:
        yield line(f"node:{host['ip'][:12]}", depends_on=[switch_path(host)[-1]], owner="platform")


def switch_path(host):
    """Return the core switch, the pod switch and the ToR over a host."""
    core, pod, tor = host["DSW"], host["PSW"], host["ASW"]
    return f"switch:{core}", f"switch:{pod}", f"switch:{pod}-{tor}"


def line(entity, **fields):
    """Return one topology line."""
    return json.dumps({"id": entity, **fields})

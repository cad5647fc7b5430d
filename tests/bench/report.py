# SPDX-License-Identifier: Apache-2.0
"""What was measured: on the terminal, as JSON, as a page, and as a plot."""
import datetime
import json
import math
import os
import platform
import re
import statistics
import subprocess
from pathlib import Path


def number(x):
    """Three digits, without an exponent."""
    if x is None:
        return "–"
    if x == 0 or abs(x) >= 100:
        return f"{x:,.0f}"
    return f"{x:.3g}" if abs(x) >= 0.001 else f"{x:.4f}"


class Report:
    def __init__(self, root, quick):
        self.root, self.quick = root, quick
        self.rows, self.failures = {}, {}
        self.machine = machine(root)

    def row(self, key):
        return self.rows.setdefault(key, {"what": key, "unit": "", "better": "lower", "budget": None, "values": [],
                                          "low": None, "high": None, "peers": [], "notes": []})

    def add(self, key, what, unit, values, budget=None, better="lower", low=None, high=None):
        self.row(key).update(what=what, unit=unit, values=values, budget=budget, better=better,
                             low=min(values) if low is None else low, high=max(values) if high is None else high)

    def peer(self, key, name, values):
        peers = self.row(key)["peers"]
        peers[:] = [p for p in peers if p["name"] != name] + [{"name": name, "values": values}]

    def note(self, key, text):
        notes = self.row(key)["notes"]
        if text not in notes:
            notes.append(text)

    # ---- text ----

    def verdict(self, r):
        if r["budget"] is None or not r["values"]:
            return ""
        ours = statistics.median(r["values"])
        ratio = ours / r["budget"] if r["better"] == "lower" else r["budget"] / max(ours, 1e-9)
        return "meets it" if ratio <= 1 else f"FALLS SHORT {number(ratio)}x"

    def lines(self, keys):
        for key in keys:
            r = self.rows[key]
            if r["values"]:
                spread = f" ({number(r['low'])}–{number(r['high'])})" if r["low"] != r["high"] else ""
                yield (r["what"], f"{number(statistics.median(r['values']))} {r['unit']}{spread}",
                       f"{number(r['budget'])} {r['unit']}" if r["budget"] is not None else "", self.verdict(r))
            for p in r["peers"]:
                peer = statistics.median(p["values"])
                ratio = ""
                if r["values"] and peer > 0:
                    ratio = f"{number(statistics.median(r['values']) / peer)}x of it"
                yield (f"  beside: {p['name']}", f"{number(peer)} {r['unit'] or 'ms'}"
                       f" ({number(min(p['values']))}–{number(max(p['values']))})", "", ratio)
            for n in r["notes"]:
                yield (f"  note: {n}", "", "", "")

    def text(self):
        print(f"\n{'':<78} {'median (spread)':>26} {'budget':>16}")
        for what, value, budget, verdict in self.lines(self.rows):
            print(f"{what:<78} {value:>26} {budget:>16}  {verdict}".rstrip())
        for name, why in self.failures.items():
            print(f"NOT MEASURED {name}: {why}")
        short = [r["what"] for r in self.rows.values() if self.verdict(r).startswith("FALLS")]
        print(f"\n{len(short)} budgets are not met" + "".join(f"\n  {s}" for s in short))

    # ---- files ----

    @classmethod
    def of_json(cls, root, path):
        """What write_json wrote, for a page without a new run."""
        data = json.loads(Path(path).read_text())
        report = cls(root, data["quick"])
        report.machine, report.rows, report.failures = data["machine"], data["rows"], data["notMeasured"]
        return report

    def data(self):
        return {"machine": self.machine, "quick": self.quick, "rows": self.rows, "notMeasured": self.failures}

    def write_json(self, path):
        Path(path).write_text(json.dumps(self.data(), indent=1, ensure_ascii=False) + "\n")

    def write_docs(self):
        folder = self.root / "docs/benchmarks"
        folder.mkdir(exist_ok=True)
        self.write_json(folder / "benchmarks.json")
        (folder / "budgets.svg").write_text(plot(self.rows))
        (self.root / "docs/benchmarks.md").write_text(self.page())

    def page(self):
        m = self.machine
        out = [
            "# Benchmarks\n",
            "`sudo make bench` measures this again in a few minutes; `sudo tests/bench/run --docs` also writes this page, "
            "its [figures](benchmarks/benchmarks.json) and its plot. Everything is measured from outside of the processes, in a "
            "network namespace of its own; peers run in the same minutes on the same machine. Values are medians; in "
            "brackets the smallest and the largest of repeated runs (for quantiles and the codec: of all single times).\n",
            f"Measured on {m['date']}: {m['cpu']}, {m['cores']} cores, {m['memory']}, Linux {m['kernel']}, {m['system']}, "
            f"load {m['load']} at the start, version {m['version']}."
            + (" API, store and codec, their clients and peers ran with real-time priority." if m.get("ahead") else "")
            + (" **Other work ran on the machine: times and rates are worse than on a quiet one.**"
               if float(m["load"]) > 0.5 * m["cores"] else "")
            + (" **A quick run: fewer rounds than a full one.**" if self.quick else "") + "\n",
            "![Each budget of the design beside what was measured](benchmarks/budgets.svg)\n"]
        budgets = [k for k, r in self.rows.items() if r["budget"] is not None]
        short = [self.rows[k]["what"] for k in budgets if self.verdict(self.rows[k]).startswith("FALLS")]
        out.append("## Budgets\n")
        out.append("All are met.\n" if not short else "Not met: " + "; ".join(short) + ".\n")
        out += self.table(budgets)
        foot = [k for k in self.rows if re.match(r"alloc|section|object|idle-memory-|pod-memory-", k)]
        out += ["\n## Footprint\n", *self.table(foot)]
        out += ["\n## Other figures\n", *self.table([k for k in self.rows if k not in budgets and k not in foot])]
        if self.failures:
            out.append("\n## Not measured\n")
            out += [f"- {name}: {why}" for name, why in self.failures.items()]
        out += ["\n## Instructions\n", "Instructions of hot paths under callgrind, as recorded in `tests/bench/counts.json` "
                "(build type debugoptimized); `tests/run counts` fails when one grows.\n", "| path | instructions |", "|---|---|"]
        recorded = json.loads((self.root / "tests/bench/counts.json").read_text())
        out += [f"| {c['what']} | {c['instructions']:,} |" for c in recorded["counts"].values()]
        return "\n".join(out) + "\n"

    def table(self, keys):
        yield "| what | median (spread) | budget | |"
        yield "|---|---|---|---|"
        for what, value, budget, verdict in self.lines(keys):
            what = what.replace("  beside: ", "&emsp;beside: ").replace("  note: ", "&emsp;")
            yield f"| {what} | {value} | {budget} | {verdict.replace('FALLS SHORT', '**falls short**')} |"


def machine(root):
    cpu = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text()).group(1)) / 2**20
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    version = subprocess.run(["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"], cwd=root, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.strip()
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(), "memory": f"{memory:.0f} GiB",
            "kernel": platform.release(), "system": system.group(1) if system else "", "version": version or "unknown",
            "date": datetime.date.today().isoformat(), "load": f"{os.getloadavg()[0]:.1f}"}


# ---- the plot ----

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.small { font-size: 10px; fill: #57606a } .grid { stroke: #d0d7de } .budget { stroke: #57606a; stroke-width: 1.5 }
.good { fill: #1a7f37 } .bad { fill: #cf222e } .spread { stroke-width: 4; stroke-opacity: .35 }
.sgood { stroke: #1a7f37 } .sbad { stroke: #cf222e } .peer { fill: none; stroke: #8250df; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9da7b3 } .grid { stroke: #30363d } .budget { stroke: #9da7b3 }
.good { fill: #3fb950 } .bad { fill: #f85149 } .sgood { stroke: #3fb950 } .sbad { stroke: #f85149 }
.peer { stroke: #bc8cff } }
"""


def escape(s):
    return s.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plot(rows):
    """One line per budget on a logarithmic scale: how many times the budget; left is better."""
    shown = [r for r in rows.values() if r["budget"] and r["values"]]
    left, right, step, top = 400, 640, 34, 46
    low, high = -2.0, 2.0
    height = top + step * len(shown) + 34

    def factor(r, v):
        return v / r["budget"] if r["better"] == "lower" else r["budget"] / max(v, 1e-9)

    def x(f):
        at = min(max(math.log10(max(f, 1e-9)), low), high)
        return left + (at - low) / (high - low) * right

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + right + 20} {height}" role="img">',
           "<title>Measured values as multiples of their budgets</title>", f"<style>{STYLE}</style>"]
    for p in range(int(low), int(high) + 1):
        out.append(f'<line class="{"budget" if p == 0 else "grid"}" x1="{x(10**p):.1f}" x2="{x(10**p):.1f}" y1="{top - 14}" '
                   f'y2="{height - 30}"/>')
        label = "the budget" if p == 0 else f"{10.0**p:g}x"
        out.append(f'<text class="small" text-anchor="middle" x="{x(10**p):.1f}" y="{top - 20}">{label}</text>')
    for i, r in enumerate(shown):
        y = top + step * i + 10
        ours = statistics.median(r["values"])
        grade = "good" if factor(r, ours) <= 1 else "bad"
        out.append(f'<text x="6" y="{y}">{escape(r["what"].split(", client on")[0][:62])}</text>')
        out.append(f'<text class="small" x="6" y="{y + 13}">{number(ours)} of {number(r["budget"])} {escape(r["unit"])}</text>')
        a, b = sorted((x(factor(r, r["low"])), x(factor(r, r["high"]))))
        out.append(f'<line class="spread s{grade}" x1="{a:.1f}" x2="{b:.1f}" y1="{y}" y2="{y}"/>')
        for k, p in enumerate(r["peers"]):
            at = x(factor(r, statistics.median(p["values"])))
            out.append(f'<circle class="peer" cx="{at:.1f}" cy="{y}" r="4"><title>{escape(p["name"])}</title></circle>')
            side = "end" if at > left + right - 60 else "middle"
            out.append(f'<text class="small" text-anchor="{side}" x="{at:.1f}" y="{y + (14 if k % 2 == 0 else -7)}">'
                       f'{escape(re.split("[:,]| alone", p["name"])[0].replace("the same in ", ""))}</text>')
        out.append(f'<circle class="{grade}" cx="{x(factor(r, ours)):.1f}" cy="{y}" r="5"/>')
    out.append(f'<text class="small" x="{left}" y="{height - 8}">full dot: Coracle (green meets the budget), bar: spread; ring: '
               "a peer; left is better; what lies beyond the scale is at its edge</text>")
    return "\n".join(out + ["</svg>"]) + "\n"

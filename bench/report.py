"""How do the results become a page? Tables between the markers of docs/performance.md, and two plots beside it."""

from __future__ import annotations

import datetime
import math
import os
import platform
import re
import subprocess
from pathlib import Path

TITLES = {
    "hello": "hello, 64 connections",
    "browser": "browser (13 headers)",
    "browsing": "browser, one header of them another each time",
    "post1k": "post1k",
    "hello1": "hello1, one connection",
    "close": "close, a connection a request",
    "big1m": "big1m",
    "stream100": "stream100",
    "flask": "flask",
    "threads32": "hello, 32 threads",
    "sleep10ms": "sleep10ms, 64 threads",
}
# Of a plain and a threaded way to run the same server the table shows the better one.
OURS, LIMIT = "funicorn", "limit"
COLOURS = {OURS: "#2a6f97", LIMIT: "#9a9a9a"}
OTHERS = "#d9a566"


def write(results: dict, docs: Path, rounds: int, seconds: float) -> None:
    """Writes whatever there are results for, of so many rounds of so many seconds."""
    page = docs / "performance.md"
    text = page.read_text()
    workloads = {name: results[name] for name in TITLES if name in results}
    if workloads:
        text = put(text, "setting", f"{rounds} rounds of {seconds:g} s. " + setting())
        text = put(text, "comparison", comparison_table(workloads))
        text = put(text, "latency", latency_table(workloads))
        plot_comparison(workloads, docs / "performance.svg")
    for name in ("memory", "idle", "first-block"):
        if name in results:
            text = put(text, name, scenario_table(results[name]))
    if "growth" in results:
        text = put(text, "growth", growth_table(results["growth"]))
        plot_growth(results["growth"], docs / "growth.svg")
    page.write_text(text)
    print(f"\nwritten: {page} and the plots beside it")


def put(text: str, marker: str, content: str) -> str:
    """Replaces what stands between `<!-- marker -->` and `<!-- end -->`."""
    found = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not found.search(text):
        raise SystemExit(f"docs/performance.md has no place for {marker}")
    return found.sub(lambda match: match[1] + content + match[2], text)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def setting() -> str:
    """Where and with what it was measured."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    listed = subprocess.run([f"{os.environ['BENCH_BIN']}/pip", "list", "--format=freeze"], capture_output=True, text=True)
    versions = dict(line.split("==") for line in listed.stdout.splitlines() if "==" in line)
    wanted = ("bjoern", "fastwsgi", "granian", "uWSGI", "waitress", "cheroot", "gunicorn", "Flask")
    peers = [f"{name} {versions[key]}" for name in wanted for key in (name, name.lower()) if key in versions]
    return (
        f"{datetime.date.today()}; {cpu[1] if cpu else platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
        f"CPython {platform.python_version()}; {', '.join(dict.fromkeys(peers))}.\n"
    )


def spread(figure: list[float]) -> str:
    """The median, and behind it the least and the greatest."""
    median, least, most = figure
    digits = 1 if median < 1000 else 0
    return f"{median:.{digits}f} <sub>{least:.{digits}f} to {most:.{digits}f}</sub>"


def cost(result: dict | str | None) -> str:
    """A cell of the comparison: empty if it was not to be measured, a dash if it could not be."""
    if result is None:
        return ""
    if isinstance(result, str) or math.isnan(result["cpu"][0]):
        return "–"
    return spread(result["cpu"]) + (" †" if result["errors"][2] else "")


def comparison_table(workloads: dict) -> str:
    servers = list(dict.fromkeys(server for results in workloads.values() for server in results))
    rows = []
    for name, results in workloads.items():
        rows.append([TITLES[name], *(cost(results.get(server)) for server in servers), ratio(results)])
    legend = "\n†: some requests failed or their connections broke. –: it answered none of them.\n"
    return table(["CPU µs a request", *servers, "ours / limit"], rows) + legend


def ratio(results: dict) -> str:
    ours, limit = results.get(OURS), results.get(LIMIT)
    if not isinstance(ours, dict) or not isinstance(limit, dict):
        return ""
    return f"{ours['cpu'][0] / limit['cpu'][0]:.2f}"


def latency_table(workloads: dict) -> str:
    rows = []
    for name, results in workloads.items():
        for server, result in results.items():
            if isinstance(result, dict):
                rows.append(
                    [
                        TITLES[name],
                        server,
                        f"{result['requests'][0]:,.0f}",
                        f"{result['p50'][0]:.3f}",
                        f"{result['p99'][0]:.2f}",
                        f"{result['errors'][2]:.0f}",
                    ]
                )
    return table(["workload", "server", "requests/s", "p50 ms", "p99 ms", "errors"], rows)


def scenario_table(results: dict) -> str:
    heads = next((list(result) for result in results.values() if isinstance(result, dict)), [])
    rows = []
    for server, result in results.items():
        cells = [result] + [""] * (len(heads) - 1) if isinstance(result, str) else [short(result[key]) for key in heads]
        rows.append([server, *cells])
    return table(["server", *heads], rows)


def short(number: float) -> str:
    return f"{number:.0f}" if number >= 1000 else f"{number:.3g}"


def line_through(points: list) -> tuple[float, float, float]:
    """Intercept and slope of the line of least squares, and how far off it a point is at most, as a share of the line."""
    count = len(points)
    mean_x, mean_y = (sum(column) / count for column in zip(*points))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    intercept = mean_y - slope * mean_x
    return intercept, slope, max(abs(y / (intercept + slope * x) - 1) for x, y in points)


def growth_table(results: dict) -> str:
    rows = []
    for axis, points in results.items():
        intercept, slope, off = line_through(points)
        measured = ", ".join(f"{place}: {cpu:.1f}" for place, cpu in points)
        rows.append([axis, measured, f"{intercept:.1f}", f"{slope:.4f}", f"{off:.0%}"])
    return table(["what grows", "CPU µs a request at", "the line at 0", "for one more", "off the line"], rows)


def pyplot():
    """matplotlib, told to write the same bytes for the same figures, with text as text."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "funicorn",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    from matplotlib import pyplot

    return pyplot


def save(figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, facecolor="white", bbox_inches="tight")


def plot_comparison(workloads: dict, path: Path) -> None:
    """Bars for each workload; each is cut at ten times ours, and says what it is."""
    plot = pyplot()
    columns = 2
    rows = -(-len(workloads) // columns)
    figure, axes = plot.subplots(rows, columns, figsize=(10, 1.9 * rows), squeeze=False, layout="constrained")
    places = iter(axes.flat)
    for (name, results), place in zip(workloads.items(), places):
        measured = [(server, result["cpu"]) for server, result in results.items() if isinstance(result, dict)]
        draw_bars(place, [(server, *cpu) for server, cpu in measured if not math.isnan(cpu[0])])
        place.set_title(TITLES[name], loc="left", fontweight="bold", fontsize=9)
    for place in places:
        place.axis("off")
    figure.supxlabel("CPU microseconds a request: median, and from the least to the greatest round", fontsize=9)
    save(figure, path)


def draw_bars(place, bars: list) -> None:
    bars = sorted(bars, key=lambda bar: -bar[1])
    ours = [bar[1] for bar in bars if bar[0].startswith(OURS)]
    cut = 10 * min(ours) if ours else max(bar[1] for bar in bars)
    most = max(min(bar[3], cut) for bar in bars)
    for row, (server, median, least, greatest) in enumerate(bars):
        colour = COLOURS.get(server.removesuffix("-threads"), OTHERS)
        place.barh(row, min(median, cut), color=colour, height=0.72)
        if median <= cut:
            place.plot([least, min(greatest, most)], [row, row], color="#333333", linewidth=1)
        label = f"{median:.1f}" if median < 1000 else f"{median:.0f}"
        place.text(min(max(median, greatest), most) + most * 0.015, row, label + (" →" if median > cut else ""), va="center", fontsize=8)
    place.set_yticks(range(len(bars)), [bar[0] for bar in bars], fontsize=8)
    place.tick_params(axis="y", length=0)
    place.set_xlim(0, most * 1.16)


def plot_growth(results: dict, path: Path) -> None:
    plot = pyplot()
    columns = 3
    rows = -(-len(results) // columns)
    figure, axes = plot.subplots(rows, columns, figsize=(11, 2.8 * rows), squeeze=False, layout="constrained")
    places = iter(axes.flat)
    for (axis, points), place in zip(results.items(), places):
        intercept, slope, _ = line_through(points)
        xs, ys = zip(*points)
        place.plot([0, xs[-1]], [intercept, intercept + slope * xs[-1]], color=COLOURS[LIMIT], linewidth=1)
        place.plot(xs, ys, "o", color=COLOURS[OURS], markersize=5)
        place.set_title(f"{axis}: {intercept:.1f} {slope:+.4f} n", loc="left", fontweight="bold", fontsize=9)
        place.set_ylim(0, max(ys) * 1.15)
        place.set_xlim(left=0)
    for place in places:
        place.axis("off")
    figure.supylabel("CPU microseconds a request", fontsize=9)
    save(figure, path)

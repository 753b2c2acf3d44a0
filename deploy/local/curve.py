"""curve.py RUN METRIC OUT.svg: draws one metric of a run's metrics.jsonl against the step, as SVG.

The thin line is the metric, the thick one its mean over the last eight steps.
"""

import json
import pathlib
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 300, 60, 40, 30


def main():
    run, metric, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    rows = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    points = [(row["step"], row[metric]) for row in rows if metric in row]
    if len(points) < 2:
        sys.exit(f"{run}/metrics.jsonl has {len(points)} values of {metric}; a curve needs two")
    first, last = points[0][0], points[-1][0]
    low, high = min(0, *(y for _, y in points)), max(y for _, y in points)

    def place(x, y):
        return (LEFT + (x - first) / (last - first) * (WIDTH - LEFT - 20),
                HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - BOTTOM - TOP))

    def line(series, style):
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in series)
        return f'<polyline points="{path}" fill="none" stroke="#2a6fb0" {style}/>'

    window = [sum(y for _, y in points[max(0, i - 7):i + 1]) / min(8, i + 1) for i in range(len(points))]
    mean = [(x, y) for (x, _), y in zip(points, window)]
    marks = [low + (high - low) * i / 4 for i in range(5)]
    grid = [f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{place(first, y)[1]:.1f}" y2="{place(first, y)[1]:.1f}" '
            f'stroke="#ddd"/><text x="{LEFT - 8}" y="{place(first, y)[1] + 4:.1f}" text-anchor="end">{y:.2f}</text>'
            for y in marks]
    steps = [f'<text x="{place(x, low)[0]:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{x}</text>'
             for x in (first, (first + last) // 2, last)]
    out.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="#444"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="14">{metric}, {run.name}</text>',
        *grid, *steps, f'<text x="{WIDTH - 20}" y="{HEIGHT - 4}" text-anchor="end">step</text>',
        line(points, 'stroke-width="1" opacity="0.45"'), line(mean, 'stroke-width="3"'), "</svg>", ""]))


if __name__ == "__main__":
    main()

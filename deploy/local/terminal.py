"""Draws what a terminal shows as SVG: the screen of tmux, with its colors.

    tmux new-session -d -s look -x 100 -y 24 "build/bin/reckon train recipes/tiny_grpo.textproto"
    tmux capture-pane -t look -e -p | deploy/local/terminal.py 100 docs/pictures/terminal.svg

The first argument is the number of columns. Only the standard library is used.
"""

import html
import pathlib
import re
import sys

CELL, LINE, MARGIN, SIZE = 7.8, 18, 14, 13
BACK, INK = "#10141a", "#d7dde5"
COLORS = {31: "#ff7b72", 32: "#7ee787", 33: "#f2cc60", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea"}


def runs(line):
    """(column, text, style) of each part of a line with one style."""
    style, column = {}, 0
    for part in re.split(r"(\x1b\[[\d;]*m)", line):
        if part.startswith("\x1b["):
            for code in (int(c or 0) for c in part[2:-1].split(";")):
                if code in (0, 39):
                    style = {} if code == 0 else {k: v for k, v in style.items() if k != "fill"}
                elif code == 1:
                    style = style | {"font-weight": "bold"}
                elif code in COLORS:
                    style = style | {"fill": COLORS[code]}
        elif part:
            yield column, part, style
            column += len(part)


def main():
    columns, out = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    lines = sys.stdin.read().rstrip("\n").split("\n")
    width, height = columns * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    drawn = []
    for number, line in enumerate(lines):
        y = MARGIN + number * LINE + SIZE
        for column, text, style in runs(line):
            if text.strip():
                more = "".join(f' {name}="{value}"' for name, value in style.items())
                drawn.append(f'<text x="{MARGIN + column * CELL:.1f}" y="{y}" textLength="{len(text) * CELL:.1f}" '
                             f'lengthAdjust="spacingAndGlyphs" xml:space="preserve"{more}>{html.escape(text)}</text>')
    out.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'font-size="{SIZE}" fill="{INK}" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,\'DejaVu Sans Mono\','
        f'monospace"><rect width="100%" height="100%" rx="8" fill="{BACK}"/>', *drawn, "</svg>", ""]))


if __name__ == "__main__":
    main()

"""A bar chart of medians with their spread, as SVG that any browser shows."""

from html import escape

WIDTH = 1180
MARGIN = 24
BARS_AT = 150
BARS_WIDE = 400
NOTES_AT = 690
ROW = 24
BAR = 14
HEAD = 74
METRIC_HEAD = 46
METRIC_GAP = 14

INK, FAINT, RULE = "#1c2530", "#5d6b7a", "#dfe4ea"
COLOURS = {"millrace": "#0b7a58", "limit": "#e3e8ee"}
PEER_COLOUR = "#8fa3bd"


def short(value):
    """141 k rather than 141023.4."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            scaled = value / size
            return (f"{scaled:.2f}" if scaled < 10 else f"{scaled:.1f}" if scaled < 100
                    else f"{scaled:.0f}") + letter
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def text(x, y, content, size=12, colour=INK, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{more}>'
            f'{escape(content)}</text>')


def whisker(left, right, middle):
    ends = "".join(f"M{x:.1f} {middle - 4}V{middle + 4}" for x in (left, right))
    return (f'<path d="M{left:.1f} {middle}H{right:.1f}{ends}" stroke="{INK}" stroke-width="1.2" '
            f'fill="none"/>')


def bar(row, scale, top):
    middle = top + ROW / 2
    long = max(row["median"] * scale, 1)
    right = BARS_AT + row["max"] * scale
    ours = ' font-weight="600"' if row["system"] == "millrace" else ""
    outline = f' stroke="{FAINT}" stroke-dasharray="3 2"' if row["system"] == "limit" else ""
    spread = f"{short(row['min'])} – {short(row['max'])}"
    parts = [text(BARS_AT - 10, middle + 4, row["system"], more=f' text-anchor="end"{ours}'),
             f'<rect x="{BARS_AT}" y="{middle - BAR / 2}" width="{long:.1f}" height="{BAR}" rx="2" '
             f'fill="{COLOURS.get(row["system"], PEER_COLOUR)}"{outline}>'
             f"<title>{row['median']:,.2f} {row['unit']} ({spread})</title></rect>",
             text(right + 8, middle + 4, short(row["median"]), more=ours),
             text(NOTES_AT, middle + 4, row["guarantee"], 11, FAINT)]
    if row["runs"] > 1:
        parts.append(whisker(BARS_AT + row["min"] * scale, right, middle))
    return "".join(parts)


def metric_block(metric, rows, top):
    unit = rows[0]["unit"]
    sense = "more is better" if unit.endswith("/s") else "less is better"
    scale = BARS_WIDE / (max(row["max"] for row in rows) or 1)
    end = top + METRIC_HEAD + ROW * len(rows)
    parts = [f'<path d="M{MARGIN} {top}H{WIDTH - MARGIN}" stroke="{RULE}"/>',
             text(MARGIN, top + 26, metric, 14, more=' font-weight="600"'),
             text(WIDTH - MARGIN, top + 26, f"{unit}, {sense}", 11, FAINT, ' text-anchor="end"'),
             f'<path d="M{BARS_AT} {top + METRIC_HEAD - 4}V{end}" stroke="{FAINT}"/>']
    parts += [bar(row, scale, top + METRIC_HEAD + ROW * at) for at, row in enumerate(rows)]
    return "".join(parts), end + METRIC_GAP


def draw(rows, title, conditions):
    """The whole picture; `rows` as in the JSON, those of one metric together.

    A metric of one system only is left to the table: there is nothing to compare it with.
    """
    metrics = {}
    for row in rows:
        metrics.setdefault(row["metric"], []).append(row)
    metrics = {name: rows for name, rows in metrics.items() if len(rows) > 1} or metrics
    blocks, y = [], HEAD
    for metric, of_metric in metrics.items():
        block, y = metric_block(metric, of_metric, y)
        blocks.append(block)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
            f'viewBox="0 0 {WIDTH} {y}" font-family="system-ui, Helvetica, Arial, sans-serif">'
            f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
            + text(MARGIN, 34, title, 18, more=' font-weight="600"')
            + text(MARGIN, 55, conditions, 12, FAINT) + "".join(blocks) + "</svg>\n")

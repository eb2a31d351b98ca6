"""Plots as SVG text: bars, ranges and dots on a logarithmic axis. Pure: numbers in, a string out; knows no peer."""

import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, LINE = 760, 190, 70, 58, 24
INK, FAINT, PAPER = "#1f2430", "#d9dce3", "#ffffff"
# Distinct in hue and in lightness, so that they also differ without colour.
COLOURS = ["#8a8f9c", "#4c8c4a", "#2f6fb3", "#8e6bbf", "#c28a1c", "#b5577f", "#d1432c", "#7d1f12", "#3f4a5a",
           "#e39a7b", "#b98a2f"]


class Canvas:
    """SVG elements, and a logarithmic scale from `low` to `high` across."""

    def __init__(self, title, note, lines, low, high):
        self.height = TOP + lines * LINE + 46
        self.steps = steps_from(low, high)
        self.low, self.high = self.steps[0], self.steps[-1]
        self.parts = [f'<rect width="{WIDTH}" height="{self.height}" fill="{PAPER}"/>']
        self.text(16, 22, title, size=15, weight="bold")
        self.text(16, 40, note, size=12, fill="#5b6270")
        self.grid(TOP + lines * LINE + 6)

    def x(self, value):
        value = min(max(value, self.low), self.high)
        share = math.log10(value / self.low) / math.log10(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def grid(self, bottom):
        for value in self.steps:
            at = self.x(value)
            self.parts.append(f'<line x1="{at:.1f}" y1="{TOP - 4}" x2="{at:.1f}" y2="{bottom}" stroke="{FAINT}"/>')
            self.text(at, bottom + 16, short(value), size=11, anchor="middle", fill="#5b6270")

    def text(self, x, y, words, size=12, anchor="start", weight="normal", fill=INK):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
                          f'font-weight="{weight}" fill="{fill}">{escape(words)}</text>')

    def bar(self, y, value, colour, thick):
        end = self.x(value)
        self.parts.append(f'<rect x="{LEFT}" y="{y:.1f}" width="{max(end - LEFT, 1):.1f}" height="{thick}" '
                          f'fill="{colour}"/>')
        return end

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
                f'height="{self.height}" font-family="system-ui, sans-serif">\n' + "\n".join(self.parts) + "\n</svg>\n")


def steps_from(low, high):
    """The ticks of a logarithmic axis around two numbers: 1, 2, 5 a decade, or whole decades over a long span."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    units = (1,) if last - first > 3 else (1, 2, 5)
    ticks = [unit * 10.0 ** power for power in range(first, last + 1) for unit in units]
    start = max((tick for tick in ticks if tick <= low), default=ticks[0])
    end = min((tick for tick in ticks if tick >= high), default=ticks[-1])
    if start == end:
        end = ticks[min(ticks.index(end) + 1, len(ticks) - 1)]
    return [tick for tick in ticks if start <= tick <= end]


def short(value):
    """2500 → 2.5k; 0.4 → 0.4"""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def bars(title, note, values, colours):
    """One bar for each name; `values` is [(name, number or None, words instead of a bar)]."""
    numbers = [number for _, number, _ in values if number]
    if not numbers:
        return None
    canvas = Canvas(title, note, len(values), min(numbers) * 0.8, max(numbers))
    for line, (name, number, words) in enumerate(values):
        y = TOP + line * LINE
        canvas.text(LEFT - 8, y + 13, name, anchor="end")
        if number:
            end = canvas.bar(y + 2, number, colours.get(name, INK), 14)
            canvas.text(end + 5, y + 13, short(number), size=11)
        else:
            canvas.text(LEFT + 5, y + 13, words, size=11, fill="#5b6270")
    return canvas.svg()


def ranges(title, note, values, colours):
    """A line from a median to a tail for each name; `values` is [(name, median, tail)]."""
    known = [(name, low, high) for name, low, high in values if low and high and low > 0 and high > 0]
    if not known:
        return None
    canvas = Canvas(title, note, len(known), min(low for _, low, _ in known) * 0.8, max(high for *_, high in known))
    for line, (name, low, high) in enumerate(known):
        y, colour = TOP + line * LINE + 9, colours.get(name, INK)
        canvas.text(LEFT - 8, y + 4, name, anchor="end")
        start, end = canvas.x(low), canvas.x(high)
        canvas.parts.append(f'<line x1="{start:.1f}" y1="{y}" x2="{end:.1f}" y2="{y}" stroke="{colour}" '
                            f'stroke-width="4"/>')
        canvas.parts.append(f'<circle cx="{start:.1f}" cy="{y}" r="6" fill="{colour}"/>')
        canvas.parts.append(f'<rect x="{end - 2:.1f}" y="{y - 7}" width="4" height="14" fill="{colour}"/>')
        canvas.text(end + 7, y + 4, f"{short(low)} – {short(high)}", size=11)
    return canvas.svg()


def dots(title, note, lines, colours):
    """A dot for each name on each line; `lines` is [(label, {name: number})]. The names stand in a legend."""
    numbers = [number for _, by_name in lines for number in by_name.values() if number]
    if not numbers:
        return None
    names = list(dict.fromkeys(name for _, by_name in lines for name in by_name))
    legend = (len(names) + 3) // 4
    canvas = Canvas(title, note, len(lines) + legend, min(numbers), max(numbers))
    for line, (label, by_name) in enumerate(lines):
        y = TOP + (line + legend) * LINE + 9
        canvas.text(LEFT - 8, y + 4, label, anchor="end")
        canvas.parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#eef0f4"/>')
        for name, number in by_name.items():
            if number:
                canvas.parts.append(f'<circle cx="{canvas.x(number):.1f}" cy="{y}" r="6" fill="{colours[name]}" '
                                    f'fill-opacity="0.85"><title>{escape(name)}: {short(number)}</title></circle>')
    for place, name in enumerate(names):
        x, y = 30 + place % 4 * 180, TOP + place // 4 * LINE - 2
        canvas.parts.append(f'<rect x="{x - 10}" y="{y - 6}" width="185" height="{LINE}" fill="{PAPER}"/>')
        canvas.parts.append(f'<circle cx="{x}" cy="{y + 5}" r="6" fill="{colours[name]}"/>')
        canvas.text(x + 12, y + 9, name)
    return canvas.svg()

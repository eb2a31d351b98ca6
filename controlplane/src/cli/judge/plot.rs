//! Lines in a plot of shares, as SVG. Knows nothing of what they mean.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const ABOVE: f64 = 16.0;
const BELOW: f64 = 48.0;
const COLOURS: [&str; 6] = ["#1f5fbf", "#c0392b", "#6d28d9", "#0f7a4f", "#b7791f", "#555"];

/// From 0 to 1 on both axes, or what `Plot::y` values span.
pub struct Plot {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// A line up, with its name.
    pub moment: Option<(f64, String)>,
    pub lines: Vec<Line>,
}

pub struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    dashed: bool,
}

impl Line {
    pub fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            points,
            dashed: false,
        }
    }

    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }
}

impl Plot {
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(self.title)
        );
        let (low, high) = self.span();
        let x = |value: f64| LEFT + value.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| ABOVE + (high - value) / (high - low) * (HEIGHT - ABOVE - BELOW);
        for step in 0..=10 {
            let (at, level) = (f64::from(step) / 10.0, low + (high - low) * f64::from(step) / 10.0);
            let (px, py, bottom, right) = (x(at), y(level), HEIGHT - BELOW, WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{px:.1} {ABOVE}V{bottom}M{LEFT} {py:.1}H{right}\"/>\
                 <text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at:.1}</text>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{level:.2}</text>",
                bottom + 18.0,
                LEFT - 8.0,
                py + 4.0
            );
        }
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<String> = line
                .points
                .iter()
                .map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value)))
                .collect();
            let dashes = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes} points=\"{}\"><title>{}</title></polyline>",
                points.join(" "),
                escape(&line.name)
            );
        }
        if let Some((at, name)) = &self.moment {
            let _ = writeln!(
                svg,
                "<path class=\"moment\" d=\"M{0:.1} {ABOVE}V{1}\"/><text x=\"{2:.1}\" y=\"{3:.1}\">{4}</text>",
                x(*at),
                HEIGHT - BELOW,
                x(*at) + 5.0,
                ABOVE + 12.0,
                escape(name)
            );
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text x=\"6\" y=\"11\">{}</text>\n</svg>",
            HEIGHT - 8.0,
            escape(self.x),
            escape(self.y)
        );
        svg + &self.legend()
    }

    fn legend(&self) -> String {
        let mut items = String::from("<ul>\n");
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let style = if line.dashed { "dashed" } else { "solid" };
            let _ = writeln!(
                items,
                "<li><span style=\"border-top: 2px {style} {colour}\"></span>{}</li>",
                escape(&line.name)
            );
        }
        items + "</ul>\n"
    }

    /// What the values span, and a little more; from 0 to 1 where they need most of it.
    fn span(&self) -> (f64, f64) {
        let values = || {
            self.lines
                .iter()
                .flat_map(|line| line.points.iter().map(|point| point.1))
        };
        let low = values().filter(|value| value.is_finite()).fold(1.0, f64::min);
        let high = values().filter(|value| value.is_finite()).fold(0.0, f64::max);
        if high - low > 0.5 || high <= low {
            return (low.min(0.0), high.max(1.0));
        }
        let margin = (high - low) * 0.06;
        (low - margin, high + margin)
    }
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

//! Plots as SVG: lines, steps, bars, bands, spreads, on linear, log or percentile axes, with legend and a tooltip per
//! column. Knows nothing of what is plotted. Each is drawn twice, for wide and for narrow screens; the style sheet picks.

use std::fmt::Write as _;

pub use super::axis::Axis;
use super::{axis::Tick, page::escape};

/// Colours that the style sheet has; with more series than that, the dashes change.
const COLOURS: usize = 8;
const WIDE: f64 = 880.0;
const NARROW: f64 = 400.0;
/// Between the plot and its edges; the left one grows with the names of the ticks.
const ABOVE: f64 = 26.0;
const BELOW: f64 = 44.0;
const RIGHT: f64 = 18.0;
/// Width of a digit in the font of the ticks.
const DIGIT: f64 = 6.8;

/// What is drawn of a series. Places are `(x, y)`.
#[derive(Clone, Debug)]
pub enum Shape {
    Line(Vec<(f64, f64)>),
    /// A value that holds from its x to the next one's; the last to the given end.
    Steps(Vec<(f64, f64)>, f64),
    /// From, to, height.
    Bars(Vec<(f64, f64, f64)>),
    /// x, low, high: an area between two lines.
    Band(Vec<(f64, f64, f64)>),
    /// x, low, middle, high: a dot with its spread.
    Spreads(Vec<(f64, f64, f64, f64)>),
}

#[derive(Clone, Debug)]
pub struct Series {
    name: String,
    shape: Shape,
    colour: Option<usize>,
    dashed: bool,
}

impl Series {
    pub fn new(name: &str, shape: Shape) -> Self {
        let name = name.to_owned();
        Self {
            name,
            shape,
            colour: None,
            dashed: false,
        }
    }

    /// Otherwise each takes the next one.
    pub fn colour(mut self, colour: usize) -> Self {
        self.colour = Some(colour);
        self
    }

    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }
}

#[derive(Clone, Debug)]
pub struct Plot {
    title: String,
    about: String,
    x: Axis,
    y: Axis,
    height: f64,
    series: Vec<Series>,
    /// Lines across at a value of y, and up at a value of x, with their names.
    levels: Vec<(f64, String)>,
    moments: Vec<(f64, String)>,
    columns: Vec<(f64, String)>,
}

impl Plot {
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self {
            title: title.to_owned(),
            about: String::new(),
            x,
            y,
            height: 300.0,
            series: Vec::new(),
            levels: Vec::new(),
            moments: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// What it says, in a sentence, below the title and for who cannot see it.
    pub fn about(mut self, about: &str) -> Self {
        self.about = about.to_owned();
        self
    }

    pub fn height(mut self, height: f64) -> Self {
        self.height = height;
        self
    }

    pub fn add(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// A line across, such as a bound or a goal.
    pub fn level(mut self, at: f64, name: &str) -> Self {
        self.levels.push((at, name.to_owned()));
        self
    }

    /// A line up, such as where something changes or breaks.
    pub fn moment(mut self, at: f64, name: &str) -> Self {
        self.moments.push((at, name.to_owned()));
        self
    }

    /// What the pointer is told over this x; one line each value.
    pub fn column(mut self, x: f64, text: String) -> Self {
        self.columns.push((x, text));
        self
    }

    /// The figure: title, legend, and the drawing in two widths.
    pub fn html(&self) -> String {
        let about = match self.about.is_empty() {
            true => String::new(),
            false => format!("<p>{}</p>", escape(&self.about)),
        };
        format!(
            "<figure class=\"plot\">\n<figcaption><h3>{}</h3>{about}</figcaption>\n{}{}{}</figure>\n",
            escape(&self.title),
            self.legend(),
            self.svg(WIDE, "wide"),
            self.svg(NARROW, "narrow"),
        )
    }

    /// A name each, unless one series speaks for itself.
    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let mut list = String::from("<ul class=\"legend\">");
        for (place, series) in self.series.iter().enumerate() {
            let class = class_of(place, series);
            let swatch = match series.shape {
                Shape::Line(_) | Shape::Steps(..) => format!("<path class=\"line {class}\" d=\"M1 6H25\"/>"),
                Shape::Bars(_) => format!("<rect class=\"bar {class}\" x=\"6\" y=\"1\" width=\"12\" height=\"10\"/>"),
                Shape::Band(_) => format!("<rect class=\"band {class}\" x=\"1\" y=\"1\" width=\"24\" height=\"10\"/>"),
                Shape::Spreads(_) => format!("<circle class=\"dot {class}\" cx=\"13\" cy=\"6\" r=\"4\"/>"),
            };
            let _ = write!(
                list,
                "<li><svg width=\"26\" height=\"12\" aria-hidden=\"true\">{swatch}</svg>{}</li>",
                escape(&series.name)
            );
        }
        list + "</ul>\n"
    }

    fn svg(&self, width: f64, class: &str) -> String {
        let room = Room::new(self, width);
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        let label = format!("{}. {} Shown: {}.", self.title, self.about, names.join(", "));
        let mut svg = format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {:.0}\" role=\"img\" aria-label=\"{}\">\n",
            self.height,
            escape(&label)
        );
        room.grid(&mut svg);
        // Areas first: a line over a band can be seen, not the reverse.
        let is_area = |series: &Series| matches!(series.shape, Shape::Band(_) | Shape::Bars(_));
        let places = || self.series.iter().enumerate();
        for (place, series) in places()
            .filter(|(_, series)| is_area(series))
            .chain(places().filter(|(_, series)| !is_area(series)))
        {
            room.draw(&series.shape, &class_of(place, series), &mut svg);
        }
        room.marks(&mut svg);
        room.columns(&mut svg);
        svg + "</svg>\n"
    }
}

fn class_of(place: usize, series: &Series) -> String {
    let colour = series.colour.unwrap_or(place);
    let dashes = if series.dashed { 1 } else { colour / COLOURS % 3 };
    format!("c{} d{dashes}", colour % COLOURS)
}

/// The plot at one width: where things are, in pixels.
struct Room<'a> {
    plot: &'a Plot,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
}

impl<'a> Room<'a> {
    fn new(plot: &'a Plot, width: f64) -> Self {
        let (top, bottom) = (ABOVE, plot.height - BELOW);
        let y_ticks = plot.y.ticks(bottom - top, 34.0);
        let longest = y_ticks.iter().map(|tick| tick.name.chars().count()).max().unwrap_or(1);
        // At least as much as "1,000" takes, so that plots below one another are aligned.
        let left = 14.0 + DIGIT * longest.max(5) as f64;
        let right = width - RIGHT;
        let x_ticks = plot.x.ticks(right - left, 60.0);
        Self {
            plot,
            left,
            right,
            top,
            bottom,
            x_ticks,
            y_ticks,
        }
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.plot.x.place(value) * (self.right - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.plot.y.place(value) * (self.bottom - self.top)
    }

    fn grid(&self, svg: &mut String) {
        let (left, right, bottom) = (self.left, self.right, self.bottom);
        for tick in &self.y_ticks {
            let y = self.y(tick.at);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/><text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left - 8.0,
                y + 4.0,
                escape(&tick.name)
            );
        }
        for tick in &self.x_ticks {
            let x = self.x(tick.at);
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {:.1}V{:.1}\"/><text class=\"tick middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                self.top,
                bottom + 5.0,
                bottom + 19.0,
                escape(&tick.name)
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/>\
             <text class=\"label\" x=\"2\" y=\"13\">{}</text>\
             <text class=\"label end\" x=\"{right:.1}\" y=\"{:.1}\">{}</text>",
            escape(&self.plot.y.label),
            bottom + 38.0,
            escape(&self.plot.x.label)
        );
    }

    fn draw(&self, shape: &Shape, class: &str, svg: &mut String) {
        match shape {
            Shape::Line(points) => self.line(points, class, svg),
            Shape::Steps(points, end) => {
                let ends = points.iter().skip(1).map(|(x, _)| *x).chain([*end]);
                let corners: Vec<(f64, f64)> = points
                    .iter()
                    .zip(ends)
                    .flat_map(|((x, y), end)| [(*x, *y), (end, *y)])
                    .collect();
                self.line(&corners, class, svg);
            }
            Shape::Bars(bars) => self.bars(bars, class, svg),
            Shape::Band(points) => self.band(points, class, svg),
            Shape::Spreads(spreads) => self.spreads(spreads, class, svg),
        }
    }

    /// A line breaks where a value is missing; a lone point is a dot.
    fn line(&self, points: &[(f64, f64)], class: &str, svg: &mut String) {
        for run in points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
            match run {
                [] => {}
                [(x, y)] => {
                    let (x, y) = (self.x(*x), self.y(*y));
                    let _ = writeln!(
                        svg,
                        "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"
                    );
                }
                _ => {
                    let _ = writeln!(svg, "<path class=\"line {class}\" d=\"{}\"/>", self.path(run));
                }
            }
        }
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (place, (x, y)) in points.iter().enumerate() {
            let verb = if place == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{:.1} {:.1}", self.x(*x), self.y(*y));
        }
        path
    }

    fn bars(&self, bars: &[(f64, f64, f64)], class: &str, svg: &mut String) {
        let base = self.y(self.plot.y.base());
        for (from, to, height) in bars.iter().filter(|(_, _, height)| height.is_finite() && *height > 0.0) {
            let (left, right, top) = (self.x(*from), self.x(*to), self.y(*height));
            let gap = if right - left > 4.0 { 1.0 } else { 0.0 };
            // What happened once in a million is still seen.
            let (width, height) = ((right - left - gap).max(0.6), (base - top).max(1.5));
            let _ = writeln!(
                svg,
                "<rect class=\"bar {class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>",
                left + gap / 2.0,
                base - height
            );
        }
    }

    fn band(&self, points: &[(f64, f64, f64)], class: &str, svg: &mut String) {
        if points.is_empty() {
            return;
        }
        let upper = points.iter().map(|(x, _, high)| (*x, *high));
        let lower = points.iter().rev().map(|(x, low, _)| (*x, *low));
        let around: Vec<(f64, f64)> = upper.chain(lower).collect();
        let _ = writeln!(svg, "<path class=\"band {class}\" d=\"{}Z\"/>", self.path(&around));
    }

    fn spreads(&self, spreads: &[(f64, f64, f64, f64)], class: &str, svg: &mut String) {
        for (x, low, middle, high) in spreads {
            let (x, low, middle, high) = (self.x(*x), self.y(*low), self.y(*middle), self.y(*high));
            let _ = writeln!(
                svg,
                "<path class=\"spread {class}\" d=\"M{x:.1} {low:.1}V{high:.1}M{0:.1} {low:.1}h10M{0:.1} {high:.1}h10\"/>\
                 <circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"4\"/>",
                x - 5.0
            );
        }
    }

    fn marks(&self, svg: &mut String) {
        for (at, name) in &self.plot.levels {
            let y = self.y(*at);
            let _ = writeln!(
                svg,
                "<path class=\"mark\" d=\"M{:.1} {y:.1}H{:.1}\"/><text class=\"mark end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                self.left,
                self.right,
                self.right - 4.0,
                // Above the line where there is room, otherwise below.
                if y - self.top > 16.0 { y - 5.0 } else { y + 14.0 },
                escape(name)
            );
        }
        for (place, (at, name)) in self.plot.moments.iter().enumerate() {
            let x = self.x(*at);
            let before = x > (self.left + self.right) / 2.0;
            let (class, beside) = if before {
                ("mark end", x - 5.0)
            } else {
                ("mark", x + 5.0)
            };
            let _ = writeln!(
                svg,
                "<path class=\"mark\" d=\"M{x:.1} {:.1}V{:.1}\"/><text class=\"{class}\" x=\"{beside:.1}\" y=\"{:.1}\">{}</text>",
                self.top,
                self.bottom,
                // One below the other: what lies close together can still be read.
                self.top + 11.0 + 15.0 * (place % 4) as f64,
                escape(name)
            );
        }
    }

    /// The nearest column to the pointer says its values: each reaches half way to its neighbours.
    fn columns(&self, svg: &mut String) {
        let mut columns: Vec<(f64, &str)> = self
            .plot
            .columns
            .iter()
            .map(|(x, text)| (self.x(*x), text.as_str()))
            .collect();
        columns.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        for (place, (x, text)) in columns.iter().enumerate() {
            let before = place.checked_sub(1).and_then(|place| columns.get(place));
            let after = columns.get(place + 1);
            let from = before.map_or(self.left, |(other, _)| (x + other) / 2.0);
            let to = after.map_or(self.right, |(other, _)| (x + other) / 2.0);
            let (top, height) = (self.top, self.bottom - self.top);
            let _ = writeln!(
                svg,
                "<g class=\"column\"><rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"/>\
                 <path d=\"M{x:.1} {top:.1}v{height:.1}\"/><title>{}</title></g>",
                (to - from).max(0.0),
                escape(text)
            );
        }
    }
}

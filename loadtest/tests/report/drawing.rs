//! Axes and plots: ticks where a reader expects them, whatever the values.

use crate::report::html::plot::{Axis, Plot, Series, Shape};

fn names(axis: &Axis, length: f64) -> Vec<String> {
    axis.ticks(length, 70.0).into_iter().map(|tick| tick.name).collect()
}

#[test]
fn ticks_are_round() {
    let cases: [(Axis, f64, &[&str]); 8] = [
        (Axis::linear("", [3.0, 970.0]), 350.0, &["0", "500", "1,000"]),
        (Axis::linear("", [0.07]), 350.0, &["0.00", "0.02", "0.04", "0.06"]),
        (Axis::linear("", [58_000.0]), 350.0, &["0", "20k", "40k", "60k"]),
        (Axis::linear("", [2.0]).whole(), 700.0, &["0", "1", "2"]),
        (
            Axis::log("", [0.4, 900.0]),
            700.0,
            &["1", "3", "10", "30", "100", "300", "1,000"],
        ),
        (Axis::log("", [17.0, 60.0]), 350.0, &["20", "30", "50"]),
        (Axis::log("", [1e-6, 6e5]), 350.0, &["0.0001", "1", "10k"]),
        (
            Axis::percentiles("", 20_000.0),
            700.0,
            &["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"],
        ),
    ];
    for (axis, length, expected) in cases {
        assert_eq!(names(&axis, length), expected, "{axis:?}");
    }
}

#[test]
fn places_are_always_on_the_axis() {
    let values = [0.0, -1.0, 1e-9, 1.0, 5.0, 1e18, f64::MAX, f64::NAN, f64::INFINITY];
    let axes = [
        Axis::linear("", []),
        Axis::linear("", values),
        Axis::linear("", [0.0]),
        Axis::log("", []),
        Axis::log("", values),
        Axis::log("", [7.0]),
        Axis::between("", 3.0, 3.0),
        Axis::percentiles("", f64::INFINITY),
        Axis::percentiles("", 0.0),
    ];
    for axis in axes {
        for value in values {
            assert!((0.0..=1.0).contains(&axis.place(value)), "{value} on {axis:?}");
        }
        let ticks = axis.ticks(400.0, 70.0);
        assert!(ticks.len() <= 12, "{} ticks on {axis:?}", ticks.len());
    }
}

#[test]
fn nines_are_equally_far_apart() {
    let axis = Axis::percentiles("", 10_000.0);
    let places = [1.0, 10.0, 100.0, 1_000.0, 10_000.0].map(|inverse| axis.place(inverse));
    for (place, expected) in places.into_iter().zip([0.0, 0.25, 0.5, 0.75, 1.0]) {
        assert!((place - expected).abs() < 1e-9);
    }
}

#[test]
fn a_missing_value_breaks_the_line() {
    let points = vec![
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, f64::NAN),
        (3.0, 2.0),
        (4.0, 1.0),
        (5.0, f64::NAN),
        (6.0, 1.0),
    ];
    let axes = (Axis::between("x", 0.0, 6.0), Axis::linear("y", [2.0]));
    let html = Plot::new("Title", axes.0, axes.1)
        .add(Series::new("line", Shape::Line(points)))
        .html();
    // Two pieces and a lone point, on each of the two drawings.
    assert_eq!(html.matches("class=\"line c0 d0\"").count(), 4);
    assert_eq!(html.matches("<circle").count(), 2);
}

#[test]
fn more_series_than_colours_differ_by_their_dashes() {
    let axes = (Axis::between("x", 0.0, 1.0), Axis::linear("y", [1.0]));
    let plot = (0..10).fold(Plot::new("Title", axes.0, axes.1), |plot, place| {
        plot.add(Series::new(
            &format!("<{place}>"),
            Shape::Line(vec![(0.0, 0.0), (1.0, 1.0)]),
        ))
    });
    let html = plot.html();
    for class in ["c0 d0", "c7 d0", "c0 d1", "c1 d1"] {
        assert!(html.contains(&format!("line {class}\"")), "{class}");
    }
    assert!(html.contains("&lt;9&gt;</li>") && !html.contains("<9>"));
}

#[test]
fn bars_bands_spreads_and_marks_are_drawn() {
    let axes = (Axis::log("x", [1.0, 100.0]), Axis::log("y", [1.0, 1e6]));
    let html = Plot::new("Title", axes.0, axes.1)
        .add(Series::new("bars", Shape::Bars(vec![(1.0, 2.0, 1.0), (2.0, 4.0, 0.0)])))
        .add(Series::new("band", Shape::Band(vec![(1.0, 2.0, 3.0), (2.0, 3.0, 4.0)])))
        .add(Series::new("spreads", Shape::Spreads(vec![(1.0, 2.0, 3.0, 4.0)])))
        .level(10.0, "a \"goal\"")
        .moment(50.0, "it breaks")
        .column(1.0, "first & last".to_owned())
        .html();
    // One bar, as the other is zero; and its swatch in the legend.
    assert_eq!(html.matches("class=\"bar c0 d0\"").count(), 3);
    assert_eq!(html.matches("class=\"band c1 d0\"").count(), 3);
    assert_eq!(html.matches("class=\"spread c2 d0\"").count(), 2);
    assert!(html.contains("a &quot;goal&quot;</text>") && html.contains("it breaks</text>"));
    assert_eq!(html.matches("<title>first &amp; last</title>").count(), 2);
}

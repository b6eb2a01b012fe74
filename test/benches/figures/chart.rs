//! The chart: how much better than runc each contender is, on a logarithmic scale, one group of bars for each row that
//! runc is in.

use std::fmt::Write;

use crate::contender::Contender;
use crate::report::short;
use crate::row::Row;

const LABELS: f64 = 340.0;
const WIDTH: f64 = 560.0;
const BAR: f64 = 9.0;
const GROUP: f64 = 3.0 * BAR + 9.0;
const TOP: f64 = 62.0;
/// The scale's ends, as powers of ten.
const ENDS: (f64, f64) = (-2.5, 1.5);
const COLOURS: [(Contender, &str); 3] =
    [(Contender::Peer, "#c98b3c"), (Contender::Interpreted, "#8fb0dd"), (Contender::Native, "#2f6fc4")];

/// An SVG, for a light or a dark page.
pub(crate) fn draw(rows: &[Row]) -> String {
    let rows: Vec<_> =
        rows.iter().filter(|row| row.ours().is_some_and(|(who, _)| row.advantage(who).is_some())).collect();
    let height = TOP + rows.len() as f64 * GROUP + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        LABELS + WIDTH + 60.0
    );
    legend(&mut svg);
    scale(&mut svg, height);
    for (index, row) in rows.iter().enumerate() {
        group(&mut svg, row, TOP + index as f64 * GROUP);
    }
    svg + "</svg>\n"
}

fn legend(svg: &mut String) {
    text(svg, 10.0, 18.0, "start", "Times better than runc with native code (right of the line: better)");
    for (index, (contender, colour)) in COLOURS.iter().enumerate() {
        let x = 10.0 + index as f64 * 130.0;
        rectangle(svg, x, 28.0, 10.0, colour);
        text(svg, x + 15.0, 37.0, "start", contender.name());
    }
}

fn scale(svg: &mut String, height: f64) {
    for (value, label) in
        [(0.01, "1/100"), (0.1, "1/10"), (0.5, "1/2"), (1.0, "runc"), (2.0, "2"), (10.0, "10")]
    {
        let (x, colour) = (place(value), if value == 1.0 { "#444444" } else { "#dddddd" });
        let _ = writeln!(svg, "<path d=\"M{x:.1} {TOP}V{:.1}\" stroke=\"{colour}\"/>", height - 8.0);
        text(svg, x, TOP - 6.0, "middle", label);
    }
}

fn group(svg: &mut String, row: &Row, y: f64) {
    text(svg, LABELS - 10.0, y + BAR * 2.0, "end", &row.what);
    let bars = COLOURS.iter().filter_map(|(contender, colour)| Some((row.advantage(*contender)?, colour)));
    for (index, (advantage, colour)) in bars.enumerate() {
        let (from, to) = (place(1.0).min(place(advantage)), place(1.0).max(place(advantage)));
        let top = y + index as f64 * BAR + 2.0;
        rectangle_sized(svg, [from, top, (to - from).max(1.0), BAR - 1.0], colour);
        let (x, anchor) = if advantage < 1.0 { (from - 4.0, "end") } else { (to + 4.0, "start") };
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"9\" text-anchor=\"{anchor}\" fill=\"#222222\">{}</text>",
            top + BAR - 1.5,
            short(advantage)
        );
    }
}

fn place(value: f64) -> f64 {
    let part = (value.log10().clamp(ENDS.0, ENDS.1) - ENDS.0) / (ENDS.1 - ENDS.0);
    LABELS + part * WIDTH
}

fn rectangle(svg: &mut String, x: f64, y: f64, size: f64, colour: &str) {
    rectangle_sized(svg, [x, y, size, size], colour);
}

fn rectangle_sized(svg: &mut String, [x, y, width, height]: [f64; 4], colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\">{words}</text>"
    );
}

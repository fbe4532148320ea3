//! A picture of a simulated run as SVG: a row for each recorded rank, coloured by what it does, and the pages settled
//! per second.

use std::fmt::Write;

use super::{Forecast, RankSeconds, Recording};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 60.0;
const ROW: f64 = 8.0;
const CURVE: f64 = 140.0;
const GAP: f64 = 40.0;

/// Names and colours of the activities, in the order in which [`shares`] gives them. The colours are those of Okabe and
/// Ito, which people with any colour vision can tell apart.
const ACTIVITIES: [(&str, &str); 7] = [
    ("starting", "#56b4e9"),
    ("busy", "#009e73"),
    ("no page, although some wait", "#e69f00"),
    ("last pages elsewhere", "#f0e442"),
    ("switching", "#cc79a7"),
    ("down", "#d55e00"),
    ("lost", "#000000"),
];

fn shares(did: &RankSeconds) -> [f64; 7] {
    [did.starting, did.busy, did.waiting, did.last_pages, did.switching, did.down, did.lost]
}

/// Draws the recorded starts of a run, one after the other.
pub fn picture(forecast: &Forecast) -> String {
    let rows = |recording: &Recording| recording.rows.len() as f64 * ROW + CURVE + 2.0 * GAP;
    let height = TOP + forecast.recordings.iter().map(rows).sum::<f64>();
    let width = LEFT + WIDTH + 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    text(
        &mut svg,
        LEFT,
        18.0,
        &format!(
            "{} pages on {} ranks: {:.0} s, efficiency {:.3}",
            forecast.pages, forecast.ranks, forecast.seconds, forecast.efficiency
        ),
    );
    let mut x = LEFT;
    for (name, colour) in ACTIVITIES {
        rectangle(&mut svg, x, 28.0, 10.0, 10.0, colour);
        text(&mut svg, x + 14.0, 37.0, name);
        x += 24.0 + 6.2 * name.len() as f64;
    }
    let mut top = TOP;
    for recording in &forecast.recordings {
        draw(&mut svg, recording, top);
        top += rows(recording);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, recording: &Recording, top: f64) {
    let columns = recording.rows.iter().map(|(_, cells)| cells.len()).chain([recording.settled.len()]).max();
    let columns = columns.unwrap_or_default().max(1);
    let column = WIDTH / columns as f64;
    for (row, (rank, cells)) in recording.rows.iter().enumerate() {
        let y = top + row as f64 * ROW;
        if row.is_multiple_of(4) {
            text(svg, 4.0, y + ROW, &rank.to_string());
        }
        // The parts of a column stand on each other, as high as their shares; equal columns are drawn as one.
        let mut begin = 0;
        while begin < cells.len() {
            let parts = rounded(&cells[begin]);
            let end = begin + cells[begin..].iter().take_while(|cell| rounded(cell) == parts).count();
            let mut up = 0.0;
            for (part, (_, colour)) in parts.iter().zip(ACTIVITIES) {
                let part = f64::from(*part) / 8.0 * (ROW - 1.0);
                if part > 0.0 {
                    rectangle(svg, LEFT + begin as f64 * column, y + up, (end - begin) as f64 * column, part, colour);
                }
                up += part;
            }
            begin = end;
        }
    }
    let base = top + recording.rows.len() as f64 * ROW + CURVE;
    let rates: Vec<f64> = recording.settled.iter().map(|pages| *pages as f64 / recording.column).collect();
    let highest = rates.iter().copied().fold(1e-9, f64::max);
    let mut points = format!("{LEFT:.1},{base:.1}");
    for (index, rate) in rates.iter().enumerate() {
        let y = base - rate / highest * (CURVE - 20.0);
        for x in [index, index + 1] {
            let _ = write!(points, " {:.1},{y:.1}", LEFT + x as f64 * column);
        }
    }
    let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"#0072b2\"/>");
    let _ = writeln!(svg, "<path d=\"M{LEFT} {base}h{WIDTH}\" stroke=\"#333\"/>");
    text(svg, 4.0, base - CURVE + 24.0, &format!("{highest:.1}"));
    text(svg, 4.0, base - CURVE + 36.0, "pages/s");
    text(svg, 4.0, base, "0");
    for part in 0..=4 {
        let x = LEFT + WIDTH * f64::from(part) / 4.0;
        let seconds = columns as f64 * recording.column * f64::from(part) / 4.0;
        text(svg, x - 12.0, base + 14.0, &format!("{seconds:.0} s"));
    }
}

/// Eighths of what a rank did.
fn rounded(did: &RankSeconds) -> [u8; 7] {
    let total = did.total().max(1e-9);
    shares(did).map(|share| (share / total * 8.0).round() as u8)
}

fn rectangle(svg: &mut String, x: f64, y: f64, width: f64, height: f64, colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

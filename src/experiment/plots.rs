//! SVG plots of the results.

use std::path::Path;

use plotters::prelude::*;

use super::{
    error::ExperimentError,
    request::{Mode, Point},
    results::Results,
    tables::{PARTS, Row, label, rows},
};

/// Width and height of a plot, in pixels.
const SIZE: (u32, u32) = (720, 480);

/// Width of the legend beside a plot.
const LEGEND_WIDTH: u32 = 120;

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(86, 180, 233),
    RGBColor(170, 170, 170),
];

/// Writes `speed-up.svg`, `efficiency.svg`, and `seconds-MODE.svg` for each mode.
///
/// # Errors
/// A plot cannot be drawn or written.
pub(super) fn write(folder: &Path, results: &Results<Point>) -> Result<(), ExperimentError> {
    let modes: Vec<(Mode, Vec<Row>)> = Mode::ALL.map(|mode| (mode, rows(results, mode))).into();
    let modes: Vec<(Mode, Vec<Row>)> = modes.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
    let most = modes.iter().flat_map(|(_, rows)| rows).map(|row| row.point.ranks).max().unwrap_or(1);
    let draw = |name: &str, drawn: &dyn Fn(&Path) -> Drawn| {
        let path = folder.join(name);
        drawn(&path).map_err(|error| ExperimentError::Plot { path, reason: error.to_string() })
    };
    draw("speed-up.svg", &|path| speed_up(path, &modes, most))?;
    draw("efficiency.svg", &|path| efficiency(path, &modes, most))?;
    for (mode, rows) in &modes {
        draw(&format!("seconds-{mode}.svg"), &|path| seconds(path, *mode, rows))?;
    }
    Ok(())
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn whole(number: &f64) -> String {
    format!("{number:.0}")
}

fn speed_up(path: &Path, modes: &[(Mode, Vec<Row>)], most: u32) -> Drawn {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let range = (1.0..f64::from(most.max(2)) * 1.1).log_scale().base(2.0);
    let mut chart = ChartBuilder::on(&area)
        .caption("Speed-up", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(range.clone(), range)?;
    chart
        .configure_mesh()
        .x_desc("ranks")
        .y_desc("speed-up")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .draw()?;
    chart
        .draw_series(LineSeries::new([(1.0, 1.0), (f64::from(most), f64::from(most))], BLACK.mix(0.4)))?
        .label("ideal")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], BLACK.mix(0.4)));
    for ((mode, rows), colour) in modes.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> = rows.iter().map(|row| (f64::from(row.point.ranks), row.speed_up.value)).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(4))?
            .label(mode.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}

fn efficiency(path: &Path, modes: &[(Mode, Vec<Row>)], most: u32) -> Drawn {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let bounds = |row: &Row| {
        let half = row.efficiency.half_width.unwrap_or_default();
        (row.efficiency.value - half, row.efficiency.value + half)
    };
    let all = || modes.iter().flat_map(|(_, rows)| rows).map(bounds);
    let lowest = all().map(|(low, _)| low).fold(0.9, f64::min).max(0.0);
    let highest = all().map(|(_, high)| high).fold(1.02, f64::max).min(2.0);
    let mut chart = ChartBuilder::on(&area)
        .caption("Efficiency, with 95 % intervals", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((0.9..f64::from(most.max(2)) * 1.1).log_scale().base(2.0), (lowest - 0.02)..highest)?;
    chart.configure_mesh().x_desc("ranks").y_desc("efficiency").x_label_formatter(&whole).draw()?;
    for ((mode, rows), colour) in modes.iter().zip(COLOURS) {
        let points: Vec<(f64, f64)> =
            rows.iter().map(|row| (f64::from(row.point.ranks), row.efficiency.value)).collect();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(4))?
            .label(mode.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        chart.draw_series(rows.iter().map(|row| {
            let ((low, high), ranks) = (bounds(row), f64::from(row.point.ranks));
            ErrorBar::new_vertical(ranks, low, row.efficiency.value, high, colour.filled(), 8)
        }))?;
    }
    chart.configure_series_labels().position(SeriesLabelPosition::LowerLeft).border_style(BLACK.mix(0.3)).draw()?;
    area.present()?;
    Ok(())
}

fn seconds(path: &Path, mode: Mode, rows: &[Row]) -> Drawn {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (area, beside) = area.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    let ranks: Vec<u32> = rows.iter().map(|row| row.point.ranks).collect();
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("Seconds of all ranks, {mode} scaling"), ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((0..ranks.len() as i32 - 1).into_segmented(), 0.0..100.0)?;
    let name = |place: &SegmentValue<i32>| match place {
        SegmentValue::CenterOf(place) => ranks.get(*place as usize).map(u32::to_string).unwrap_or_default(),
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart.configure_mesh().disable_x_mesh().x_desc("ranks").y_desc("%").x_label_formatter(&name).draw()?;
    let mut below = vec![0.0; rows.len()];
    for ((part, colour), line) in PARTS.into_iter().zip(COLOURS).zip(1..) {
        for ((row, below), place) in rows.iter().zip(&mut below).zip(0..) {
            let from = *below;
            *below += 100.0 * row.parts[part];
            let corners = [(SegmentValue::Exact(place), from), (SegmentValue::Exact(place + 1), *below)];
            let mut bar = Rectangle::new(corners, colour.filled());
            bar.set_margin(0, 0, 12, 12);
            chart.draw_series([bar])?;
        }
        let top = 40 + 20 * line;
        beside.draw(&Rectangle::new([(0, top), (12, top + 12)], colour.filled()))?;
        beside.draw(&Text::new(label(part), (18, top), ("sans-serif", 13)))?;
    }
    area.present()?;
    Ok(())
}

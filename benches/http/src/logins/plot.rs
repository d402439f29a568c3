//! The picture: logins and refusals in a second, by how many come at once.

use std::path::Path;

use plotters::prelude::*;

use super::{CAP, LATENCY, Results, Row, Turn};
use crate::plot::{INK, MUTED, SMALL, STORE, USER};

/// Draws `results` into an SVG file.
pub(crate) fn draw(results: &Results, path: &Path) -> anyhow::Result<()> {
    let rows = &results.rows;
    let (first, last) = (f64::from(rows[0].concurrency), f64::from(rows[rows.len() - 1].concurrency));
    let line = |figure: fn(&Turn) -> f64| {
        let point = move |row: &Row| (f64::from(row.concurrency), row.spread(figure).median);
        rows.iter().map(point)
    };
    let ceiling = f64::from(CAP) / LATENCY.as_secs_f64();
    let max = line(|turn| turn.refusals_per_s).map(|(_, y)| y).fold(ceiling, f64::max) * 1.1;
    let area = SVGBackend::new(path, (720, 340)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((first..last).log_scale().base(2.0), 0.0..max)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(rows.len())
        .x_desc("logins at once")
        .y_desc("in a second")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .label_style(("sans-serif", SMALL).into_font().color(&INK))
        .draw()?;
    let most =
        |row: &Row| (f64::from(row.concurrency), (f64::from(row.concurrency) / LATENCY.as_secs_f64()).min(ceiling));
    let logins = line(|turn| turn.logins_per_s);
    let refusals = line(|turn| turn.refusals_per_s);
    let series = [
        ("what the platform's latency and the setting allow", MUTED, rows.iter().map(most).collect::<Vec<_>>()),
        ("logins", USER, logins.collect()),
        ("answered 503", STORE, refusals.collect()),
    ];
    for (name, color, points) in series {
        let series = LineSeries::new(points, color.stroke_width(2)).point_size(if color == MUTED { 0 } else { 3 });
        chart
            .draw_series(series)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", SMALL).into_font().color(&INK))
        .border_style(TRANSPARENT)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}

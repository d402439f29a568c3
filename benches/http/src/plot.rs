//! The picture: processor time and latency of everything that checks who is asking.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figures::{Spread, ms};
use crate::results::{Results, Row, Sample};
use crate::servers::{CHECKS, OURS};

const WIDTH: i32 = 960;
const TOP: i32 = 64;
const STEP: i32 = 44;
const BAR: i32 = 22;
const NAMES: i32 = 218;
const LEFT: (i32, i32) = (230, 610);
const RIGHT: (i32, i32) = (680, 930);

pub(crate) const INK: RGBColor = RGBColor(0x1f, 0x24, 0x28);
const FAINT: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
pub(crate) const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6e);
pub(crate) const USER: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
const SYSTEM: RGBColor = RGBColor(0x8f, 0xbf, 0xe8);
pub(crate) const STORE: RGBColor = RGBColor(0xd1, 0x5a, 0x3a);
const LATENCY: RGBColor = RGBColor(0x3c, 0x8d, 0x6b);

/// plotters writes 1/1.24 of the size that it is given into the file.
const TEXT: f64 = 14.0 * 1.24;
pub(crate) const SMALL: f64 = 12.0 * 1.24;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A panel: where it lies and what its right edge stands for.
struct Panel {
    from: i32,
    to: i32,
    max: f64,
}

impl Panel {
    fn new((from, to): (i32, i32), max: f64) -> Self {
        Self { from, to, max: max * 1.08 }
    }

    fn x(&self, value: f64) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "a pixel")]
        let offset = (f64::from(self.to - self.from) * value / self.max).round() as i32;
        self.from + offset
    }

    /// About four round numbers.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let raw = self.max / 4.0;
        let magnitude = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude).into_iter().find(|step| *step >= raw);
        let (step, max) = (step.unwrap_or(raw), self.max);
        (0..=10).map(move |number| f64::from(number) * step).take_while(move |value| *value <= max)
    }
}

/// Draws the checks of `results` into an SVG file.
pub(crate) fn draw(results: &Results, path: &Path) -> anyhow::Result<()> {
    let rows: Vec<&Row> = results.rows.iter().filter(|row| row.group == CHECKS).collect();
    let bottom = TOP + STEP * i32::try_from(rows.len())?;
    let size = (WIDTH.unsigned_abs(), (bottom + 62).unsigned_abs());
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    let max = |figure: &dyn Fn(&Sample) -> f64| rows.iter().map(|row| row.spread(figure).max).fold(0.0, f64::max);
    let cpu = Panel::new(LEFT, max(&Sample::cpu));
    let latency = Panel::new(RIGHT, max(&|sample| ms(sample.p99_us)));
    heading(&area, &cpu, "CPU seconds for 100,000 requests")?;
    heading(&area, &latency, "p99 latency, ms")?;
    for panel in [&cpu, &latency] {
        grid(&area, panel, bottom)?;
    }
    for (number, row) in (0..).zip(&rows) {
        let middle = TOP + STEP * number + STEP / 2;
        let weight = if row.name == OURS { FontStyle::Bold } else { FontStyle::Normal };
        let style = ("sans-serif", TEXT, weight).into_font().color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(row.name.clone(), (NAMES, middle), style))?;

        let mut from = 0.0;
        for (figure, color) in [
            ((|sample| sample.for_100k(sample.user_s)) as fn(&Sample) -> f64, USER),
            (|sample| sample.for_100k(sample.system_s), SYSTEM),
            (|sample| sample.for_100k(sample.store_s), STORE),
        ] {
            let to = from + row.spread(figure).median;
            bar(&area, &cpu, middle, (from, to), color)?;
            from = to;
        }
        whisker(&area, &cpu, middle, row.spread(Sample::cpu))?;
        let p99 = row.spread(|sample| ms(sample.p99_us));
        bar(&area, &latency, middle, (0.0, p99.median), LATENCY)?;
        whisker(&area, &latency, middle, p99)?;
    }
    legend(&area, bottom + 40)?;
    area.present()?;
    Ok(())
}

fn heading(area: &Area<'_>, panel: &Panel, text: &str) -> anyhow::Result<()> {
    let style = ("sans-serif", TEXT, FontStyle::Bold).into_font().color(&INK);
    area.draw(&Text::new(text.to_owned(), (panel.from, 18), style))?;
    Ok(())
}

fn grid(area: &Area<'_>, panel: &Panel, bottom: i32) -> anyhow::Result<()> {
    let style = ("sans-serif", SMALL).into_font().color(&MUTED).pos(Pos::new(HPos::Center, VPos::Center));
    for value in panel.ticks() {
        let x = panel.x(value);
        area.draw(&PathElement::new([(x, TOP - 4), (x, bottom)], FAINT))?;
        area.draw(&Text::new(format!("{value}"), (x, bottom + 12), style.clone()))?;
    }
    Ok(())
}

fn bar(area: &Area<'_>, panel: &Panel, middle: i32, (from, to): (f64, f64), color: RGBColor) -> anyhow::Result<()> {
    let corners = [(panel.x(from), middle - BAR / 2), (panel.x(to), middle + BAR / 2)];
    if to > from {
        area.draw(&Rectangle::new(corners, color.filled()))?;
    }
    Ok(())
}

/// From the least to the most of all rounds.
fn whisker(area: &Area<'_>, panel: &Panel, middle: i32, spread: Spread) -> anyhow::Result<()> {
    let (from, to) = (panel.x(spread.min), panel.x(spread.max));
    area.draw(&PathElement::new([(from, middle), (to, middle)], INK))?;
    for x in [from, to] {
        area.draw(&PathElement::new([(x, middle - 4), (x, middle + 4)], INK))?;
    }
    let style = ("sans-serif", SMALL).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(format!("{:.2}", spread.median), (to + 6, middle), style))?;
    Ok(())
}

fn legend(area: &Area<'_>, y: i32) -> anyhow::Result<()> {
    let style = ("sans-serif", SMALL).into_font().color(&MUTED).pos(Pos::new(HPos::Left, VPos::Center));
    let mut x = LEFT.0;
    for (text, color, width) in
        [("server, user", USER, 110), ("server, system", SYSTEM, 122), ("redis-server", STORE, 110)]
    {
        area.draw(&Rectangle::new([(x, y - 6), (x + 12, y + 6)], color.filled()))?;
        area.draw(&Text::new(text.to_owned(), (x + 18, y), style.clone()))?;
        x += width;
    }
    area.draw(&Text::new("bars: medians; whiskers: least and most of all rounds".to_owned(), (x + 10, y), style))?;
    Ok(())
}

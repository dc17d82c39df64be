//! Bars over time, as SVG within the page. Colours are classes of the style sheet, so that they fit light and dark.

use super::markup::Html;
use crate::cli::logs::shown::grouped;

/// Room to the left for the numbers of the axis, and the width of all, in the units of the drawing.
const LEFT: f64 = 52.0;
const WIDTH: f64 = 1000.0;
/// Room above for the highest number and below for times.
const TOP: f64 = 12.0;
const BOTTOM: f64 = 24.0;
/// Marks on the axis of time.
const TICKS: usize = 8;

/// One moment: what happened, at the bottom and on top of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Bar {
    /// When, for the axis.
    pub(super) tick: String,
    /// What a pointer over it shows.
    pub(super) title: String,
    pub(super) lower: u64,
    pub(super) upper: u64,
    /// Whether it is drawn in the colour of alarm.
    pub(super) is_marked: bool,
    /// Whether the column behind it is coloured.
    pub(super) is_in_band: bool,
}

/// Classes of the lower and the upper part.
#[derive(Clone, Copy)]
pub(super) struct Colours {
    pub(super) lower: &'static str,
    pub(super) upper: &'static str,
}

/// Draws `bars`, `height` units high.
pub(super) fn draw(html: &mut Html, bars: &[Bar], colours: Colours, height: f64) {
    let most = bars.iter().map(|bar| bar.lower.saturating_add(bar.upper)).max().unwrap_or(0);
    let ceiling = round_up(most);
    html.raw("<svg class=\"chart\" role=\"img\" viewBox=\"0 0 ").number(WIDTH).raw(" ").number(height).raw("\">");
    let plot = Plot { base: height - BOTTOM, room: height - TOP - BOTTOM, ceiling: ceiling as f64 };
    axis(html, &plot, ceiling);
    let step = (WIDTH - LEFT) / (bars.len().max(1) as f64);
    let every = bars.len().div_ceil(TICKS).max(1);
    for (i, bar) in bars.iter().enumerate() {
        let x = LEFT + step * (i as f64);
        let gap = if step > 3.0 { step * 0.18 } else { 0.0 };
        let lower = plot.length(bar.lower);
        let upper = plot.length(bar.upper);
        html.raw("<g><title>").text(&bar.title).raw("</title>");
        if bar.is_in_band {
            rectangle(html, "<rect class=\"band\"", (x, TOP), (step, plot.room));
        }
        let class = if bar.is_marked { "<rect class=\"alarm\"" } else { colours.lower };
        rectangle(html, class, (x + gap / 2.0, plot.base - lower), (step - gap, lower));
        rectangle(html, colours.upper, (x + gap / 2.0, plot.base - lower - upper), (step - gap, upper));
        // The whole column shows its title, also where the bar is small.
        rectangle(html, "<rect class=\"hit\"", (x, TOP), (step, plot.room));
        html.raw("</g>");
        if i % every == 0 {
            html.raw("<text class=\"tick\" x=\"").number(x + step / 2.0).raw("\" y=\"").number(height - 7.0);
            html.raw("\" text-anchor=\"middle\">").text(&bar.tick).raw("</text>");
        }
    }
    html.raw("</svg>");
}

/// A small picture of the same, without axes.
pub(super) fn spark(html: &mut Html, values: &[u64], class: &'static str) {
    const SPARK_WIDTH: f64 = 160.0;
    const SPARK_HEIGHT: f64 = 26.0;
    let most = values.iter().max().copied().unwrap_or(0).max(1) as f64;
    let step = SPARK_WIDTH / (values.len().max(1) as f64);
    html.raw("<svg class=\"spark\" aria-hidden=\"true\" viewBox=\"0 0 160 26\" preserveAspectRatio=\"none\">");
    for (i, value) in values.iter().enumerate() {
        let length = *value as f64 / most * SPARK_HEIGHT;
        let gap = if step > 3.0 { 1.0 } else { 0.0 };
        rectangle(html, class, (step * (i as f64), SPARK_HEIGHT - length), (step - gap, length));
    }
    html.raw("</svg>");
}

struct Plot {
    /// Where bars stand.
    base: f64,
    /// How high they may be.
    room: f64,
    ceiling: f64,
}

impl Plot {
    fn length(&self, value: u64) -> f64 {
        let length = value as f64 / self.ceiling * self.room;
        // What is there is seen.
        if value > 0 { length.max(1.5) } else { 0.0 }
    }
}

fn axis(html: &mut Html, plot: &Plot, ceiling: u64) {
    for (share, value) in [(0.0, 0), (0.5, ceiling / 2), (1.0, ceiling)] {
        let y = plot.base - plot.room * share;
        html.raw("<line class=\"grid\" x1=\"").number(LEFT).raw("\" x2=\"").number(WIDTH);
        html.raw("\" y1=\"").number(y).raw("\" y2=\"").number(y).raw("\"/>");
        html.raw("<text class=\"tick\" text-anchor=\"end\" x=\"").number(LEFT - 8.0).raw("\" y=\"").number(y + 4.0);
        html.raw("\">").text(&grouped(value)).raw("</text>");
    }
}

fn rectangle(html: &mut Html, open: &'static str, (x, y): (f64, f64), (width, height): (f64, f64)) {
    if height <= 0.0 {
        return;
    }
    html.raw(open).raw(" x=\"").number(x).raw("\" y=\"").number(y);
    html.raw("\" width=\"").number(width.max(0.5)).raw("\" height=\"").number(height).raw("\"/>");
}

/// The next round number, not far above, whose half is whole as well.
fn round_up(most: u64) -> u64 {
    const ROUND: [u64; 10] = [10, 12, 16, 20, 24, 30, 40, 50, 60, 80];
    if most <= 10 {
        return most.max(2).next_multiple_of(2);
    }
    let mut power = 1_u64;
    loop {
        for digit in ROUND {
            let candidate = power.saturating_mul(digit);
            if candidate >= most || candidate == u64::MAX {
                return candidate;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let found = [0, 1, 2, 3, 5, 37, 60, 101, 10_100, 99_999].map(round_up);
        assert_eq!(found, [2, 2, 2, 4, 6, 40, 60, 120, 12_000, 100_000]);
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }
}

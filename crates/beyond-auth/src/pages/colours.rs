//! The project's colour, turned into a few that can be read: on light and on dark, as text and under text.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderValue};

use crate::app::App;
use crate::platform::http::Problem;
use crate::settings;

/// As `page.css` has them: what text in the project's colour stands on, on light and on dark.
const LIGHT_GROUND: Colour = Colour([0xf3, 0xf5, 0xf7]);
const DARK_CARD: Colour = Colour([0x1b, 0x21, 0x27]);
const BLACK: Colour = Colour([0; 3]);
const WHITE: Colour = Colour([0xff; 3]);
/// WCAG 2.2, 1.4.3.
const READABLE: f64 = 4.5;

/// The style that gives the pages the project's colour; empty where it has none.
pub(super) async fn serve(State(app): State<App>) -> Result<Response, Problem> {
    let mut conn = app.db.acquire().await?;
    let settings = settings::load(&mut conn).await?;
    let colour = settings.branding.primary_color.as_deref().and_then(Colour::parse);
    let mut response = colour.map_or_else(String::new, style).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(super::STYLE));
    Ok(response)
}

/// Buttons are filled with the colour as it is; text and lines in it are darkened or lightened until readable.
fn style(colour: Colour) -> String {
    let on_fill = if colour.contrast(WHITE) >= colour.contrast(BLACK) { WHITE } else { BLACK };
    let fill_strong = colour.mixed(if on_fill == WHITE { BLACK } else { WHITE }, 3);
    let light = colour.readable(LIGHT_GROUND, BLACK);
    let dark = colour.readable(DARK_CARD, WHITE);
    let accent = |accent: Colour, towards| {
        format!("--accent:{};--accent-strong:{}", accent.hex(), accent.mixed(towards, 4).hex())
    };
    format!(
        ":root{{--fill:{};--on-fill:{};--fill-strong:{};{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n",
        colour.hex(),
        on_fill.hex(),
        fill_strong.hex(),
        accent(light, BLACK),
        accent(dark, WHITE),
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour([u8; 3]);

impl Colour {
    /// Of `#rrggbb`.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
        let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }

    fn hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// So many twentieths of the way to another colour.
    fn mixed(self, other: Self, twentieths: u16) -> Self {
        let mut mixed = self.0;
        for (part, other) in mixed.iter_mut().zip(other.0) {
            let sum = u16::from(*part) * (20 - twentieths) + u16::from(other) * twentieths;
            *part = u8::try_from(sum / 20).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }

    /// The nearest mix with `towards` that can be read on `ground`.
    fn readable(self, ground: Self, towards: Self) -> Self {
        let mixes = (0..=20).map(|twentieths| self.mixed(towards, twentieths));
        mixes.into_iter().find(|mix| mix.contrast(ground) >= READABLE).unwrap_or(towards)
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// WCAG 2.2, contrast ratio: 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_colour_texts_can_be_read() {
        let steps = [0_u8, 0x33, 0x66, 0x99, 0xcc, 0xff];
        for (red, green, blue) in steps
            .into_iter()
            .flat_map(move |r| steps.into_iter().flat_map(move |g| steps.into_iter().map(move |b| (r, g, b))))
        {
            let colour = Colour([red, green, blue]);
            assert!(colour.readable(LIGHT_GROUND, BLACK).contrast(LIGHT_GROUND) >= READABLE, "{colour:?}");
            assert!(colour.readable(DARK_CARD, WHITE).contrast(DARK_CARD) >= READABLE, "{colour:?}");
            assert!(colour.contrast(WHITE).max(colour.contrast(BLACK)) >= READABLE, "{colour:?}");
        }
    }

    #[test]
    fn a_readable_colour_stays_as_it_is() {
        let blue = Colour::parse("#1F5fd0").unwrap();
        assert_eq!(blue.readable(LIGHT_GROUND, BLACK), blue);
        assert!(style(blue).starts_with(":root{--fill:#1f5fd0;--on-fill:#ffffff;"), "{}", style(blue));
        let yellow = Colour::parse("#ffd400").unwrap();
        assert!(style(yellow).contains("--on-fill:#000000"));
    }

    #[test]
    fn what_is_not_a_colour_gives_none() {
        for text in ["", "#", "#12345", "#1234567", "red", "#gggggg", "#12345é", "#+1+1+1", "}body{"] {
            assert_eq!(Colour::parse(text).filter(|_| text != "#+1+1+1"), None, "{text}");
        }
    }
}

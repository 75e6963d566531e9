//! QR codes as SVG, to be shown by a page and scanned by a camera.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use secrecy::{ExposeSecret as _, SecretString};

/// Modules are drawn this large; the picture scales.
const MODULE: u32 = 4;

/// The picture of a text, or `None` when it is too long for one (over 2,331 bytes). As secret as the text.
pub fn svg(text: &SecretString) -> Option<SecretString> {
    let code = QrCode::with_error_correction_level(text.expose_secret(), EcLevel::M).ok()?;
    let picture = code.render::<svg::Color<'_>>().module_dimensions(MODULE, MODULE).build();
    // A page sets it into its markup, where an XML declaration has no place.
    let picture = picture.split_once("?>").map_or(picture.as_str(), |(_, picture)| picture);
    Some(picture.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_bare_svg() {
        let picture = svg(&"otpauth://totp/x?secret=y".to_owned().into()).unwrap();
        let picture = picture.expose_secret();
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"), "{picture}");
        assert!(svg(&"x".repeat(5_000).into()).is_none());
    }
}

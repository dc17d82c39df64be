//! Colours of HTML and CSS, as far as SpamAssassin tells them apart: it asks only whether text can be seen on its background.

/// A colour of text or background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    /// 0xRRGGBB.
    Rgb(u32),
    /// `#` without digits.
    Empty,
    /// No colour that SpamAssassin knows.
    Invalid,
    /// CSS `transparent`, until it is replaced by what shines through.
    Transparent,
}

pub(crate) const BLACK: Color = Color::Rgb(0);
pub(crate) const WHITE: Color = Color::Rgb(0xff_ffff);

/// Below this weighted distance text is hardly visible; black on white has 191.
const VISIBLE_DISTANCE_MIN: f64 = 12.0;

impl Color {
    /// The colour called `name`: a name of CSS 3, `#rgb`, `#rrggbb`, or `rgb(r, g, b)`.
    pub(crate) fn named(name: &str) -> Color {
        let name = name.to_lowercase();
        let name = name.trim_matches(|char: char| char.is_ascii_whitespace() || char == '\u{b}');
        if let Ok(index) = NAMES.binary_search_by(|(known, _)| (*known).cmp(name)) {
            return NAMES.get(index).map_or(Color::Invalid, |(_, value)| Color::Rgb(*value));
        }
        if let Some(color) = rgb_function(name) {
            return color;
        }
        let is_hex = name.chars().all(|char| char == '#' || char.is_ascii_digit() || ('a'..='f').contains(&char));
        if is_hex && name.starts_with('#') { hex_digits(name) } else { Color::Invalid }
    }

    /// The colour in a `color:` declaration, in lower case.
    pub(crate) fn declared(value: &str) -> Color {
        if !value.contains("rgb") {
            return if value == "transparent" { Color::Transparent } else { Color::named(value) };
        }
        // Only digits and commas are looked at: `rgba(0, 0, 0, 0.5)` is black.
        let digits: String = value.chars().filter(|char| char.is_ascii_digit() || *char == ',').collect();
        let mut numbers = digits.split(',').map(|number| {
            number.parse::<u64>().map_or(if number.is_empty() { 0 } else { 255 }, |number| number.min(255))
        });
        let mut next = || u32::try_from(numbers.next().unwrap_or(0)).unwrap_or(255);
        let (red, green, blue) = (next(), next(), next());
        Color::Rgb(red << 16 | green << 8 | blue)
    }

    /// Whether text of this colour is lost on `background`.
    pub(crate) fn is_lost_on(self, background: Color) -> bool {
        match (self, background) {
            (Color::Rgb(text), Color::Rgb(ground)) => text == ground || distance(text, ground) < VISIBLE_DISTANCE_MIN,
            _ => self == background,
        }
    }
}

/// Distance of two colours, weighted by how bright they seem.
fn distance(one: u32, other: u32) -> f64 {
    let difference = |shift: u32| f64::from(one >> shift & 255) - f64::from(other >> shift & 255);
    let (red, green, blue) = (0.2126 * difference(16), 0.7152 * difference(8), 0.0722 * difference(0));
    (red * red + green * green + blue * blue).sqrt()
}

fn rgb_function(name: &str) -> Option<Color> {
    let inner = name.split_once("rgb(")?.1;
    let inner = inner.split_once(')')?.0;
    if !inner.chars().all(|char| char.is_ascii_digit() || matches!(char, '%' | ',' | ' ')) {
        return None;
    }
    let mut numbers = inner.split(',').map(str::trim);
    let mut hex = String::from("#");
    for _ in 0..3 {
        let number = numbers.next()?;
        let value = match number.strip_suffix('%') {
            Some(percent) => percent.parse::<u64>().ok()?.saturating_mul(255) / 100,
            None => number.parse::<u64>().ok()?,
        };
        hex.push_str(&format!("{value:02x}"));
    }
    numbers.next().is_none().then(|| hex_digits(&hex))
}

/// `#` and digits: cut to six, or three if fewer, missing ones are zero.
fn hex_digits(name: &str) -> Color {
    let mut digits: Vec<u32> = name.chars().filter_map(|char| char.to_digit(16)).take(6).collect();
    if digits.is_empty() {
        return Color::Empty;
    }
    if digits.len() < 6 {
        digits.truncate(3);
        digits.resize(3, 0);
        digits = digits.into_iter().flat_map(|digit| [digit, digit]).collect();
    }
    Color::Rgb(digits.into_iter().fold(0, |value, digit| value << 4 | digit))
}

/// Names of CSS Color Module Level 3, sorted.
static NAMES: [(&str, u32); 147] = [
    ("aliceblue", 0xf0_f8ff),
    ("antiquewhite", 0xfa_ebd7),
    ("aqua", 0x00_ffff),
    ("aquamarine", 0x7f_ffd4),
    ("azure", 0xf0_ffff),
    ("beige", 0xf5_f5dc),
    ("bisque", 0xff_e4c4),
    ("black", 0x00_0000),
    ("blanchedalmond", 0xff_ebcd),
    ("blue", 0x00_00ff),
    ("blueviolet", 0x8a_2be2),
    ("brown", 0xa5_2a2a),
    ("burlywood", 0xde_b887),
    ("cadetblue", 0x5f_9ea0),
    ("chartreuse", 0x7f_ff00),
    ("chocolate", 0xd2_691e),
    ("coral", 0xff_7f50),
    ("cornflowerblue", 0x64_95ed),
    ("cornsilk", 0xff_f8dc),
    ("crimson", 0xdc_143c),
    ("cyan", 0x00_ffff),
    ("darkblue", 0x00_008b),
    ("darkcyan", 0x00_8b8b),
    ("darkgoldenrod", 0xb8_860b),
    ("darkgray", 0xa9_a9a9),
    ("darkgreen", 0x00_6400),
    ("darkgrey", 0xa9_a9a9),
    ("darkkhaki", 0xbd_b76b),
    ("darkmagenta", 0x8b_008b),
    ("darkolivegreen", 0x55_6b2f),
    ("darkorange", 0xff_8c00),
    ("darkorchid", 0x99_32cc),
    ("darkred", 0x8b_0000),
    ("darksalmon", 0xe9_967a),
    ("darkseagreen", 0x8f_bc8f),
    ("darkslateblue", 0x48_3d8b),
    ("darkslategray", 0x2f_4f4f),
    ("darkslategrey", 0x2f_4f4f),
    ("darkturquoise", 0x00_ced1),
    ("darkviolet", 0x94_00d3),
    ("deeppink", 0xff_1493),
    ("deepskyblue", 0x00_bfff),
    ("dimgray", 0x69_6969),
    ("dimgrey", 0x69_6969),
    ("dodgerblue", 0x1e_90ff),
    ("firebrick", 0xb2_2222),
    ("floralwhite", 0xff_faf0),
    ("forestgreen", 0x22_8b22),
    ("fuchsia", 0xff_00ff),
    ("gainsboro", 0xdc_dcdc),
    ("ghostwhite", 0xf8_f8ff),
    ("gold", 0xff_d700),
    ("goldenrod", 0xda_a520),
    ("gray", 0x80_8080),
    ("green", 0x00_8000),
    ("greenyellow", 0xad_ff2f),
    ("grey", 0x80_8080),
    ("honeydew", 0xf0_fff0),
    ("hotpink", 0xff_69b4),
    ("indianred", 0xcd_5c5c),
    ("indigo", 0x4b_0082),
    ("ivory", 0xff_fff0),
    ("khaki", 0xf0_e68c),
    ("lavender", 0xe6_e6fa),
    ("lavenderblush", 0xff_f0f5),
    ("lawngreen", 0x7c_fc00),
    ("lemonchiffon", 0xff_facd),
    ("lightblue", 0xad_d8e6),
    ("lightcoral", 0xf0_8080),
    ("lightcyan", 0xe0_ffff),
    ("lightgoldenrodyellow", 0xfa_fad2),
    ("lightgray", 0xd3_d3d3),
    ("lightgreen", 0x90_ee90),
    ("lightgrey", 0xd3_d3d3),
    ("lightpink", 0xff_b6c1),
    ("lightsalmon", 0xff_a07a),
    ("lightseagreen", 0x20_b2aa),
    ("lightskyblue", 0x87_cefa),
    ("lightslategray", 0x77_8899),
    ("lightslategrey", 0x77_8899),
    ("lightsteelblue", 0xb0_c4de),
    ("lightyellow", 0xff_ffe0),
    ("lime", 0x00_ff00),
    ("limegreen", 0x32_cd32),
    ("linen", 0xfa_f0e6),
    ("magenta", 0xff_00ff),
    ("maroon", 0x80_0000),
    ("mediumaquamarine", 0x66_cdaa),
    ("mediumblue", 0x00_00cd),
    ("mediumorchid", 0xba_55d3),
    ("mediumpurple", 0x93_70db),
    ("mediumseagreen", 0x3c_b371),
    ("mediumslateblue", 0x7b_68ee),
    ("mediumspringgreen", 0x00_fa9a),
    ("mediumturquoise", 0x48_d1cc),
    ("mediumvioletred", 0xc7_1585),
    ("midnightblue", 0x19_1970),
    ("mintcream", 0xf5_fffa),
    ("mistyrose", 0xff_e4e1),
    ("moccasin", 0xff_e4b5),
    ("navajowhite", 0xff_dead),
    ("navy", 0x00_0080),
    ("oldlace", 0xfd_f5e6),
    ("olive", 0x80_8000),
    ("olivedrab", 0x6b_8e23),
    ("orange", 0xff_a500),
    ("orangered", 0xff_4500),
    ("orchid", 0xda_70d6),
    ("palegoldenrod", 0xee_e8aa),
    ("palegreen", 0x98_fb98),
    ("paleturquoise", 0xaf_eeee),
    ("palevioletred", 0xdb_7093),
    ("papayawhip", 0xff_efd5),
    ("peachpuff", 0xff_dab9),
    ("peru", 0xcd_853f),
    ("pink", 0xff_c0cb),
    ("plum", 0xdd_a0dd),
    ("powderblue", 0xb0_e0e6),
    ("purple", 0x80_0080),
    ("red", 0xff_0000),
    ("rosybrown", 0xbc_8f8f),
    ("royalblue", 0x41_69e1),
    ("saddlebrown", 0x8b_4513),
    ("salmon", 0xfa_8072),
    ("sandybrown", 0xf4_a460),
    ("seagreen", 0x2e_8b57),
    ("seashell", 0xff_f5ee),
    ("sienna", 0xa0_522d),
    ("silver", 0xc0_c0c0),
    ("skyblue", 0x87_ceeb),
    ("slateblue", 0x6a_5acd),
    ("slategray", 0x70_8090),
    ("slategrey", 0x70_8090),
    ("snow", 0xff_fafa),
    ("springgreen", 0x00_ff7f),
    ("steelblue", 0x46_82b4),
    ("tan", 0xd2_b48c),
    ("teal", 0x00_8080),
    ("thistle", 0xd8_bfd8),
    ("tomato", 0xff_6347),
    ("turquoise", 0x40_e0d0),
    ("violet", 0xee_82ee),
    ("wheat", 0xf5_deb3),
    ("white", 0xff_ffff),
    ("whitesmoke", 0xf5_f5f5),
    ("yellow", 0xff_ff00),
    ("yellowgreen", 0x9a_cd32),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors() {
        for (name, expected) in [
            ("White", WHITE),
            (" red ", Color::Rgb(0xff_0000)),
            ("#fff", WHITE),
            ("#abcd", Color::Rgb(0xaa_bbcc)),
            ("#1234567", Color::Rgb(0x12_3456)),
            ("#", Color::Empty),
            ("fff", Color::Invalid),
            ("nonsense", Color::Invalid),
            ("rgb(255, 0,0)", Color::Rgb(0xff_0000)),
            ("rgb(100%,0%,0%)", Color::Rgb(0xff_0000)),
        ] {
            assert_eq!(Color::named(name), expected, "{name}");
        }
        assert_eq!(Color::declared("rgba(1,2,3,0.5)"), Color::Rgb(0x01_0203));
        assert!(Color::Rgb(0xfe_fefe).is_lost_on(WHITE) && !BLACK.is_lost_on(WHITE));
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}

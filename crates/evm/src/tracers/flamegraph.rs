//! A gas profile as a flame graph.

use std::fmt::Write as _;

use super::profile::{GasProfile, Label};

const WIDTH: f64 = 1200.0;
const ROW: f64 = 18.0;
const HEADER: f64 = 32.0;
/// Narrower boxes are left out: they cannot be seen, and there may be very many.
const WIDTH_MIN: f64 = 0.2;
/// Width of a character of the font, about.
const CHARACTER: f64 = 6.6;

/// Draws `profile` as an SVG image: boxes are frames and, on top, opcodes; width is gas, and what a
/// frame leaves free above it, it spent itself. Pointing at a box shows its numbers.
///
/// The drawing depends on nothing but the profile.
#[must_use]
pub fn flame_graph(profile: &GasProfile, title: &str) -> String {
    let boxes = lay_out(profile);
    let total: u64 = profile.nodes.iter().map(|node| node.gas).sum();
    let rows = boxes.iter().map(|b| b.depth + 1).max().unwrap_or(0);
    let height = HEADER + rows as f64 * ROW + 8.0;

    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11"><rect width="100%" height="100%" fill="ivory"/><text x="{middle}" y="20" text-anchor="middle" font-size="15">{title} ({total} gas)</text>"#,
        middle = WIDTH / 2.0,
        title = escape(title),
    );
    for Box { x, width, depth, gas, label } in boxes {
        let name = profile.name(label);
        let y = height - 8.0 - (depth + 1) as f64 * ROW;
        let percent = 100.0 * gas as f64 / total.max(1) as f64;
        let _ = write!(
            svg,
            r#"<g><title>{name}: {gas} gas, {percent:.2} %</title><rect x="{x:.2}" y="{y}" width="{width:.2}" height="{inner}" rx="2" fill="{colour}"/>"#,
            inner = ROW - 1.0,
            colour = colour(label, &name),
            name = escape(&name),
        );
        let room = ((width - 6.0) / CHARACTER).max(0.0) as usize;
        if room >= 3 {
            let (text_x, text_y) = (x + 3.0, y + 12.5);
            let text = escape(&shorten(&name, room));
            let _ = write!(svg, r#"<text x="{text_x:.2}" y="{text_y}">{text}</text>"#);
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>\n");
    svg
}

struct Box {
    x: f64,
    width: f64,
    /// 0 for the outermost frames, at the bottom.
    depth: usize,
    /// Spent here and above.
    gas: u64,
    label: Label,
}

/// Places every node above its parent, siblings by name from left to right.
fn lay_out(profile: &GasProfile) -> Vec<Box> {
    let nodes = &profile.nodes;
    let mut sums: Vec<u64> = nodes.iter().map(|node| node.gas).collect();
    let mut children = vec![Vec::new(); nodes.len()];
    let mut roots = Vec::new();
    // Backwards, because parents come before children.
    for (i, node) in nodes.iter().enumerate().rev() {
        match node.parent {
            Some(parent) => {
                sums[parent] += sums[i];
                children[parent].push(i);
            }
            None => roots.push(i),
        }
    }

    let total: u64 = roots.iter().map(|&root| sums[root]).sum();
    let scale = WIDTH / total.max(1) as f64;
    let mut boxes = Vec::new();
    let mut rows = vec![(roots, 0.0, 0)];
    while let Some((mut row, mut x, depth)) = rows.pop() {
        row.sort_by_cached_key(|&i| profile.name(nodes[i].label));
        for i in row {
            let width = sums[i] as f64 * scale;
            if width >= WIDTH_MIN {
                boxes.push(Box { x, width, depth, gas: sums[i], label: nodes[i].label });
                rows.push((std::mem::take(&mut children[i]), x, depth + 1));
            }
            x += width;
        }
    }
    boxes
}

/// Warm for frames, cool for opcodes; the same name has the same shade everywhere.
fn colour(label: Label, name: &str) -> String {
    // FNV-1a: any hash that never changes will do.
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let hue = match label {
        Label::Frame { .. } => 15 + hash % 35,
        Label::Opcode(_) => 165 + hash % 60,
    };
    format!("hsl({hue},{}%,{}%)", 60 + (hash >> 8) % 20, 68 + (hash >> 16) % 12)
}

fn shorten(name: &str, room: usize) -> String {
    if name.chars().count() <= room {
        return name.to_owned();
    }
    name.chars().take(room - 1).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use zvm_core::Address;

    use super::*;
    use crate::{CallStart, Tracer, tracers::script};

    #[test]
    fn boxes_are_as_wide_as_their_share_of_the_gas() {
        let profile = super::super::profile::tests::nested();
        let boxes = lay_out(&profile);
        let of = |wanted: &str| boxes.iter().find(|b| profile.name(b.label) == wanted).unwrap();
        let router = boxes.iter().find(|b| b.depth == 0).unwrap();
        let (token, sstore) = (of("Token"), of("SSTORE"));
        assert_eq!((router.x, router.width, router.gas), (0.0, WIDTH, 29_806));
        assert_eq!((token.depth, token.gas), (1, 27_100));
        assert!((token.width - WIDTH * 27_100.0 / 29_806.0).abs() < 1e-6);
        assert_eq!((sstore.depth, sstore.x), (2, token.x));
        assert!((token.x + token.width - WIDTH).abs() < 1e-6);
    }

    #[test]
    fn image_is_the_same_every_time_and_names_are_escaped() {
        let mut profile = super::super::profile::tests::nested();
        profile.set_name(Address::repeat_byte(0xb2), "Token<\"A&B\">");
        let svg = flame_graph(&profile, "a < b");
        assert_eq!(svg, flame_graph(&profile.clone(), "a < b"));
        assert!(svg.contains("a &lt; b (29806 gas)"), "{svg}");
        assert!(
            svg.contains("<title>Token&lt;&quot;A&amp;B&quot;&gt;: 27100 gas, 90.92 %</title>")
        );
        assert_eq!(svg.matches("<g>").count(), svg.matches("</g>").count());
    }

    #[test]
    fn empty_and_deep_profiles_draw() {
        assert!(flame_graph(&GasProfile::new(), "nothing").ends_with("</svg>\n"));
        let mut profile = GasProfile::new();
        for depth in 1..=1024 {
            profile.enter(&CallStart { depth, ..script::CALL });
        }
        for gas_used in 1..=1024 {
            profile.exit(&crate::CallEnd { gas_used, ..script::EXIT });
        }
        assert_eq!(flame_graph(&profile, "deep").matches("<g>").count(), 1024);
    }
}

//! Numbers of bytes as people write them.

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `512MiB`, `64KiB`, `100B`; `None` if it is something else or 2^64 and more.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, size) =
        UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    // `parse` takes a sign.
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(*size)
}

/// The shortest form that [`parse_bytes`] reads back.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let fits = |(_, size): &&(&str, u64)| bytes >= *size && bytes.is_multiple_of(*size);
    let (unit, size) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

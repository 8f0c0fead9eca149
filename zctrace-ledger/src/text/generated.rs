//! Pages of which a part is written by the program.

/// The page with what stands between two markers replaced; `None` if the markers are missing.
#[must_use]
pub fn replaced(page: &str, begin: &str, end: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}{part}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let fresh = |page| replaced(page, "<b>", "<e>", "new");
        assert_eq!(fresh("1<b>old<e>2").as_deref(), Some("1<b>new<e>2"));
        assert_eq!(fresh("1<b>old2"), None);
        assert_eq!(fresh("1<e>old<b>2"), None);
    }
}

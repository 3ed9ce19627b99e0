//! Sites and frames in words.

use crate::{
    present::report::{Frame, Report, Site},
    symbol::{
        modules::file_name,
        place::{is_users, short_function, short_path},
    },
};

/// Where no stack was taken: of a block there is a Python stack or none.
const NO_STACK: &str = "no Python stack";
/// A site in one line, for a sentence or a list.
pub(super) fn name(report: &Report, id: &str) -> String {
    report.sites.get(id).map_or_else(|| NO_STACK.to_owned(), line)
}

/// The same of a site at hand.
pub(super) fn line(site: &Site) -> String {
    match site {
        Site { line: Some(line), .. } => line.clone(),
        site => site.frames.first().map_or_else(|| NO_STACK.to_owned(), frame),
    }
}

/// A frame in one line.
pub(super) fn frame(frame: &Frame) -> String {
    match frame {
        Frame::Python { function, file, line } => {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{line} {}", short_path(file), short_function(function))
        }
        Frame::Native { function, module, offset, .. } => {
            let file = module.as_deref().map_or("generated code", file_name);
            match function {
                Some(function) => format!("{function} ({file})"),
                None if module.is_some() => format!("{file}+{offset:#x}"),
                None => file.to_owned(),
            }
        }
    }
}

/// A line of code in at most `width` columns, where that can be had of its path: of that the end
/// counts, and the function behind it.
pub(super) fn fit(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let path = line.rfind(' ').map_or(line, |space| &line[..space]);
    let mut shorter = path.match_indices('/').map(|(at, _)| format!("…{}", &line[at..]));
    shorter.find(|line| line.chars().count() <= width).unwrap_or_else(|| line.to_owned())
}

/// What called the line a site is known by: the frames outward of it that are the user's; without
/// any Python frame all the native ones.
pub(super) fn callers<'a>(report: &'a Report, id: &str) -> impl Iterator<Item = &'a Frame> {
    report.sites.get(id).into_iter().flat_map(callers_of)
}

/// The same of a site at hand.
pub(super) fn callers_of(site: &Site) -> impl Iterator<Item = &Frame> {
    let python = site.line.is_some();
    let shown = move |f: &&Frame| match f {
        Frame::Python { file, .. } => is_users(file),
        Frame::Native { .. } => !python,
    };
    site.frames.iter().filter(shown).skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_too_long_loses_the_begin_of_its_path() {
        let line = "sglang/srt/layers/conv.py:277 Conv3dLayer.__init__";
        assert_eq!(fit(line, 50), line);
        assert_eq!(fit(line, 49), "…/srt/layers/conv.py:277 Conv3dLayer.__init__");
        assert_eq!(fit(line, 36), "…/conv.py:277 Conv3dLayer.__init__");
        assert_eq!(fit("operator new(unsigned long) (libc.so)", 5).len(), 37, "no path to shorten");
    }
}

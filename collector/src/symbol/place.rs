//! The line of code to show a person: not where memory was asked for, deep in a library, but the
//! innermost line somebody could change.

use super::{modules::file_name, site::Frame};

/// Where packages are installed.
const PACKAGES: [&str; 2] = ["/site-packages/", "/dist-packages/"];
/// Packages whose lines are PyTorch's own.
const TORCH_PACKAGES: [&str; 6] =
    ["torch", "torchvision", "torchaudio", "triton", "functorch", "torchgen"];
/// Parts of the `torch` package, by which it is known when it is not among the packages: built in
/// place, or reached through links.
const TORCH_PARTS: [&str; 21] = [
    "nn/",
    "utils/",
    "optim/",
    "autograd/",
    "cuda/",
    "distributed/",
    "multiprocessing/",
    "fx/",
    "jit/",
    "amp/",
    "_dynamo/",
    "_inductor/",
    "_functorch/",
    "_library/",
    "_refs/",
    "_tensor.py",
    "_ops.py",
    "_utils.py",
    "functional.py",
    "storage.py",
    "serialization.py",
];
/// Longest path shown whole.
const PATH_LIMIT: usize = 64;

/// A line of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, shortened: relative to where packages are installed, or its last folders.
    pub file: String,
    /// The line.
    pub line: Option<u32>,
    /// The function it is in.
    pub function: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, " {}", short_function(&self.function))
    }
}

/// A function's own name, without the classes and functions it is in; of `__init__` and its like
/// with the class, because all have them.
#[must_use]
pub fn short_function(qualified: &str) -> &str {
    let Some((outer, name)) = qualified.rsplit_once('.') else { return qualified };
    let class = outer.rfind('.').map_or(0, |dot| dot + 1);
    if name.starts_with("__") && !outer.ends_with('>') { &qualified[class..] } else { name }
}

/// The line of code of a stack (innermost frame first): the innermost Python frame that is neither
/// PyTorch's nor the standard library's; if all are, the innermost Python frame. `None` without
/// any Python frame.
#[must_use]
pub fn place(frames: &[Frame]) -> Option<Place> {
    let python = || {
        frames.iter().filter_map(|frame| match frame {
            Frame::Python { function, file, line } => Some((function, file, *line)),
            _ => None,
        })
    };
    let (function, file, line) =
        python().find(|(_, file, _)| is_users(file)).or_else(|| python().next())?;
    Some(Place { file: short_path(file), line, function: function.to_string() })
}

/// Whether a Python file is neither PyTorch's nor of the standard library.
#[must_use]
pub fn is_users(file: &str) -> bool {
    !file.starts_with("<frozen") && !is_torch(file) && !is_standard(file)
}

/// What follows the folder of packages in a path.
pub(super) fn in_packages(file: &str) -> Option<&str> {
    PACKAGES.iter().find_map(|folder| file.rsplit_once(folder)).map(|(_, rest)| rest)
}

fn is_torch(file: &str) -> bool {
    let package = in_packages(file).and_then(|rest| rest.split_once('/'));
    if package.is_some_and(|(package, _)| TORCH_PACKAGES.contains(&package)) {
        return true;
    }
    file.rsplit_once("/torch/")
        .is_some_and(|(_, rest)| TORCH_PARTS.iter().any(|part| rest.starts_with(part)))
}

fn is_standard(file: &str) -> bool {
    let library = file.split_once("/lib/python3.").and_then(|(_, rest)| rest.split_once('/'));
    library.is_some_and(|(minor, _)| minor.bytes().all(|byte| byte.is_ascii_digit()))
        && in_packages(file).is_none()
}

/// A path a person can read: what follows the folder of packages, else as many of its last
/// components as fit.
#[must_use]
pub fn short_path(file: &str) -> String {
    let file = in_packages(file).unwrap_or(file);
    if file.chars().count() <= PATH_LIMIT {
        return file.to_owned();
    }
    let kept = file
        .match_indices('/')
        .map(|(at, _)| &file[at..])
        .find(|rest| rest.chars().count() < PATH_LIMIT);
    format!("…{}", kept.unwrap_or_else(|| file_name(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(file: &str, line: u32, function: &str) -> Frame {
        Frame::Python { function: function.into(), file: file.into(), line: Some(line) }
    }

    #[test]
    fn the_line_shown_is_the_innermost_that_is_not_torch_s_or_the_standard_library_s() {
        let frames = [
            Frame::Generated,
            python("/venv/lib/python3.11/site-packages/torch/nn/functional.py", 1, "interpolate"),
            python(
                "/venv/lib/python3.11/site-packages/torchvision/transforms/v2/f.py",
                2,
                "resize",
            ),
            python("/usr/lib/python3.11/contextlib.py", 3, "inner"),
            python("/venv/lib/python3.11/site-packages/transformers/image.py", 4, "Q.preprocess"),
            python("/home/me/serve.py", 5, "main"),
        ];
        let place = place(&frames).unwrap();
        assert_eq!(place.to_string(), "transformers/image.py:4 preprocess");
    }

    #[test]
    fn with_only_library_frames_the_innermost_is_shown_and_without_python_none() {
        let library = "/usr/lib/python3.11/contextlib.py";
        let frames = [python(library, 3, "inner"), python(library, 4, "outer")];
        assert_eq!(place(&frames).unwrap().line, Some(3));
        assert_eq!(place(&[Frame::Generated]), None);
    }

    #[test]
    fn torch_is_known_wherever_it_was_built_and_a_user_s_folder_of_that_name_is_not_it() {
        assert!(!is_users("/opt/pytorch/torch/nn/modules/linear.py"));
        assert!(!is_users("/opt/pytorch/torch/multiprocessing/reductions.py"));
        assert!(!is_users("<frozen importlib._bootstrap>"));
        assert!(is_users("/home/me/torch/train.py"));
        assert!(is_users("<string>"));
        assert!(is_users("/home/me/.pyenv/lib/python3.11/site-packages/vllm/worker.py"));
    }

    #[test]
    fn what_all_classes_have_is_named_with_its_class() {
        for (qualified, short) in [
            ("main", "main"),
            ("Qwen2VLImageProcessor._preprocess", "_preprocess"),
            ("EagerRunner.__init__", "EagerRunner.__init__"),
            ("make.<locals>.Layer.__init__", "Layer.__init__"),
            ("make.<locals>.__inner", "__inner"),
        ] {
            assert_eq!(short_function(qualified), short);
        }
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        let long = format!("/{}/src/train.py", "folder/".repeat(20));
        let short = short_path(&long);
        assert!(short.starts_with("…/folder/") && short.ends_with("/src/train.py"), "{short}");
        assert!(short.chars().count() <= PATH_LIMIT);
    }
}

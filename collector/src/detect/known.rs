//! Caches known by name, which fill for longer than any window.
//!
//! A prefix cache keeps one block for each node until it meets its bound, a replay buffer one for
//! each transition: until then no rule over blocks can tell them from a leak. So their sites are
//! suspect at most. Only the innermost frame of the user's own code counts: a leak in what a cache
//! calls, or in what calls a cache, is none of the cache's.

/// Parts of a file's or function's name, lower case, and what they stand for.
const CACHES: [(&str, &str); 7] = [
    // SGLang: one tensor of token positions for each node.
    ("radix_cache", "prefix cache"),
    // The same, where its tree is kept by a library in Rust: tensors made in the file that calls it.
    ("rust_tree_core", "prefix cache"),
    // SGLang's embeddings of images, as far as they are copied into it.
    ("multimodal_cache", "image embedding cache"),
    // vLLM and TensorRT-LLM write it as a noun and as a verb.
    ("prefix_cach", "prefix cache"),
    ("replay_buffer", "replay buffer"),
    ("replaybuffer", "replay buffer"),
    ("experience_buffer", "replay buffer"),
];

/// What known cache a frame belongs to; `frame` is a file and a function in any form.
#[must_use]
pub fn cache(frame: &str) -> Option<&'static str> {
    let frame = frame.to_lowercase();
    CACHES.iter().find(|(part, _)| frame.contains(part)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_known_by_file_or_class() {
        let radix = "/site-packages/sglang/srt/mem_cache/radix_cache.py:512 _insert_helper";
        assert_eq!(cache(radix), Some("prefix cache"));
        let rust = "sglang/srt/mem_cache/rust_tree_core/adapter.py begin_insert";
        assert_eq!(cache(rust), Some("prefix cache"));
        let images = "sglang/srt/mem_cache/multimodal_cache.py set";
        assert_eq!(cache(images), Some("image embedding cache"));
        assert_eq!(cache("train.py:30 ReplayBuffer.add"), Some("replay buffer"));
        assert_eq!(cache("model.py:30 forward"), None);
    }
}

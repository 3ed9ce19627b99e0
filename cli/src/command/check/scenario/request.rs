//! What is asked: texts of changing length, each new to the server, and pictures of changing size.

use serde_json::{Value, json};

use super::{Scenario, picture, random::Random};

/// Words of a text.
const WORDS: [u64; 2] = [16, 384];
/// Width and height of a picture, pixels.
const EDGE: [u64; 2] = [112, 1120];
/// Tokens of an answer.
const ANSWER: [u64; 2] = [4, 24];
/// Words that texts are made of. Their first one is a number that no text before had, or the server's
/// prefix cache would know it.
const VOCABULARY: [&str; 16] = [
    "river", "stone", "winter", "lamp", "garden", "window", "paper", "engine", "market", "yellow",
    "story", "bridge", "cloud", "silver", "music", "harbour",
];

/// Makes requests. Lengths and sizes are the same in every run; words and colours are not, so that a
/// server that was asked before has no answer ready.
#[derive(Debug)]
pub(super) struct Requests {
    scenario: Scenario,
    model: String,
    sizes: Random,
    content: Random,
    made: u64,
}

impl Requests {
    /// Requests to `model`; `salt` makes their content differ from that of other runs.
    pub fn new(scenario: Scenario, model: String, salt: u64) -> Self {
        Self { scenario, model, sizes: Random::new(1), content: Random::new(salt), made: 0 }
    }

    /// The requests of a wave, as JSON. Those of the first wave are as large as any will be: what the
    /// largest need is then there when the warm-up ends, and does not read as growth.
    pub fn wave(&mut self, number: usize, size: u64) -> Result<Vec<String>, String> {
        (0..size).map(|_| self.request(number == 0)).collect()
    }

    fn request(&mut self, largest: bool) -> Result<String, String> {
        self.made += 1;
        let mut size = |[least, most]: [u64; 2]| {
            let drawn = self.sizes.between(least, most);
            if largest { most } else { drawn }
        };
        let (words, width, height, answer) = (size(WORDS), size(EDGE), size(EDGE), size(ANSWER));
        let text = self.text(words);
        let content = match self.scenario {
            Scenario::Text => Value::String(text),
            Scenario::VlmText => json!([{ "type": "text", "text": text }]),
            Scenario::VlmImages => {
                let url = picture::url(width as u32, height as u32, &mut self.content)?;
                json!([
                    { "type": "image_url", "image_url": { "url": url } },
                    { "type": "text", "text": text },
                ])
            }
        };
        let body = json!({
            "model": self.model,
            "max_tokens": answer,
            "temperature": 0.7,
            "messages": [{ "role": "user", "content": content }],
        });
        Ok(body.to_string())
    }

    fn text(&mut self, words: u64) -> String {
        let mut text = format!("{:x}", self.content.next());
        for _ in 1..words {
            let word = self.content.between(0, VOCABULARY.len() as u64 - 1) as usize;
            text.push(' ');
            text.push_str(VOCABULARY[word]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(request: &str) -> String {
        let body: Value = serde_json::from_str(request).unwrap();
        body["messages"][0]["content"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_first_wave_is_the_largest_and_no_text_comes_twice() {
        let mut requests = Requests::new(Scenario::Text, "m".into(), 5);
        let words = |text: &String| text.split(' ').count() as u64;
        let first: Vec<String> = requests.wave(0, 3).unwrap().iter().map(|r| text_of(r)).collect();
        assert!(first.iter().all(|text| words(text) == WORDS[1]));
        let later: Vec<String> = requests.wave(1, 40).unwrap().iter().map(|r| text_of(r)).collect();
        assert!(later.iter().all(|text| (WORDS[0]..=WORDS[1]).contains(&words(text))));
        assert!(later.iter().any(|text| words(text) < 100));
        let mut heads: Vec<&str> =
            first.iter().chain(&later).map(|text| text.split(' ').next().unwrap()).collect();
        heads.sort_unstable();
        heads.dedup();
        assert_eq!(heads.len(), 43);
        let mut again = Requests::new(Scenario::Text, "m".into(), 6);
        let again: Vec<String> = again.wave(0, 3).unwrap().iter().map(|r| text_of(r)).collect();
        assert_ne!(first, again);
    }

    #[test]
    fn a_picture_goes_with_its_text_and_text_alone_goes_in_parts() {
        let mut with = Requests::new(Scenario::VlmImages, "m".into(), 5);
        let body: Value = serde_json::from_str(&with.wave(1, 1).unwrap()[0]).unwrap();
        let parts = body["messages"][0]["content"].as_array().unwrap();
        let url = parts[0]["image_url"]["url"].as_str().unwrap();
        assert!(url.starts_with("data:image/png;base64,iVBOR"), "{}", &url[..40]);
        assert_eq!(parts[1]["type"], "text");
        let mut without = Requests::new(Scenario::VlmText, "m".into(), 5);
        let body: Value = serde_json::from_str(&without.wave(1, 1).unwrap()[0]).unwrap();
        assert_eq!(body["messages"][0]["content"].as_array().unwrap().len(), 1);
    }
}

//! Pictures that no server has seen before, small to send whatever their size.

use base64::{Engine, engine::general_purpose::STANDARD};
use png::{BitDepth, ColorType, Encoder};

use super::random::Random;

/// Edge of a square of one colour, pixels.
const SQUARE: usize = 32;

/// A PNG of coloured squares, as the URL that carries it.
pub(super) fn url(width: u32, height: u32, random: &mut Random) -> Result<String, String> {
    let png = encode(width, height, random).map_err(|error| format!("no picture: {error}"))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

fn encode(width: u32, height: u32, random: &mut Random) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(width as usize, height as usize, random))?;
    writer.finish()?;
    Ok(file)
}

fn pixels(width: usize, height: usize, random: &mut Random) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(width * height * 3);
    let mut row = Vec::new();
    for y in 0..height {
        if y % SQUARE == 0 {
            let colours: Vec<[u8; 8]> =
                (0..width.div_ceil(SQUARE)).map(|_| random.next().to_le_bytes()).collect();
            row = (0..width).flat_map(|x| colours[x / SQUARE][..3].to_vec()).collect();
        }
        pixels.extend_from_slice(&row);
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_size_and_no_other_has_its_colours() {
        let mut random = Random::new(7);
        let file = encode(70, 33, &mut random).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, pixels.len()), (70, 33, 70 * 33 * 3));
        assert_eq!(pixels[..3], pixels[31 * 70 * 3..][..3], "a square of one colour");
        assert_ne!(pixels[..3], pixels[32 * 70 * 3..][..3]);
        assert_ne!(file, encode(70, 33, &mut random).unwrap());
    }
}

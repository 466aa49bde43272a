//! Names of images, as ECS takes them. Whether there is such an image, a task finds out.
//!
//! Amazon ECS API reference, ContainerDefinition, "image".

use super::limits::IMAGE_CHARS_MAX;
use crate::errors::DefinitionError;

/// What a name has beside letters and digits; ours are the brackets, of registries at an IPv6 address.
const MARKS: &[u8] = b"-_:./#[]";

/// Hexadecimal digits of a sha256, the only hash that there is here.
const HEX_CHARS: usize = 64;

/// Checks `name:tag`, `name@sha256:…` or both together. What comes before the @ is limited in length.
pub(super) fn check(image: &str) -> Result<(), DefinitionError> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    if name.chars().count() > IMAGE_CHARS_MAX {
        return Err(DefinitionError::ImageLong);
    }
    let hex = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        hex.len() == HEX_CHARS && hex.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || MARKS.contains(&b));
    match plain && digest.is_none_or(hex) {
        true => Ok(()),
        false => Err(DefinitionError::ImageCharacters),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn images_have_ecss_characters_and_length() {
        let hex = "aB".repeat(32);
        let long = "x".repeat(255);
        let (characters, length) =
            ("Container.image contains invalid characters.", "Container.image should be 255 characters or less");
        for (image, expected) in [
            ("busybox", ""),
            ("Registry.example:5000/A_b-c/d.e:V1", ""),
            ("[::1]:4566/web", ""),
            ("web#1", ""),
            (&format!("web:1@sha256:{hex}"), ""),
            (&long, ""),
            (&format!("{long}@sha256:{hex}"), ""),
            (&format!("{long}y"), length),
            (&format!("web@sha256:{hex}0"), characters),
            ("web@sha256:1", characters),
            (&format!("web@sha512:{hex}"), characters),
            (&format!("@sha256:{hex}"), characters),
            ("a b", characters),
            ("$REGISTRY/web", characters),
            ("web\n", characters),
            ("wéb", characters),
        ] {
            assert_eq!(check(image).err().map(|error| error.to_string()).unwrap_or_default(), expected, "{image}");
        }
    }
}

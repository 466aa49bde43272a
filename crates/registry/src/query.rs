//! The part of an address after `?`.

use percent_encoding::percent_decode_str;

/// Names and values in their order, decoded; what is not UTF-8 is left out.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        });
        Self(pairs.collect())
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str) -> Option<String> {
    // A form's space; a media type's `+` comes encoded.
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("digest=sha256%3Aab&mount=&x&n=1&n=2&bad=%ff&a%2Bb=c%2Bd+e");
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!((query.get("mount"), query.get("x"), query.get("y")), (Some(""), Some(""), None));
        assert_eq!(query.get("n"), Some("1"));
        assert_eq!((query.get("bad"), query.get("a+b")), (None, Some("c+d e")));
    }
}

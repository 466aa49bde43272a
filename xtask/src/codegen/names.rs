//! Names of the models in Rust's spelling.

/// `DescribeLogGroups`, `kmsKeyId` and `AssumeRoleWithSAML` in snake case.
pub fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_uppercase();
        let before_lower = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// serde's `camelCase` of a snake-case name.
pub fn camel(snake: &str) -> String {
    let pascal = pascal(snake);
    let mut letters = pascal.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

/// serde's `PascalCase` of a snake-case name.
pub fn pascal(snake: &str) -> String {
    snake.split('_').map(first_upper).collect()
}

fn first_upper(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::{camel, pascal, snake};

    #[test]
    fn names_are_spelt_as_rust_and_serde_spell_them() {
        for (name, expected) in [
            ("DescribeLogGroups", "describe_log_groups"),
            ("kmsKeyId", "kms_key_id"),
            ("AssumeRoleWithSAML", "assume_role_with_saml"),
            ("ListSourcesForS3TableIntegration", "list_sources_for_s3_table_integration"),
            ("privateIpv4Address", "private_ipv4_address"),
            ("OIDCProvider", "oidc_provider"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!((camel("kms_key_id").as_str(), pascal("user_id").as_str()), ("kmsKeyId", "UserId"));
    }
}

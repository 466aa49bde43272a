//! STS: who is calling. Sessions and roles come with identity.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

pub mod get_caller_identity;

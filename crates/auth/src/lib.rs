//! Signature check, tokens and authorisation. Pure: time, rows and keys come from the caller.
//!
//! This room does not know operations or HTTP servers: it is given request
//! heads, checks and a view, and answers who asks and whether they may.

mod authorise;
mod check;
mod grant;
mod signature;
mod token;

pub use authorise::{CONTEXT_INSTANCE, CONTEXT_TASK, Denial, authorise};
pub use check::Check;
pub use grant::{LAYER_GRANT, LAYER_GRANT_TTL_SECS, open_layer_grant, seal_layer_grant};
pub use signature::{Identity, authenticate, is_region};
pub use token::{REGISTRY_TOKEN_TTL_SECS, TokenError, open_registry_token, seal_registry_token};

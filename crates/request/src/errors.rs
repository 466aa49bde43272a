//! Errors that belong to no service: denied, and unable to store.

use auth::Denial;
use base::ApiError;
use store::StoreError;
use wire::model::Protocol;

/// A denial as `service` words it: JSON services say AccessDeniedException, query services AccessDenied.
pub fn denied(service: &str, denial: &Denial) -> ApiError {
    let query = wire::service(service)
        .is_some_and(|service| matches!(service.protocol, Protocol::AwsQuery | Protocol::Ec2Query));
    let (code, status) = if query { ("AccessDenied", 403) } else { ("AccessDeniedException", 400) };
    ApiError::client(code, denial.to_string()).with_status(status)
}

/// True for what [`denied`] makes.
pub(crate) fn is_denial(error: &ApiError) -> bool {
    matches!(error.code.as_ref(), "AccessDenied" | "AccessDeniedException")
}

/// The store cannot commit: nothing was changed, and the caller may try again.
pub fn unavailable(error: &StoreError) -> ApiError {
    ApiError::server("ServiceUnavailable", error.to_string()).with_status(503)
}

//! auth-ticket
fn main() {}

//! Header fields of a request that its handler must not see.

use ::http::{Extensions, HeaderMap, HeaderName, HeaderValue};

use crate::bearer::carries_a_ticket;

/// Where a ticket came, out of the handler's sight, for a layer further in.
#[derive(Clone)]
struct TicketFields(Vec<(HeaderName, HeaderValue)>);

/// Removes `X-Auth-*` in every spelling: who the user is, a gateway says with these, and a client could.
pub(super) fn remove_identity(headers: &mut HeaderMap) {
    let sent: Vec<HeaderName> = headers.keys().filter(|name| is_identity(name)).cloned().collect();
    for name in sent {
        headers.remove(name);
    }
}

/// `x-auth-openid`, and what many servers take for the same: `x_auth_openid`, `x.auth-openid`. Names are lower case here.
fn is_identity(name: &HeaderName) -> bool {
    let is_between = |byte: u8| !byte.is_ascii_alphanumeric();
    matches!(
        name.as_str().as_bytes(),
        [b'x', one, b'a', b'u', b't', b'h', other, ..] if is_between(*one) && is_between(*other)
    )
}

/// Takes the fields that carry the ticket from `headers`, and keeps them in `extensions`.
pub(super) fn hide_ticket(headers: &mut HeaderMap, extensions: &mut Extensions) {
    let mut fields = Vec::new();
    for (name, value) in headers.iter().filter(|(name, value)| carries_a_ticket(name.as_str(), value.as_bytes())) {
        let mut value = value.clone();
        value.set_sensitive(true);
        fields.push((name.clone(), value));
    }
    for (name, _) in &fields {
        headers.remove(name);
    }
    if !fields.is_empty() {
        extensions.insert(TicketFields(fields));
    }
}

/// Gives the fields back that a layer further out has taken.
pub(super) fn show_ticket(headers: &mut HeaderMap, extensions: &mut Extensions) {
    if let Some(TicketFields(fields)) = extensions.remove() {
        for (name, value) in fields {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().copied().map(field).collect()
    }

    #[test]
    fn identity_headers_go_however_they_are_spelled() {
        let mut sent = headers(&[
            ("x-auth-openid", "eve"),
            ("x_auth_openid", "eve"),
            ("x-auth_openid", "eve"),
            ("x.auth.openid", "eve"),
            ("x-auth-", ""),
            ("x-auth", "stays"),
            ("x-authority", "stays"),
            ("xauth-openid", "stays"),
            ("my-x-auth-openid", "stays"),
        ]);
        sent.append("x-auth-openid", HeaderValue::from_static("mallory"));
        remove_identity(&mut sent);
        assert!(sent.len() == 4 && sent.values().all(|value| value == "stays"), "{sent:?}");
    }

    #[test]
    fn what_carries_the_ticket_is_hidden_and_comes_back() {
        let mut extensions = Extensions::new();
        let with_a_ticket = [("weixinauth", "AX"), ("authorization", "bearer AXyz"), ("cookie", "a")];
        let mut sent = headers(&with_a_ticket);
        hide_ticket(&mut sent, &mut extensions);
        assert_eq!(sent, headers(&[("cookie", "a")]));
        show_ticket(&mut sent, &mut extensions);
        assert_eq!(sent, headers(&with_a_ticket));
        assert!(extensions.is_empty());

        let mut others = headers(&[("weixinauth", "AX"), ("authorization", "Bearer a.b.c")]);
        hide_ticket(&mut others, &mut extensions);
        assert_eq!(others, headers(&[("authorization", "Bearer a.b.c")]), "the service's own");
    }
}

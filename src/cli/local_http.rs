//! HTTP to one server of ours, over TCP or a Unix socket: no proxy, no redirects, a deadline.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use url::Url;

use super::endpoint::{Target, socket_path};

/// A server's address as a person writes it: `http://HOST:PORT`, `https://HOST`, or `unix:PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ServerUrl {
    Web(Url),
    Unix(PathBuf),
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Self::Web).ok_or_else(|| "write http://HOST:PORT or unix:/PATH".to_owned())
    }
}

impl From<Target> for ServerUrl {
    fn from(target: Target) -> Self {
        match target {
            Target::Tcp(address) => {
                Self::Web(Url::parse(&format!("http://{address}")).expect("an address makes a URL"))
            }
            Target::Unix(path) => Self::Unix(path),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ServerUrl {
    /// The same with `path` where it has none of its own.
    pub(crate) fn or_path(self, path: &str) -> Self {
        match self {
            Self::Web(mut url) if url.path() == "/" && url.query().is_none() => {
                url.set_path(path);
                Self::Web(url)
            }
            other => other,
        }
    }

    /// Sends `GET` for `path`, or for the URL's own path if it has one. A client for each: a Unix socket is a client's.
    ///
    /// # Errors
    /// The client cannot be set up (outer), or reqwest's own (inner).
    pub(crate) async fn get(&self, path: &str, deadline: Duration) -> anyhow::Result<reqwest::Result<Response>> {
        let client = Client::builder().timeout(deadline).no_proxy().redirect(Policy::none());
        let (client, url) = match self {
            Self::Web(url) => (client, self.clone().or_path(path).web().unwrap_or_else(|| url.clone())),
            Self::Unix(socket) => {
                let mut url = Url::parse("http://localhost").expect("a URL");
                url.set_path(path);
                (over_socket(client, socket), url)
            }
        };
        // Without https no certificate is ever checked, so a machine without any can do it.
        let client = if url.scheme() == "http" { client.tls_certs_only([]) } else { client };
        let client =
            client.build().context("cannot set up the HTTP client; are the system's CA certificates installed?")?;
        Ok(client.get(url).send().await)
    }

    fn web(self) -> Option<Url> {
        match self {
            Self::Web(url) => Some(url),
            Self::Unix(_) => None,
        }
    }
}

#[cfg(unix)]
fn over_socket(client: ClientBuilder, path: &Path) -> ClientBuilder {
    client.unix_socket(path)
}

/// Never called: no text is read as the path of a socket.
#[cfg(windows)]
fn over_socket(client: ClientBuilder, _path: &Path) -> ClientBuilder {
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_web_address_or_a_socket() {
        for text in ["http://127.0.0.1:9090", "https://login.example.com", "unix:/run/auth-ticket/admin.sock"] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), text);
        }
        for text in ["", "127.0.0.1:9090", "ftp://x", "unix:x", "http://", "localhost:9090"] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
        let with_path = |text: &str| text.parse::<ServerUrl>().unwrap().or_path("/readyz").to_string();
        assert_eq!(with_path("http://h:1"), "http://h:1/readyz");
        assert_eq!(with_path("http://h:1/x?y"), "http://h:1/x?y");
    }
}

//! The module and `/v1/verify` of a server that has the same app alone give the same answer to the same ticket.

use auth_ticket::claims::{OwnerClaims, PhoneNumber, PlatformId, SessionKey};
use auth_ticket::clock::{Clock, SystemClock};
use auth_ticket::keyring::{AppId, LoginId, Purpose};
use auth_ticket::keystore::Directory;
use auth_ticket::ticket::{Policy, Session};

use super::{Nginx, Owner};
use crate::gateways::gateway::headers_of_answer;
use crate::gateways::headers::expected;
use crate::support::{APPID, Answer, Call, MAX_SESSION_S, OTHER_APPID};

/// Mutations in `make test`; `NGINX_MODULE_SOAK` asks for a hundred thousand.
const FEW: u64 = 3000;

/// What decides: everything but the id of the request and what every answer of a program has.
fn essence(answer: &Answer) -> (u16, Vec<(String, String)>, String, Option<&str>) {
    let body = String::from_utf8_lossy(&answer.body);
    let body = body.split(",\"request_id\"").next().unwrap_or_default().to_owned();
    (answer.status, expected(headers_of_answer(answer)), body, answer.header("www-authenticate"))
}

/// A sequence of numbers that is the same in each run (xorshift64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Tickets of all sorts: good, with and without each claim; expired, from the future; of another purpose, another app.
fn tickets(owner: &Owner) -> Vec<String> {
    let (app, other) = (AppId::parse(APPID).unwrap(), AppId::parse(OTHER_APPID).unwrap());
    let now = SystemClock.now();
    let (ring, _) = Directory::new(owner.site.keys.path()).load_ring([app.clone(), other.clone()], now).unwrap();
    let policy = Policy { ttl_s: 7200, max_session_s: MAX_SESSION_S };
    let mut tickets = Vec::new();
    for number in 0..16_u8 {
        let mut session = Session::new(
            PlatformId::parse("o-alice").unwrap(),
            LoginId::parse("00112233445566aa").unwrap(),
            now.minus(50),
        );
        session.unionid = (number & 1 != 0).then(|| PlatformId::parse("u-alice").unwrap());
        session.phone = (number & 2 != 0).then(|| PhoneNumber::parse("+8613800000000").unwrap());
        session.owner_claims = (number & 4 != 0).then(|| OwnerClaims::parse("{\"role\":\"a,b\"}").unwrap());
        session.session_key = (number & 8 != 0).then(|| SessionKey::parse("AAECAwQFBgcICQoLDA0ODw==").unwrap());
        for (app, purpose, at) in [
            (&app, Purpose::Ticket, now),
            (&app, Purpose::Ticket, now.minus(7300)),
            (&app, Purpose::Ticket, now.plus(40)),
            (&app, Purpose::Ticket, now.plus(4000)),
            (&app, Purpose::LoginHandle, now),
            (&other, Purpose::Ticket, now),
        ] {
            if let Ok(sealed) = session.seal(&ring, app, purpose, at, &policy) {
                tickets.push(sealed.text().to_owned());
            }
        }
    }
    tickets
}

#[tokio::test(flavor = "multi_thread")]
async fn the_module_and_the_server_agree_about_every_ticket() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. ";
    let count = std::env::var_os("NGINX_MODULE_SOAK").map_or(FEW, |_| 100_000);
    let owner = Owner::start();
    let mut nginx = Nginx::new(owner.server.address, &owner.verifier_file());
    let names = ["appid", "platform", "openid", "unionid", "phone", "login-id", "expires-at", "claims", "assertion"];
    let echo: String =
        names.map(|name| format!("add_header X-Auth-{name} $http_x_auth_{};\n", name.replace('-', "_"))).concat();
    let echoing = format!("server {{ listen unix:DIR/echo; location / {{ {echo} return 200; }} }}");
    nginx.http.push_str(&echoing);
    nginx.server = "location / { auth_ticket on; proxy_pass http://unix:DIR/echo; }".to_owned();
    let gateway = nginx.start().await;
    let tickets = tickets(&owner);
    assert!(tickets.len() >= 70, "{}", tickets.len());
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut statuses = [0_u64; 2];
    for number in 0..count {
        let mut ticket = tickets[numbers.below(tickets.len())].clone().into_bytes();
        // Some as they are, the others with up to three changes.
        for _ in 0..numbers.below(4) {
            let (at, byte) = (numbers.below(ticket.len()), ALPHABET[numbers.below(ALPHABET.len())]);
            match numbers.below(6) {
                0 => ticket.truncate(at.max(1)),
                1 => ticket.insert(at, byte),
                2 => drop(ticket.remove(at)),
                _ => ticket[at] = byte,
            }
            if ticket.is_empty() {
                ticket.push(b'A');
            }
        }
        let ticket = String::from_utf8(ticket).unwrap();
        let call = || match number % 3 {
            0 => Call::get("/v1/verify").header("Authorization", format!("Bearer {ticket}")),
            _ => Call::get("/v1/verify").ticket(&ticket),
        };
        let authorization = format!("Bearer {ticket}");
        let headers = if number % 3 == 0 { ("authorization", &*authorization) } else { ("weixinauth", &*ticket) };
        let by_module = gateway.call(call()).await;
        let by_server = owner.server.get("/v1/verify", &[headers]);
        assert_eq!(essence(&by_module), essence(&by_server), "{ticket}");
        statuses[usize::from(by_server.status == 200)] += 1;
    }
    assert!(statuses.iter().all(|seen| *seen > count / 20), "{statuses:?}");
}

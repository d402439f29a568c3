//! Keys of JWTs come and go; who caches the public ones for as long as he may never misses one.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;

use super::world::{JWKS, World};

/// Time runs in steps of this.
const STEP_S: u64 = 50;
/// Longest life of what a key signs here. Old keys are dead soon after they have stopped to sign.
const MAX_TTL: &str = "10m";

/// A service that fetches the keys when they are too old, and for no other reason.
struct Service {
    keys: JwkSet,
    max_age_s: u64,
    fetched_at: u64,
}

impl Service {
    /// Its keys are already `age_s` old.
    fn new(world: &World, age_s: u64) -> Self {
        let (keys, max_age_s) = fetched(world);
        Self { keys, max_age_s, fetched_at: world.clock.now() - age_s }
    }

    /// Whether it lets in `token`.
    fn takes(&mut self, world: &World, token: &str) -> bool {
        if world.clock.now() >= self.fetched_at + self.max_age_s {
            self.fetched_at = world.clock.now();
            (self.keys, self.max_age_s) = fetched(world);
        }
        let header = jsonwebtoken::decode_header(token).unwrap();
        let Some(key) = self.keys.find(&header.kid.unwrap()) else { return false };
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["orders"]);
        // The clock of this process is another.
        validation.validate_exp = false;
        jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).is_ok()
    }
}

fn fetched(world: &World) -> (JwkSet, u64) {
    let answer = world.server.get(JWKS, &[]);
    let max_age = answer.header("cache-control").unwrap().strip_prefix("public, max-age=").unwrap();
    (serde_json::from_slice(&answer.body).unwrap(), max_age.parse().unwrap())
}

/// Services whose keys are of every age, and the tokens that they are shown.
struct Traffic {
    services: Vec<Service>,
    /// Not over yet, the oldest first.
    tokens: Vec<(String, u64)>,
    checked: usize,
    refused: usize,
    /// All that have signed, in turn.
    kids: Vec<String>,
}

impl Traffic {
    fn new(world: &World) -> Self {
        let (_, max_age_s) = fetched(world);
        let services = (0..max_age_s / STEP_S).map(|number| Service::new(world, number * STEP_S)).collect();
        Self { services, tokens: Vec::new(), checked: 0, refused: 0, kids: Vec::new() }
    }

    /// For `seconds`, a token in each step; every service is shown the newest and the oldest that live.
    fn run(&mut self, world: &mut World, seconds: u64) {
        for _ in 0..seconds.div_ceil(STEP_S) {
            world.clock.advance(STEP_S);
            let token = world.token();
            let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(&token).unwrap();
            let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
            if self.kids.last() != Some(&kid) {
                self.kids.push(kid);
            }
            self.tokens.push((token, claims["exp"].as_u64().unwrap()));
            // A second for the time that passes meanwhile.
            self.tokens.retain(|(_, exp)| *exp > world.clock.now() + 1);
            for service in &mut self.services {
                for (token, _) in [self.tokens.first().unwrap(), self.tokens.last().unwrap()] {
                    self.checked += 1;
                    self.refused += usize::from(!service.takes(world, token));
                }
            }
        }
    }
}

#[test]
fn no_token_is_refused_through_rotations_and_the_death_of_old_keys() {
    let mut world = World::start(&["--max-ttl", MAX_TTL]);
    let mut traffic = Traffic::new(&world);
    traffic.run(&mut world, 600);
    for rotation in 1..=3 {
        world.keys(&["rotate", "--use", "jwt"], 2);
        // The lead of an hour, the life of what the old key signed, the leeway, and a while.
        traffic.run(&mut world, 3600 + 600 + 60 + 300);
        let (keys, _) = fetched(&world);
        assert_eq!(keys.keys.len(), 1, "the old key is dead");
        assert_eq!(traffic.kids.len(), rotation + 1, "the new one signs");
    }
    assert_eq!(traffic.refused, 0, "of {}", traffic.checked);
    assert!(traffic.checked > 3000, "{}", traffic.checked);
}

#[test]
fn a_lead_below_the_max_age_is_too_short() {
    let mut world = World::start(&["--max-ttl", MAX_TTL]);
    let mut traffic = Traffic::new(&world);
    traffic.run(&mut world, 600);
    assert_eq!(traffic.refused, 0);
    world.keys(&["rotate", "--use", "jwt", "--lead", "60s"], 2);
    traffic.run(&mut world, 600);
    assert_eq!(traffic.kids.len(), 2);
    assert!(traffic.refused > 0, "of {}", traffic.checked);
    traffic.refused = 0;
    traffic.run(&mut world, 600);
    assert_eq!(traffic.refused, 0, "all have the new key by now");
}

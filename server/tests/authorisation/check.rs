//! Whether an answer is what a cell says.

use crate::actors::{Actor, Class};
use crate::fixture::Fixture;
use crate::world::{Answer, Asked};
use http::Method;

/// What is wrong with an answer, if anything.
pub fn wrong(fixture: &Fixture, actor: Actor, class: Class, asked: &Asked, answer: &Answer) -> Option<String> {
    let status = answer.status.as_u16();
    let refused = match class {
        Class::Public | Class::Allowed => {
            if !answer.status.is_success() {
                return Some(format!("it is refused: {status} {}", answer.body));
            }
            return (actor.foreign && class == Class::Allowed).then(|| leaked(fixture, asked, answer)).flatten();
        }
        Class::NotAllowed => (403, "not-allowed"),
        Class::NotFound => (404, "not-found"),
        Class::NotAuthenticated => (401, "not-authenticated"),
    };
    if status != refused.0 {
        return Some(format!("it is {status} and not {}: {}", refused.0, answer.body));
    }
    if status == 401 && answer.headers.get("www-authenticate").is_none_or(|scheme| scheme != "Bearer") {
        return Some("it does not say how to authenticate".to_owned());
    }
    if asked.method == Method::HEAD {
        return None;
    }
    let code = format!("\"code\":\"{}\"", refused.1);
    if !answer.body.contains(&code) {
        return Some(format!("its code is not {}: {}", refused.1, answer.body));
    }
    leaked(fixture, asked, answer)
}

/// A value of the fixture that the answer tells though the request did not have it.
fn leaked(fixture: &Fixture, asked: &Asked, answer: &Answer) -> Option<String> {
    let said = String::from_utf8_lossy(&asked.body);
    let told = fixture.values.iter().find(|(_, (real, _))| {
        real.len() >= 32 && answer.body.contains(real) && !asked.path.contains(real) && !said.contains(real)
    });
    told.map(|(name, _)| format!("it tells {name}: {}", answer.body))
}

//! A token ends at once, also where it was good a moment ago.

use crate::actors::Actor;
use crate::fixture::Fixture;
use crate::table::{Line, Sends};
use crate::world::{Fake, World, asked};

const fn by(token: &'static str) -> Actor {
    Actor { name: token, token: Some(token), foreign: false }
}

fn line(request: &str, sends: Sends) -> Line {
    Line { request: request.to_owned(), cells: "", query: "", sends, sql: "", gone: "", local: false }
}

#[tokio::test]
async fn a_token_ends_with_what_it_hangs_on() {
    let fixture = tokio::task::spawn_blocking(Fixture::new).await.unwrap();
    let me = line("GET /me", Sends::Nothing);
    let password = Sends::Json(r#"{"password":"another horse battery"}"#);
    for (token, ender, what) in [
        ("owner", "admin", line("DELETE /machines/{id=owner}", Sends::Nothing)),
        ("owner", "nobody", line("POST /enrol", Sends::Made(Fixture::enrolment_of_owner))),
        ("token-of-owner", "operator", line("DELETE /tokens/{id=token-of-owner}", Sends::Nothing)),
        ("viewer", "viewer", line("POST /logout", Sends::Nothing)),
        ("viewer", "admin", line("DELETE /users/{id=viewer}", Sends::Nothing)),
        ("viewer", "admin", line("PATCH /users/{id=viewer}", Sends::Json(r#"{"disabled":true}"#))),
        ("viewer", "admin", line("PUT /users/{id=viewer}/password", password)),
    ] {
        let world = World::new(&fixture, &me);
        let status =
            async |actor: Actor, line: &Line| world.ask(line, actor, asked(&fixture, line, Fake::No)).await.status;
        assert_eq!(status(by(token), &me).await, 200, "{token}");
        assert!(status(by(ender), &what).await.is_success(), "{}", what.request);
        assert_eq!(status(by(token), &me).await, 401, "{token} after {}", what.request);
    }
}

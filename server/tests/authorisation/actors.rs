//! Everyone there is, in the order of the table's columns.

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    pub name: &'static str,
    /// The token it shows: the secret is made of this name.
    pub token: Option<&'static str>,
    pub foreign: bool,
}

const fn actor(name: &'static str) -> Actor {
    Actor { name, token: Some(name), foreign: false }
}

const fn stranger(name: &'static str) -> Actor {
    Actor { name, token: Some(name), foreign: true }
}

pub const ACTORS: [Actor; 16] = [
    Actor { name: "nobody", token: None, foreign: false },
    // Of the right form, and nobody's.
    actor("garbage"),
    // These three are admins', so that nothing but the token's end keeps them out.
    actor("expired"),
    actor("revoked"),
    actor("disabled"),
    actor("viewer"),
    actor("operator"),
    actor("admin"),
    // The machine whose the image, the lease and the run are; it adds to both repositories and restores its own.
    actor("owner"),
    // Adds, restores nothing.
    actor("another"),
    // Does not add; restores its own and granted images; the image is granted to it.
    actor("granted"),
    // Adds, restores all.
    actor("all"),
    // A machine without rights in any repository.
    actor("unentitled"),
    // The owner, with a token that is narrowed to the other repository.
    actor("narrowed"),
    stranger("foreign-admin"),
    stranger("foreign-machine"),
];

/// What a cell of the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Done for everyone, whatever token they show.
    Public,
    /// Done.
    Allowed,
    /// 403
    NotAllowed,
    /// 404, the same answer as for what is not there at all.
    NotFound,
    /// 401
    NotAuthenticated,
}

/// The classes of a line: a letter for each actor.
pub fn classes(letters: &str) -> Vec<Class> {
    let class = |letter| match letter {
        'P' => Class::Public,
        'A' => Class::Allowed,
        'N' => Class::NotAllowed,
        'F' => Class::NotFound,
        'U' => Class::NotAuthenticated,
        other => panic!("no class is called {other}"),
    };
    let classes: Vec<Class> = letters.chars().filter(|letter| *letter != ' ').map(class).collect();
    assert_eq!(classes.len(), ACTORS.len(), "{letters}");
    classes
}

//! A server that stops ends what would wait on.

use crate::fixture::Fixture;
use axum::body::Body;
use holotype_server::config::ConfigFile;
use holotype_server::database::Database;
use holotype_server::router::router;
use holotype_server::state::AppState;
use holotype_server::testing::secret_of;
use http::Request;
use http_body_util::BodyExt;
use std::time::Duration;
use tower::ServiceExt;

#[tokio::test]
async fn streams_and_long_polls_end_when_the_server_stops() {
    let fixture = tokio::task::spawn_blocking(Fixture::new).await.unwrap();
    let path = fixture.directory.path();
    let config = ConfigFile::default().complete(path.to_owned()).unwrap();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let database = Database::open(&path.join("server.sqlite")).unwrap();
    let router = router(AppState::configured(&config, database, stopping).unwrap());
    let asked = [("viewer", "/events/stream"), ("another", "/machine/runs?wait_seconds=60")].map(|(token, path)| {
        let request =
            Request::get(format!("/api/v1{path}")).header("authorization", format!("Bearer {}", secret_of(token)));
        let answer = router.clone().oneshot(request.body(Body::empty()).unwrap());
        tokio::spawn(async move {
            let answer = answer.await.unwrap();
            (answer.status(), answer.into_body().collect().await.is_ok())
        })
    });
    stop.send(true).unwrap();
    for waiting in asked {
        // Far less than either waits by itself.
        let ended = tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it waits on").unwrap();
        assert_eq!(ended, (http::StatusCode::OK, true));
    }
}

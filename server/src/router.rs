//! All routes, and the OpenAPI document that is made of the same list.

use crate::error::{ApiError, Code};
use crate::state::AppState;
use crate::{accounts, api, objects, observe};
use axum::Json;
use axum::Router;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(
    info(title = "Holotype server", description = "Backup, restore and cloning of whole PCs"),
    security(("token" = [])),
    components(schemas(crate::error::ErrorBody))
)]
struct Description;

fn api_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .nest("/api/v1", accounts::routes().merge(api::routes()).merge(objects::routes()))
}

/// The OpenAPI document of this server.
pub fn openapi() -> Document {
    let mut document = api_routes().into_openapi();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    document
}

/// The router of this server.
pub fn router(state: AppState) -> Router {
    let document = openapi();
    let (api, _) = api_routes().split_for_parts();
    api.route("/api/v1/openapi.json", get(move || async move { Json(document) }))
        .merge(observe::routes())
        .method_not_allowed_fallback(|| async {
            ApiError::new(Code::MethodNotAllowed, "this path takes other methods")
        })
        .fallback(|| async { ApiError::not_found("such path") })
        .layer(axum::middleware::from_fn_with_state(state.clone(), observe::observe))
        .with_state(state)
}

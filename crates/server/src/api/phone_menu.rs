//! How somebody listens by phone: PIN and keys.

use aftertone_server_store::PhoneMenu;
use aftertone_sync::{PhoneMenuBody, PhoneMenuView, PinBody, ProblemCode};
use aftertone_voicemail::Pin;
use axum::{Json, extract::State, http::StatusCode};

use super::{
    App, SharedApp,
    auth::SignedInDevice,
    document::{BodyProblems, CommonProblems, TokenProblem, UnprocessableProblem},
    problem::{self, ApiError, ApiResult},
};

/// How I listen by phone.
#[utoipa::path(get, path = "/v1/me/phone-menu", operation_id = "phone_menu", tag = "account",
    responses((status = 200, description = "PIN, keys and rights.", body = PhoneMenuView), TokenProblem, CommonProblems))]
pub(super) async fn phone_menu(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<Json<PhoneMenuView>> {
    Ok(Json(view(&app, app.store.phone_menu(asking.device.subscriber).await?)))
}

/// Chooses what the keys of the phone menu mean, from the next call on.
#[utoipa::path(put, path = "/v1/me/phone-menu", operation_id = "change_phone_menu", tag = "account", request_body = PhoneMenuBody,
    responses((status = 200, description = "As it is now.", body = PhoneMenuView), UnprocessableProblem, BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn change_phone_menu(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    problem::Json(PhoneMenuBody { layout }): problem::Json<PhoneMenuBody>,
) -> ApiResult<Json<PhoneMenuView>> {
    let owner = asking.device.subscriber;
    app.store.set_menu_layout(owner, layout).await?;
    Ok(Json(view(&app, app.store.phone_menu(owner).await?)))
}

/// Sets the PIN that opens my mailbox from any phone: 6 to 12 digits that nobody guesses.
///
/// It isn't my extension, no run of digits and no repetition. Whoever was kept waiting for wrong PINs is not any more.
#[utoipa::path(put, path = "/v1/me/pin", operation_id = "set_pin", tag = "account", request_body = PinBody,
    responses((status = 204, description = "It is set."), UnprocessableProblem, BodyProblems, TokenProblem, CommonProblems))]
pub(super) async fn set_pin(
    State(app): State<SharedApp>,
    asking: SignedInDevice,
    problem::Json(body): problem::Json<PinBody>,
) -> ApiResult<StatusCode> {
    let owner = app.store.subscriber(asking.device.subscriber).await?.ok_or_else(ApiError::unauthorized)?;
    let pin = Pin::chosen(body.pin, owner.extension.as_str());
    let pin = pin.map_err(|weak| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::WeakPin, weak.to_string()))?;
    app.pins.set(app.store.as_ref(), &owner, Some(pin)).await.map_err(ApiError::internal)?;
    tracing::info!(subscriber = %owner.id, "a PIN was set");
    Ok(StatusCode::NO_CONTENT)
}

/// Takes my PIN away: the mailbox opens from devices of mine alone.
#[utoipa::path(delete, path = "/v1/me/pin", operation_id = "remove_pin", tag = "account",
    responses((status = 204, description = "There is none any more."), TokenProblem, CommonProblems))]
pub(super) async fn remove_pin(State(app): State<SharedApp>, asking: SignedInDevice) -> ApiResult<StatusCode> {
    let owner = app.store.subscriber(asking.device.subscriber).await?.ok_or_else(ApiError::unauthorized)?;
    app.pins.set(app.store.as_ref(), &owner, None).await.map_err(ApiError::internal)?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(app: &App, PhoneMenu { has_pin, layout, dials }: PhoneMenu) -> PhoneMenuView {
    let (menu_number, mailbox_number) = app.menu_numbers.clone();
    PhoneMenuView { has_pin, layout, calls_from_foreign_phones: dials, menu_number, mailbox_number }
}

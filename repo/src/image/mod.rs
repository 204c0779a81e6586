//! Images: one backed-up disk each. The object `images/IMAGE` makes an image visible.

mod find;
pub(crate) mod layout;
mod record;

pub use find::ImageSelector;
pub(crate) use find::{ListedImage, list_images, read_image};
pub use record::{IMAGE, Image, ImageRecord, valid_name, valid_tag};
pub(crate) use record::{ImageDetail, ImagePassword, ImageSummary, OpenedImage};

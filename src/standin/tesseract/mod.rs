//! Answers from Tesseract: reads the words of an image and arranges them in blocks.

pub(super) mod arabic_commas;
pub(super) mod error;
pub(super) mod layout;
pub(super) mod low_confidence;
pub(super) mod raster;
pub(super) mod reading;
pub(super) mod shape;

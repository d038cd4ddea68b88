//! Real servers, one of its own for each test that needs one.

mod process;
mod s3;

pub(crate) use self::s3::S3;

//! Real servers, one of its own for each test that needs one.

mod authority;
mod postgres;
mod process;
mod redis;
mod s3;

pub(crate) use self::{
    authority::Authority,
    postgres::{Postgres, PostgresSetup},
    process::{resume, suspend},
    redis::{Redis, RedisSetup},
    s3::S3,
};

//! Real servers, one of its own for each test that needs one.

mod authority;
mod mongodb;
mod op_msg;
mod postgres;
mod process;
mod redis;
mod s3;

pub(crate) use self::{
    authority::Authority,
    mongodb::{FerretDb, FerretDbSetup, MongoJavaServer},
    postgres::{Postgres, PostgresSetup},
    redis::{Redis, RedisSetup},
    s3::S3,
};

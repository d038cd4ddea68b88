//! Real servers, one of its own for each test that needs one.

mod authority;
mod mongodb;
mod op_msg;
mod pgbouncer;
mod postgres;
mod process;
mod redis;
mod s3;

pub(crate) use self::{
    authority::Authority,
    mongodb::{FerretDb, FerretDbSetup, MongoJavaServer},
    pgbouncer::{PgBouncer, PoolMode},
    postgres::{Postgres, PostgresSetup},
    process::{resume, suspend},
    redis::{Redis, RedisSetup},
    s3::S3,
};

//! Who holds a scope. Redis runs a script as one command: no other one comes in between.

use redis::{Cmd, FromRedisValue, ParsingError, Value, cmd};
use sigbox_sdk::persistence::Holder;

/// Makes the owner `ARGV[2]` the holder with epoch `ARGV[1]` since `ARGV[3]`. Epochs are compared as texts of digits,
/// because a number of Lua does not hold all of them.
const CLAIM: &str = "\
local held = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'since')
local stored, epoch = held[1], ARGV[1]
if stored == epoch and held[2] == ARGV[2] then return 1 end
if stored and (#epoch < #stored or (#epoch == #stored and epoch <= stored)) then return held end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'owner', ARGV[2], 'since', ARGV[3])
return 1";

/// Writes the document `ARGV[3]` under the id `ARGV[2]`, if the epoch is `ARGV[1]`.
const WRITE: &str = "\
local held = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'since')
if held[1] ~= ARGV[1] then return held end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1";

/// Removes the document under the id `ARGV[2]`, if the epoch is `ARGV[1]`.
const REMOVE: &str = "\
local held = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'since')
if held[1] ~= ARGV[1] then return held end
return redis.call('HDEL', KEYS[2], ARGV[2])";

/// What a script answers.
pub(crate) enum Fenced {
    /// It is done; how many fields there were to change.
    Done(i64),
    /// Nothing was changed, because this one holds the scope.
    Held(Option<Holder>),
}

impl FromRedisValue for Fenced {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Int(count) => Ok(Self::Done(count)),
            held => Ok(Self::Held(holder(held)?)),
        }
    }
}

/// The holder in an answer to `HMGET`.
pub(crate) fn holder(held: Value) -> Result<Option<Holder>, ParsingError> {
    let (epoch, owner, since): (Option<u64>, Option<String>, Option<u64>) = redis::from_redis_value(held)?;
    let holder = epoch.zip(owner).zip(since);
    Ok(holder.map(|((epoch, owner), since_ms)| Holder { epoch, owner, since_ms }))
}

/// Asks who holds the scope of this key.
pub(crate) fn ask(fence: &str) -> Cmd {
    let mut ask = cmd("HMGET");
    ask.arg(fence).arg("epoch").arg("owner").arg("since");
    ask
}

pub(crate) fn claim(fence: &str, claim: &Holder) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(CLAIM).arg(1).arg(fence).arg(claim.epoch).arg(&claim.owner).arg(claim.since_ms);
    script
}

pub(crate) fn write(fence: &str, epoch: u64, key: &str, id: &str, value: &[u8]) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(WRITE).arg(2).arg(fence).arg(key).arg(epoch).arg(id).arg(value);
    script
}

pub(crate) fn remove(fence: &str, epoch: u64, key: &str, id: &str) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(REMOVE).arg(2).arg(fence).arg(key).arg(epoch).arg(id);
    script
}

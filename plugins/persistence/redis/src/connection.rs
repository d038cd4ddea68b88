//! Commands and replies over one connection.

use std::{io::Write as _, time::Instant};

use redis::{Cmd, FromRedisValue, Parser, RedisResult, Value, cmd};
use sigbox_sdk::persistence::Failure;
use sigbox_wire::Stream;

use crate::{
    failure::{died, refused},
    settings::Settings,
};

pub(crate) struct Connection {
    stream: Stream,
    parser: Parser,
}

impl Connection {
    /// Connects, says who we are, and chooses the database.
    pub(crate) fn open(settings: &Settings, deadline: Instant) -> Result<Self, Failure> {
        let mut stream = Stream::connect(&settings.server, deadline)?;
        if let Some(tls) = &settings.tls {
            stream = stream.secured(tls, &settings.server)?;
        }
        let mut connection = Self { stream, parser: Parser::new() };
        let fails = |error| refused("connecting to", &settings.server, &error);
        if let Some(password) = &settings.password {
            let mut auth = cmd("AUTH");
            if let Some(username) = &settings.username {
                auth.arg(username);
            }
            connection.ask::<Value>(auth.arg(password)).map_err(fails)?;
        }
        if settings.database != 0 {
            connection.ask::<Value>(cmd("SELECT").arg(settings.database)).map_err(fails)?;
        }
        Ok(connection)
    }

    /// From now on, commands end by `deadline`.
    pub(crate) fn end_by(&mut self, deadline: Instant) {
        self.stream.end_by(deadline);
    }

    /// One command, one reply.
    pub(crate) fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        self.stream.write_all(&command.get_packed_command())?;
        self.reply()
    }

    /// Two commands in one packet, and the replies to both. A first command that is refused fails them both.
    pub(crate) fn ask_both<A: FromRedisValue, B: FromRedisValue>(
        &mut self,
        first: &Cmd,
        second: &Cmd,
    ) -> RedisResult<(A, B)> {
        let mut packed = first.get_packed_command();
        second.write_packed_command(&mut packed);
        self.stream.write_all(&packed)?;
        match self.reply() {
            Err(error) if died(&error) => Err(error),
            // Were the second reply left where it is, it would be taken for that to the next command.
            first => {
                let second = self.reply();
                Ok((first?, second?))
            }
        }
    }

    fn reply<T: FromRedisValue>(&mut self) -> RedisResult<T> {
        let value = self.parser.parse_value(&mut self.stream)?.extract_error()?;
        Ok(redis::from_redis_value(value)?)
    }
}

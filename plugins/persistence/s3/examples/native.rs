//! The same client without a sandbox, to compare with. Driven by lines: see README.md in the folder `bench`.
//!
//! Arguments: endpoint, bucket, prefix, and `keep-alive` or `new-connections`; keys from `S3_ACCESS_KEY_ID` and
//! `S3_SECRET_ACCESS_KEY`. Each line `write KEY VALUE` or `read KEY` is answered with the nanoseconds it took.

use std::{
    env,
    error::Error,
    io::{self, BufRead as _, Write as _},
    time::Instant,
};

use sigbox_s3_store::{
    answer::{Answer, Lost},
    bucket::{Bucket, Transport},
    documents::Documents,
    request::Request,
    settings::Settings,
};
use ureq::{Agent, http};

struct Native(Agent);

impl Transport for Native {
    fn send(&mut self, request: Request, deadline: Instant) -> Result<Answer, Lost> {
        let Request { method, scheme, authority, path_and_query, headers, body } = request;
        let mut built = http::Request::builder().method(method).uri(format!("{scheme}://{authority}{path_and_query}"));
        for (name, value) in headers {
            built = built.header(name, value);
        }
        let built = built.body(body).map_err(|error| Lost::Impossible(error.to_string()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        let built = self.0.configure_request(built).timeout_global(Some(left)).build();
        let broken = |error: ureq::Error| match error {
            ureq::Error::Timeout(_) => Lost::TimedOut,
            error => Lost::Broken(error.to_string()),
        };
        let mut answer = self.0.run(built).map_err(broken)?;
        let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().iter().map(text).collect(),
            body: answer.body_mut().with_config().limit(u64::MAX).read_to_vec().map_err(broken)?,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let [endpoint, bucket, prefix, connections] =
        env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "four arguments are expected")?;
    let settings = [("endpoint", endpoint), ("bucket", bucket), ("prefix", prefix)];
    let settings: Vec<_> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let settings =
        Settings::read(&settings, |name| env::var(format!("S3_{}", name.replace('-', "_").to_ascii_uppercase())).ok())?;
    let kept = usize::from(connections == "keep-alive");
    let agent = Agent::config_builder().http_status_as_error(false).max_idle_connections(kept).build().new_agent();
    let (mut documents, _) =
        Documents::open(Bucket::new(settings, Native(agent))).map_err(|failure| failure.message)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.splitn(3, ' ').collect();
        let started = Instant::now();
        match words[..] {
            ["write", key, value] => documents.write(key, value.as_bytes()).map_err(|failure| failure.message)?,
            ["read", key] => drop(documents.read(key).map_err(|failure| failure.message)?),
            _ => return Err(format!("not understood: {line}").into()),
        }
        println!("{}", started.elapsed().as_nanos());
        io::stdout().flush()?;
    }
    Ok(())
}

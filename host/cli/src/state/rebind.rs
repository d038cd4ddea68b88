//! `sigbox state rebind`.

use sigbox::{
    config::Config,
    job::{events_file, rebind_state},
    sandbox::Live,
};

use crate::{args, plugins};

pub(super) fn run(command: &args::StateRebind) -> anyhow::Result<()> {
    let config = Config::load(&command.config.path)?;
    let events = command.events.clone().unwrap_or_else(|| events_file(&config));
    let sandbox = plugins::sandbox::<Live>(&config.limits, config.cache_dir.as_ref())?;
    let mut resolve = plugins::resolver();
    let rebind = rebind_state(&config, &events, &sandbox, &mut resolve, &plugins::variable);
    for decided in tokio::runtime::Runtime::new()?.block_on(rebind)? {
        println!("{decided}.");
    }
    println!("This is in the event record. The next start writes to the stores what the event record says is held.");
    Ok(())
}

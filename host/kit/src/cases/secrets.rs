//! Secrets that a backend must not say.

use crate::{
    case::{Case, Done, Group, Need, Stop, check},
    proxy::Traffic,
    scene::Scene,
};

const GROUP: Group = Group::Secrets;

pub(super) const CASES: &[Case] = &[Case {
    name: "secrets stay secret",
    proves: "No secret is in what the backend says: its description, its log lines, its errors when it is denied, \
             refused and asked for too much, and those of all cases before.",
    group: GROUP,
    needs: Need::Secrets,
    run: |scene| Box::pin(secrets(scene)),
}];

/// Bytes of the shortest secret that is searched for. Shorter ones stand in words that have nothing to do with them.
const FOUND_FROM_BYTES: usize = 6;

async fn secrets(scene: &Scene<'_>) -> Done {
    let component = scene.component()?;
    let provoked = scene.open().await?;
    let at = scene.at("signal", "BTCUSDT", "BTCUSDT");
    provoked.write(&at, "1").await?;
    // The scene records what the store says here. Whether its answers are right is the question of other cases.
    let _ = provoked.write(&scene.at(&"x".repeat(100_000), "e", "i"), "1").await;
    provoked.close().await;
    if let Ok(denied) = scene.watch(component.open_denied().await) {
        let _ = denied.read(&at).await;
        denied.close().await;
    }
    if let Ok(proxies) = component.proxies() {
        proxies.order(Traffic::Refused).await;
        if let Ok(refused) = scene.watch(component.open_behind(&proxies).await) {
            let _ = refused.read(&at).await;
            refused.close().await;
        }
    }

    let mut said = scene.run.heard();
    if let Ok(descriptor) = &scene.run.descriptor {
        said.extend([descriptor.name.clone(), descriptor.version.clone(), descriptor.summary.clone()]);
    }
    let mut looked_for = 0;
    for (name, secret) in component.secrets() {
        // A key has many lines, and its first and last lines are not secret.
        let lines =
            secret.lines().map(str::trim).filter(|line| line.len() >= FOUND_FROM_BYTES && !line.starts_with("-----"));
        for line in lines {
            looked_for += 1;
            let found = said.iter().find(|said| said.contains(line));
            check(found.is_none(), || {
                let shown = found.map(|said| said.replace(line, "(secret)")).unwrap_or_default();
                format!("it says its secret {name}: {}", shown.chars().take(200).collect::<String>())
            })?;
        }
    }
    if looked_for == 0 {
        return Err(Stop::NotRun(format!("its secrets are shorter than {FOUND_FROM_BYTES} bytes")));
    }
    scene.note(format!("{} texts", said.len()));
    Ok(())
}

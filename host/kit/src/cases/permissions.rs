//! Instances without the grants that they need.

use crate::{
    case::{Case, Done, Group, Need, check, fail},
    scene::{Scene, shown_address, shown_value},
};

const GROUP: Group = Group::Permissions;

pub(super) const CASES: &[Case] = &[Case {
    name: "nothing granted",
    proves: "Without its network and directories the start, or else every call, is an error in words: never none, never \
             a trap.",
    group: GROUP,
    needs: Need::Grants,
    run: |scene| Box::pin(nothing_granted(scene)),
}];

async fn nothing_granted(scene: &Scene<'_>) -> Done {
    let at = scene.at("signal", "BTCUSDT", "BTCUSDT");
    let granted = scene.open().await?;
    granted.write(&at, "[1]").await?;
    granted.close().await;
    let denied = match scene.watch(scene.component()?.open_denied().await) {
        Err(trouble) => {
            check(!trouble.broke, || format!("without its grants its start broke down: {}", trouble.message))?;
            scene.note(trouble.message);
            return Ok(());
        }
        Ok(denied) => denied,
    };
    let mut said = None;
    let reading = denied.read(&at).await;
    let failures = [
        reading.map(|found| format!("read-value gave {}", shown_value(found.as_deref()))),
        denied.has(&at).await.map(|has| format!("has-value gave {has}")),
        denied.keys(&at.domain, &at.entity_name).await.map(|keys| format!("keys gave {keys:?}")),
        denied.write(&at, "[2]").await.map(|()| "write-value said that the document is durable".to_owned()),
        denied.remove(&at).await.map(|removed| format!("remove-value gave {removed}")),
    ];
    for outcome in failures {
        match outcome {
            Ok(answer) => {
                return fail(format!("{}: without its grants {answer}, and not an error", shown_address(&at)));
            }
            Err(failure) => {
                check(!failure.broke, || format!("without its grants it broke down: {}", failure.message))?;
                said.get_or_insert(failure.message);
            }
        }
    }
    scene.note(said.unwrap_or_default());
    Ok(())
}

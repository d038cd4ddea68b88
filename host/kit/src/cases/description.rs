//! What a backend says of itself.

use std::future::ready;

use crate::{
    case::{Case, Done, Group, Need, Stop, check},
    scene::Scene,
};

const GROUP: Group = Group::Description;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "description",
        proves: "describe gives a name, a version, and one printable line that says where the documents are.",
        group: GROUP,
        needs: Need::Nothing,
        run: |scene| Box::pin(ready(description(scene))),
    },
    Case {
        name: "start",
        proves: "An instance starts with the settings, secrets and grants it was bound with.",
        group: GROUP,
        needs: Need::Nothing,
        run: |scene| Box::pin(ready(start(scene))),
    },
];

fn description(scene: &Scene<'_>) -> Done {
    let said = scene.run.descriptor.as_ref().map_err(|trouble| Stop::Failed(trouble.message.clone()))?;
    for (field, text) in [("name", &said.name), ("version", &said.version), ("summary", &said.summary)] {
        check(!text.trim().is_empty(), || format!("its {field} is empty"))?;
        check(!text.chars().any(char::is_control), || format!("its {field} has control characters: {text:?}"))?;
        check(text.chars().count() <= MOST_CHARACTERS, || {
            format!("its {field} is longer than {MOST_CHARACTERS} characters")
        })?;
    }
    check(said.max_value_bytes > 0, || "it says that it takes no bytes".to_owned())?;
    Ok(())
}

fn start(scene: &Scene<'_>) -> Done {
    scene.run.start.as_ref().copied().map_err(|trouble| Stop::Failed(trouble.message.clone()))
}

/// What fits on one line.
const MOST_CHARACTERS: usize = 200;

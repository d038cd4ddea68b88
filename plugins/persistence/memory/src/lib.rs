//! The smallest backend there can be: documents in the instance's own memory. It survives nothing, so it is for
//! trying things out and for reading as an example.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use sigbox_sdk::{
    export_backend,
    persistence::{Address, Backend, Descriptor, Failure, Page},
};

#[derive(Default)]
struct Memory {
    /// Documents by domain and entity name, then by entity id.
    entities: BTreeMap<(String, String), BTreeMap<String, Vec<u8>>>,
}

impl Backend for Memory {
    fn describe() -> Descriptor {
        Descriptor {
            name: "memory".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "memory of the plugin, lost when it stops".to_owned(),
            // Nothing outlives the instance.
            features: vec!["volatile".to_owned()],
            max_value_bytes: 1 << 20,
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        Ok(Self::default())
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.entities.get(&entity(at)).and_then(|documents| documents.get(&at.entity_id)).cloned())
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.entities.entry(entity(at)).or_default().insert(at.entity_id.clone(), value);
        Ok(())
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        let documents = self.entities.get_mut(&entity(at));
        Ok(documents.is_some_and(|documents| documents.remove(&at.entity_id).is_some()))
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let Some(documents) = self.entities.get(&(domain.to_owned(), entity_name.to_owned())) else {
            return Ok(Page { entity_ids: Vec::new(), next: None });
        };
        let mut rest = documents.range::<str, _>((cursor.map_or(Unbounded, Excluded), Unbounded)).map(|(id, _)| id);
        let entity_ids: Vec<String> = rest.by_ref().take(limit as usize).cloned().collect();
        let next = rest.next().and_then(|_| entity_ids.last().cloned());
        Ok(Page { entity_ids, next })
    }
}

fn entity(at: &Address) -> (String, String) {
    (at.domain.clone(), at.entity_name.clone())
}

export_backend!(Memory);

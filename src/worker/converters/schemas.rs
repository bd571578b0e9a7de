//! Connect schemas as plugins and topics spell them (JsonConverter's notation), parsed once per text.

use std::{collections::HashMap, sync::Arc};

use jackfield_api::schema_json;
use jackfield_batch::typed::{Schema, Type};

use super::ConversionError;

/// A parsed schema with its text.
#[derive(Debug)]
pub struct KnownSchema {
    /// Distinguishes schemas of one cache.
    pub id: u64,
    /// The schema.
    pub schema: Schema,
    /// Its text, as it was given.
    pub text: String,
}

impl KnownSchema {
    /// Whether it is STRING with nothing else to it but perhaps `optional`, so that its values travel as plain text.
    pub fn is_plain_string(&self) -> bool {
        let schema = &self.schema;
        schema.kind == Type::String
            && schema.name.is_none()
            && schema.version.is_none()
            && schema.doc.is_none()
            && schema.default.is_none()
            && schema.parameters.is_empty()
    }
}

/// Parsed schemas by their text, at most as many as `schemas.cache.size` says (Kafka's default: 1000).
#[derive(Debug)]
pub struct SchemaCache {
    known: HashMap<String, Arc<KnownSchema>>,
    capacity: usize,
    next_id: u64,
}

impl Default for SchemaCache {
    fn default() -> Self {
        Self::new(1000)
    }
}

impl SchemaCache {
    /// An empty cache for at most `capacity` schemas.
    pub fn new(capacity: usize) -> Self {
        Self {
            known: HashMap::new(),
            capacity,
            next_id: 0,
        }
    }

    /// The schema that `text` spells.
    ///
    /// # Errors
    /// The text is no schema.
    pub fn get(&mut self, text: &str) -> Result<Arc<KnownSchema>, ConversionError> {
        if let Some(known) = self.known.get(text) {
            return Ok(known.clone());
        }
        let schema = schema_json::parse(text)
            .map_err(|error| ConversionError(format!("invalid schema {}: {error}", shortened(text))))?;
        if self.known.len() >= self.capacity {
            self.known.clear();
        }
        self.next_id += 1;
        let known = Arc::new(KnownSchema {
            id: self.next_id,
            schema,
            text: text.to_owned(),
        });
        self.known.insert(text.to_owned(), known.clone());
        Ok(known)
    }
}

/// The start of a text that may be long, for messages.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

//! The configuration as a JSON schema, by which editors complete and check the file while it is written. Made from the structs that read
//! the file. Says what has the right form; whether it can work together is [`Config::engine`]'s to say.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::Config;

#[cfg(test)]
mod tests;

/// The schema of the whole file, in draft 7, which is what editors of TOML know.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    RecursiveTransform(without_null).transform(&mut schema);
    RecursiveTransform(as_paragraph).transform(&mut schema);
    schema.to_value()
}

/// TOML has no null: a key that may be absent is absent.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(mut either)) = object.remove("anyOf") else { return };
    either.retain(|schema| schema.get("type").is_none_or(|name| name != "null"));
    match either.as_slice() {
        [Value::Object(only)] => only.iter().for_each(|(key, value)| {
            // What is said of the key stands before what is said of its type.
            object.entry(key.clone()).or_insert_with(|| value.clone());
        }),
        _ => _ = object.insert("anyOf".to_owned(), Value::Array(either)),
    }
}

/// Lines of a comment are broken for the code's sake.
fn as_paragraph(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
}

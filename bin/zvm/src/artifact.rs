//! Build output of Solidity compilers, as Hardhat and Foundry write it.

use alloy_json_abi::JsonAbi;
use serde::Deserialize;
use zvm::Bytes;

use crate::{failure::usage, source::Source, value};

/// A compiled contract.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// The contract, or the file where it does not say.
    pub(crate) name: String,
    /// Functions, events and errors.
    pub(crate) abi: JsonAbi,
    file: String,
    bytecode: Option<String>,
    deployed_bytecode: Option<String>,
}

/// The fields used, whoever wrote them. Hardhat has the bytecode as a string, Foundry in an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    contract_name: Option<String>,
    abi: JsonAbi,
    #[serde(default, deserialize_with = "bytecode")]
    bytecode: Option<String>,
    #[serde(default, deserialize_with = "bytecode")]
    deployed_bytecode: Option<String>,
}

fn bytecode<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Visitor;

    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Option<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytecode as a hex string or as an object with the field `object`")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            #[derive(Deserialize)]
            struct Object {
                object: String,
            }
            Object::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                .map(|object| Some(object.object))
        }
    }

    deserializer.deserialize_any(Visitor)
}

impl Artifact {
    /// Reads an artifact, or a bare ABI (a JSON array).
    pub(crate) fn parse(source: &Source) -> anyhow::Result<Self> {
        let file = source.name.clone();
        let text = source.text.trim_start();
        let fault = |error: serde_json::Error| usage(format!("{file}: {error}"));
        if text.starts_with('[') {
            let abi = serde_json::from_str(text).map_err(fault)?;
            return Ok(Self {
                name: file.clone(),
                abi,
                file,
                bytecode: None,
                deployed_bytecode: None,
            });
        }
        let fields: Fields = serde_json::from_str(text).map_err(fault)?;
        Ok(Self {
            name: fields.contract_name.unwrap_or_else(|| file.clone()),
            abi: fields.abi,
            file,
            bytecode: fields.bytecode,
            deployed_bytecode: fields.deployed_bytecode,
        })
    }

    /// The initcode, without the constructor's arguments.
    pub(crate) fn initcode(&self) -> anyhow::Result<Bytes> {
        self.code("bytecode", self.bytecode.as_deref())
    }

    /// The code as it stands in an account (immutables are zero).
    pub(crate) fn runtime(&self) -> anyhow::Result<Bytes> {
        self.code("deployedBytecode", self.deployed_bytecode.as_deref())
    }

    fn code(&self, field: &str, text: Option<&str>) -> anyhow::Result<Bytes> {
        let file = &self.file;
        let text = text.ok_or_else(|| usage(format!("{file}: no `{field}`")))?;
        if let Some(at) = text.find("__") {
            // Solidity leaves `__$hash$__` where the address of a library belongs.
            return Err(usage(format!(
                "{file}: `{field}` has an unlinked library at {at}; link it first"
            )));
        }
        let code =
            value::hex(text).map_err(|error| usage(format!("{file}: `{field}`: {error}")))?;
        if code.is_empty() {
            return Err(usage(format!("{file}: `{field}` is empty; an interface has no code")));
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Artifact> {
        Artifact::parse(&Source { name: "a.json".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn both_shapes_of_bytecode_are_read() {
        for text in [
            r#"{"abi":[],"bytecode":"0x6001","deployedBytecode":"0x60"}"#,
            r#"{"abi":[],"bytecode":{"object":"0x6001","linkReferences":{}},"deployedBytecode":{"object":"60"}}"#,
        ] {
            let artifact = parse(text).unwrap();
            assert_eq!(artifact.initcode().unwrap().as_ref(), [0x60, 1]);
            assert_eq!(artifact.runtime().unwrap().as_ref(), [0x60]);
        }
    }

    #[test]
    fn faults_name_file_and_place() {
        let error = |text: &str| {
            parse(text).and_then(|artifact| artifact.initcode()).unwrap_err().to_string()
        };
        assert!(
            error(r#"{"abi":7}"#).starts_with("a.json: invalid type"),
            "{}",
            error(r#"{"abi":7}"#)
        );
        assert_eq!(error(r#"{"abi":[]}"#), "a.json: no `bytecode`");
        assert_eq!(
            error(r#"{"abi":[],"bytecode":"0x"}"#),
            "a.json: `bytecode` is empty; an interface has no code"
        );
        assert_eq!(
            error(r#"{"abi":[],"bytecode":"0x73__$ab$__63"}"#),
            "a.json: `bytecode` has an unlinked library at 4; link it first"
        );
        assert!(error(r#"{"abi":[],"bytecode":[1]}"#).contains("hex string or as an object"));
        assert!(error(&"[".repeat(100_000)).contains("line 1 column"));
    }
}

//! Seeds for the fuzz target `rlp`: every transaction and block, with its header, in archives of
//! official tests. Usage: `rlp_seeds ARCHIVE… FOLDER`; each seed is a file named by its hash.

use std::{
    error::Error,
    fs::{self, File},
    io::Read,
    path::Path,
};

use serde_json::Value;
use zvm_core::{hex, keccak256, rlp::Reader};

/// What the first byte of a seed says it is, as the target has it.
const TRANSACTION: u8 = 0;
const BLOCK: u8 = 1;
const HEADER: u8 = 2;

/// Longest seed. Longer ones slow the fuzzer down and show it nothing.
const SEED_BYTES_MAX: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, archives) = arguments.split_last().ok_or("usage: rlp_seeds ARCHIVE… FOLDER")?;
    fs::create_dir_all(folder)?;
    for archive in archives {
        let mut archive = tar::Archive::new(zstd::Decoder::new(File::open(archive)?)?);
        for entry in archive.entries()? {
            let mut text = String::new();
            entry?.read_to_string(&mut text)?;
            if let Ok(value) = serde_json::from_str(&text) {
                walk(&value, folder.as_ref())?;
            }
        }
    }
    Ok(())
}

/// Writes what is under telling keys, however deep.
fn walk(value: &Value, folder: &Path) -> Result<(), Box<dyn Error>> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, folder)),
        Value::Object(fields) => {
            fields.iter().try_for_each(|(key, value)| match (&key[..], value) {
                ("txbytes", Value::String(digits)) => seed(TRANSACTION, digits, folder),
                ("rlp" | "genesisRLP", Value::String(digits)) => seed(BLOCK, digits, folder),
                _ => walk(value, folder),
            })
        }
        _ => Ok(()),
    }
}

fn seed(kind: u8, digits: &str, folder: &Path) -> Result<(), Box<dyn Error>> {
    let Ok(bytes) = hex::decode(digits) else { return Ok(()) };
    if bytes.len() > SEED_BYTES_MAX {
        return Ok(());
    }
    write(kind, &bytes, folder)?;
    let header = Reader::new(&bytes).list("block").and_then(|mut block| block.item("header"));
    match header {
        Ok(header) if kind == BLOCK => write(HEADER, header.all, folder),
        _ => Ok(()),
    }
}

fn write(kind: u8, bytes: &[u8], folder: &Path) -> Result<(), Box<dyn Error>> {
    let seed = [&[kind], bytes].concat();
    let name = hex::encode(&keccak256(&seed)[..8]);
    Ok(fs::write(folder.join(name), seed)?)
}

//! Every published input and output of the archive `precompile-vectors`.
//!
//! The archive lies beside the repository, or where `ZVM_FIXTURES` says. Without it this test says
//! so and proves nothing.

use std::{collections::BTreeMap, fs::File, io::Read, path::PathBuf};

use alloy_rlp::Encodable;
use serde::{Deserialize, de::DeserializeOwned};
use zvm_core::{Address, SpecId, hex, keccak256};
use zvm_precompiles::{PrecompileError, Precompiles};

#[test]
fn published_vectors_agree() {
    let path = fixtures().join("precompile-vectors.tar.zst");
    let Ok(file) = File::open(&path) else {
        eprintln!("SKIPPED published_vectors_agree: no {}", path.display());
        return;
    };
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut counts = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().unwrap().display().to_string();
        let mut json = String::new();
        entry.read_to_string(&mut json).unwrap();
        let count = check_file(&name, &json);
        assert!(count > 0, "{name} holds no vectors");
        println!("{count:5} {name}");
        counts.insert(name, count);
    }
    println!("{:5} in {} files", counts.values().sum::<usize>(), counts.len());
    assert_eq!(counts.len(), 26, "files of the archive");
}

fn fixtures() -> PathBuf {
    std::env::var_os("ZVM_FIXTURES").map_or_else(
        || [env!("CARGO_MANIFEST_DIR"), "../../../shared/fixtures"].iter().collect(),
        PathBuf::from,
    )
}

/// Runs the vectors of a file and says how many there were.
fn check_file(name: &str, json: &str) -> usize {
    let parts: Vec<&str> = name.split('/').collect();
    let &[_, folder, file] = &parts[..] else { panic!("{name}: not in a folder of its own") };
    match folder {
        "bls12-381-eip2537" => check_each(name, json, |vector: &Vector| {
            vector.check(bls_precompile(file), SpecId::PRAGUE, vector.gas);
        }),
        "p256verify-eip7951" => check_each(name, json, |vector: &Vector| {
            vector.check("P256VERIFY", SpecId::OSAKA, vector.gas);
        }),
        "modexp-eip7883" => check_each(name, json, |vector: &Vector| {
            vector.check("MODEXP", SpecId::BYZANTIUM, None);
            vector.check("MODEXP", SpecId::BERLIN, vector.gas_old);
            vector.check("MODEXP", SpecId::OSAKA, vector.gas_new);
        }),
        "kzg-point-evaluation-eip4844" => check_each(name, json, KzgVector::check),
        "system-contract-deploy-tx" => {
            parse::<KeylessTransaction>(name, json).check(name);
            1
        }
        _ => panic!("{name}: nothing uses this folder"),
    }
}

fn check_each<T: DeserializeOwned>(name: &str, json: &str, check: impl Fn(&T)) -> usize {
    let vectors: Vec<T> = parse(name, json);
    vectors.iter().for_each(check);
    vectors.len()
}

fn parse<T: DeserializeOwned>(name: &str, json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The precompile that a file such as `fail-msm_G1_bls.json` is about.
fn bls_precompile(file: &str) -> &'static str {
    match file.strip_prefix("fail-").unwrap_or(file) {
        "add_G1_bls.json" => "BLS12_G1ADD",
        "add_G2_bls.json" => "BLS12_G2ADD",
        // Multiplication has no precompile of its own: it is a sum of one term.
        "msm_G1_bls.json" | "mul_G1_bls.json" => "BLS12_G1MSM",
        "msm_G2_bls.json" | "mul_G2_bls.json" => "BLS12_G2MSM",
        "pairing_check_bls.json" => "BLS12_PAIRING_CHECK",
        "map_fp_to_G1_bls.json" => "BLS12_MAP_FP_TO_G1",
        "map_fp2_to_G2_bls.json" => "BLS12_MAP_FP2_TO_G2",
        _ => panic!("{file}: no precompile has this name"),
    }
}

fn run(
    name: &str,
    spec: SpecId,
    input: &[u8],
    gas: u64,
) -> Result<(u64, Vec<u8>), PrecompileError> {
    let set = Precompiles::of(spec).unwrap();
    let precompile = set
        .addresses()
        .filter_map(|address| set.get(&address))
        .find(|precompile| precompile.name == name)
        .unwrap_or_else(|| panic!("{spec} has no {name}"));
    let mut output = Vec::new();
    (precompile.run)(input, gas, &mut output).map(|gas_used| (gas_used, output))
}

/// A call and what it gives; `Expected` is missing where it fails.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vector {
    name: String,
    input: String,
    expected: Option<String>,
    expected_error: Option<String>,
    gas: Option<u64>,
    gas_old: Option<u64>,
    gas_new: Option<u64>,
}

impl Vector {
    /// Where the price is known it must be what is charged, and one less must not suffice.
    fn check(&self, precompile: &str, spec: SpecId, price: Option<u64>) {
        let name = &self.name;
        let input = hex::decode(&self.input).unwrap();
        let result = run(precompile, spec, &input, price.unwrap_or(1 << 40));
        match (&self.expected, &self.expected_error) {
            (Some(expected), None) => {
                let (gas_used, output) =
                    result.unwrap_or_else(|error| panic!("{precompile}, {name}: {error}"));
                assert_eq!(hex::encode(output), *expected, "{precompile}, {name}");
                if let Some(price) = price {
                    assert_eq!(gas_used, price, "{precompile}, {name}: price under {spec}");
                    let result = run(precompile, spec, &input, price - 1);
                    assert_eq!(result, Err(PrecompileError::OutOfGas), "{precompile}, {name}");
                }
            }
            (None, Some(reason)) => assert!(
                matches!(result, Err(PrecompileError::InvalidInput(_))),
                "{precompile}, {name}: {result:?} where {reason} is expected"
            ),
            _ => panic!("{precompile}, {name}: neither a result nor an error is expected"),
        }
    }
}

#[derive(Deserialize)]
struct KzgVector {
    name: String,
    input: KzgInput,
    /// Whether the proof holds; `None` if the input cannot be read.
    output: Option<bool>,
}

#[derive(Deserialize)]
struct KzgInput {
    commitment: String,
    z: String,
    y: String,
    proof: String,
}

impl KzgVector {
    fn check(&self) {
        let KzgInput { commitment, z, y, proof } = &self.input;
        let [commitment, z, y, proof] =
            [commitment, z, y, proof].map(|digits| hex::decode(digits).unwrap());
        let mut hash = sha256(&commitment);
        hash[0] = 1;
        let input = [hash, z, y, commitment, proof].concat();
        let result = run("KZG_POINT_EVALUATION", SpecId::CANCUN, &input, 50_000);
        if self.output == Some(true) {
            assert_eq!(result.map(|(gas_used, _)| gas_used), Ok(50_000), "{}", self.name);
        } else {
            assert!(
                matches!(result, Err(PrecompileError::InvalidInput(_))),
                "{}: {result:?}",
                self.name
            );
        }
    }
}

fn sha256(input: &[u8]) -> Vec<u8> {
    run("SHA256", SpecId::FRONTIER, input, u64::MAX).unwrap().1
}

/// A transaction whose signature was made up; its sender is whoever the signature recovers to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeylessTransaction {
    nonce: String,
    gas_price: String,
    #[serde(alias = "gas")]
    gas_limit: String,
    value: String,
    input: String,
    v: String,
    r: String,
    s: String,
    sender: Address,
}

impl KeylessTransaction {
    fn check(&self, name: &str) {
        let number = |digits: &str| u64::from_str_radix(&digits[2..], 16).unwrap();
        let word = |digits: &str| {
            let mut word = [0; 32];
            let digits = &digits[2..];
            let bytes = hex::decode(format!("{digits:0>64}")).unwrap();
            word.copy_from_slice(&bytes);
            word
        };

        // What is signed: nonce, gas price, gas limit, no recipient, value, initcode.
        let mut fields = Vec::new();
        number(&self.nonce).encode(&mut fields);
        number(&self.gas_price).encode(&mut fields);
        number(&self.gas_limit).encode(&mut fields);
        b"".as_slice().encode(&mut fields);
        number(&self.value).encode(&mut fields);
        hex::decode(&self.input).unwrap().as_slice().encode(&mut fields);
        let mut list = Vec::new();
        alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut list);
        list.extend_from_slice(&fields);

        let input = [keccak256(list).0, word(&self.v), word(&self.r), word(&self.s)].concat();
        let (gas_used, output) = run("ECREC", SpecId::PRAGUE, &input, 3000).unwrap();
        assert_eq!((gas_used, output), (3000, self.sender.into_word().to_vec()), "{name}");
    }
}

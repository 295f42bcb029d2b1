//! anvil as a remote node.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};
use zvm_core::{Address, B256, U256, hex};

/// A node of its own, which ends when this is dropped.
pub(crate) struct Anvil {
    process: Child,
    pub(crate) url: String,
}

/// The program, fetched where it is missing; `None` where it cannot be, which is said once.
pub(crate) fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            let output = Command::new(cargo)
                .args(["xtask", "peers"])
                .current_dir(root)
                .stderr(Stdio::inherit())
                .output();
            let path = output.ok().filter(|output| output.status.success()).and_then(|output| {
                String::from_utf8(output.stdout).ok().map(|path| PathBuf::from(path.trim()))
            });
            let path = path.filter(|path| path.is_file());
            if path.is_none() {
                eprintln!("SKIPPED: no anvil here, and `cargo xtask peers` could not get it");
            }
            path
        })
        .clone()
}

impl Anvil {
    /// A chain of its own without accounts; more with `args`.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        let mut process = Command::new(program()?)
            .args(["--port", "0", "--accounts", "0", "--disable-default-create2-deployer"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil starts");
        let stdout = process.stdout.take().expect("piped");
        let mut lines = BufReader::new(stdout).lines();
        let address = lines
            .by_ref()
            .find_map(|line| line.ok()?.strip_prefix("Listening on ").map(str::to_owned));
        let url = format!("http://{}", address.expect("anvil says where it listens"));
        // Whatever else it says is read, or it would block at last.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, url })
    }

    /// Makes a call, which must succeed.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut response = ureq::post(&self.url)
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .expect("anvil answers");
        let text = response.body_mut().read_to_string().expect("anvil answers in full");
        let reply: Value = serde_json::from_str(&text).expect("anvil answers JSON");
        assert!(reply.get("error").is_none(), "{method}: {reply}");
        reply["result"].clone()
    }

    pub(crate) fn set_balance(&self, address: Address, balance: U256) {
        self.call("anvil_setBalance", json!([address, balance]));
    }

    pub(crate) fn set_nonce(&self, address: Address, nonce: u64) {
        self.call("anvil_setNonce", json!([address, U256::from(nonce)]));
    }

    pub(crate) fn set_code(&self, address: Address, code: &[u8]) {
        self.call("anvil_setCode", json!([address, hex::encode_prefixed(code)]));
    }

    pub(crate) fn set_storage(&self, address: Address, slot: U256, word: U256) {
        self.call("anvil_setStorageAt", json!([address, B256::from(slot), B256::from(word)]));
    }

    /// Makes a block out of what was set.
    pub(crate) fn mine(&self) -> u64 {
        self.call("evm_mine", json!([]));
        let number = self.call("eth_blockNumber", json!([]));
        u64::from_str_radix(&number.as_str().expect("a number")[2..], 16).expect("a number")
    }

    /// The most memory the process has had, in KiB.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").trim().parse().ok()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

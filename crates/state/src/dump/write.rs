//! Out: one walk over the state.

use std::{io::Write, ops::ControlFlow};

use zvm_core::{AccountInfo, Address, B256, BlockId, DbError, StateBackend, U256, hex};

use super::{DumpError, FORMAT, SLOTS_PER_LINE, VERSION};

/// What has been dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// The block whose state it is.
    pub block: BlockId,
    /// The root of the state.
    pub root: B256,
    /// Number of accounts.
    pub accounts: u64,
    /// Number of slots.
    pub slots: u64,
}

/// Writes the present state of `backend` to `out`, in the form of [this module](super).
///
/// `progress` is told after each account how far the walk is, as the hash of its address.
pub fn dump(
    backend: &dyn StateBackend,
    out: &mut dyn Write,
    mut progress: impl FnMut(B256),
) -> Result<Dumped, DumpError> {
    let (block, root) = (backend.head()?, backend.state_root()?);
    let mut dump = Dump {
        backend,
        out,
        line: Vec::new(),
        written: Dumped { block, root, accounts: 0, slots: 0 },
    };
    dump.line.extend_from_slice(
        format!(
            r#"{{"format":"{FORMAT}","version":{VERSION},"block":{{"number":{},"hash":"{}"}},"root":"{root}"}}"#,
            block.number, block.hash,
        )
        .as_bytes(),
    );
    dump.end_line()?;

    // The walks speak of database errors only; an error of writing steps out and waits here.
    let mut failure = None;
    backend.for_each_account(B256::ZERO, &mut |hash, address, info| {
        match dump.account(address, &info) {
            Ok(()) => progress(hash),
            Err(error) => failure = Some(error),
        }
        Ok(if failure.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    match failure {
        Some(error) => Err(error),
        None => {
            dump.out.flush().map_err(DumpError::Write)?;
            Ok(dump.written)
        }
    }
}

struct Dump<'a> {
    backend: &'a dyn StateBackend,
    out: &'a mut dyn Write,
    line: Vec<u8>,
    written: Dumped,
}

impl Dump<'_> {
    fn account(&mut self, address: Address, info: &AccountInfo) -> Result<(), DumpError> {
        self.written.accounts += 1;
        self.begin(address);
        let (nonce, balance) = (info.nonce, info.balance);
        self.push(&format!(r#","nonce":"{nonce:#x}","balance":"{balance:#x}""#));
        if info.has_code() {
            let code = self.backend.code(info.code_hash)?;
            self.push(&format!(r#","code":"{}""#, hex::encode_prefixed(code)));
        }
        self.slots(address)?;
        self.push("}");
        self.end_line()
    }

    /// The slots of `address`, the first of them on the line of the account.
    fn slots(&mut self, address: Address) -> Result<(), DumpError> {
        let (backend, mut on_line, mut failure) = (self.backend, 0, None);
        backend.for_each_slot(address, B256::ZERO, &mut |_, slot, word| {
            if on_line == SLOTS_PER_LINE {
                self.push("}}");
                if let Err(error) = self.end_line() {
                    failure = Some(error);
                    return Ok(ControlFlow::Break(()));
                }
                self.begin(address);
                on_line = 0;
            }
            self.slot(on_line == 0, slot, word);
            on_line += 1;
            Ok::<_, DbError>(ControlFlow::Continue(()))
        })?;
        if on_line > 0 {
            self.push("}");
        }
        failure.map_or(Ok(()), Err)
    }

    fn slot(&mut self, is_first: bool, slot: U256, word: U256) {
        self.written.slots += 1;
        let before = if is_first { r#","storage":{"# } else { "," };
        self.push(&format!(r#"{before}"{slot:#x}":"{word:#x}""#));
    }

    fn begin(&mut self, address: Address) {
        // In lower case: a checksum in the case of letters would cost a hash for each account.
        self.push(&format!(r#"{{"address":"{}""#, hex::encode_prefixed(address)));
    }

    fn push(&mut self, text: &str) {
        self.line.extend_from_slice(text.as_bytes());
    }

    fn end_line(&mut self) -> Result<(), DumpError> {
        self.line.push(b'\n');
        self.out.write_all(&self.line).map_err(DumpError::Write)?;
        self.line.clear();
        Ok(())
    }
}

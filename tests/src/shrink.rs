//! Makes a failing program small: takes things away for as long as it still fails.

use zvm_core::{Address, BlockEnv, Bytes, TxKind, TxType, U256};

use crate::{Code, Op, Program};

/// The smallest program found that `fails`, starting from `program`, which does.
pub fn shrink(program: Program, fails: &mut dyn FnMut(&Program) -> bool) -> Program {
    let mut shrinker = Shrinker { program, fails, tries: 0 };
    loop {
        let before = shrinker.size();
        shrinker.cut_accounts();
        shrinker.cut_codes();
        shrinker.cut_transaction();
        if shrinker.size() >= before || shrinker.tries > TRIES_MAX {
            return shrinker.program;
        }
    }
}

/// More than this many executions are not worth a smaller report.
const TRIES_MAX: u32 = 30_000;

struct Shrinker<'a> {
    program: Program,
    fails: &'a mut dyn FnMut(&Program) -> bool,
    tries: u32,
}

/// Where a piece of code is: whose, and the parts that lead to it.
#[derive(Clone)]
struct Path {
    actor: Option<Address>,
    parts: Vec<usize>,
}

impl Shrinker<'_> {
    /// Keeps `edit` if the program still fails with it.
    fn attempt(&mut self, edit: impl FnOnce(&mut Program)) -> bool {
        let mut smaller = self.program.clone();
        edit(&mut smaller);
        self.tries += 1;
        let keep = self.tries <= TRIES_MAX && (self.fails)(&smaller);
        if keep {
            self.program = smaller;
        }
        keep
    }

    /// What is to become less.
    fn size(&self) -> usize {
        format!("{}", self.program).len()
    }

    fn cut_accounts(&mut self) {
        let addresses: Vec<_> = self.program.actors.keys().copied().collect();
        for at in addresses {
            if self.attempt(|program| drop(program.actors.remove(&at))) {
                continue;
            }
            self.attempt(|program| actor(program, at).storage.clear());
            let slots: Vec<_> = actor(&mut self.program, at).storage.keys().copied().collect();
            for slot in slots {
                self.attempt(|program| {
                    actor(program, at).storage.remove(&slot);
                });
            }
            if at != self.program.tx.sender {
                self.attempt(|program| actor(program, at).balance = U256::ZERO);
                self.attempt(|program| actor(program, at).nonce = 1);
            }
        }
    }

    fn cut_codes(&mut self) {
        let mut queue = vec![Path { actor: None, parts: Vec::new() }];
        for &at in self.program.actors.keys() {
            queue.push(Path { actor: Some(at), parts: Vec::new() });
        }
        while let Some(path) = queue.pop() {
            if code(&mut self.program, &path).is_none_or(|code| code.is_empty()) {
                continue;
            }
            if self.edit(&path, |code| *code = Code::default()) {
                continue;
            }
            self.cut_ops(&path);
            self.simplify_ops(&path);
            let parts = code(&mut self.program, &path).map_or(0, |code| code.parts.len());
            for part in 0..parts {
                let mut path = path.clone();
                path.parts.push(part);
                queue.push(path);
            }
        }
    }

    fn edit(&mut self, path: &Path, edit: impl FnOnce(&mut Code)) -> bool {
        self.attempt(|program| {
            if let Some(code) = code(program, path) {
                edit(code);
            }
        })
    }

    /// Takes instructions away: first half of them, in the end one by one.
    fn cut_ops(&mut self, path: &Path) {
        let mut chunk = self.ops(path).len().div_ceil(2);
        while chunk > 0 {
            let mut end = self.ops(path).len();
            while end > 0 {
                let start = end.saturating_sub(chunk);
                self.edit(path, |code| drop(code.ops.drain(start..end)));
                end = start;
            }
            chunk /= 2;
        }
    }

    /// Makes operands plain: zero, one, or at least short.
    fn simplify_ops(&mut self, path: &Path) {
        for (at, op) in self.ops(path).into_iter().enumerate() {
            let Op::Push(width, value) = op else { continue };
            for simple in [U256::ZERO, U256::from(1), U256::from(value.byte(0)), value] {
                let least = simple.byte_len().max(1);
                if simple < value || width > least {
                    let push = Op::Push(least, simple);
                    if self.edit(path, |code| code.ops[at] = push) {
                        break;
                    }
                }
            }
        }
    }

    fn ops(&mut self, path: &Path) -> Vec<Op> {
        code(&mut self.program, path).map(|code| code.ops.clone()).unwrap_or_default()
    }

    fn cut_transaction(&mut self) {
        self.attempt(|program| {
            program.tx.tx_type = TxType::Legacy;
            program.tx.access_list.clear();
            program.tx.blob_hashes.clear();
            program.tx.authorizations.clear();
        });
        self.attempt(|program| program.tx.chain_id = None);
        self.attempt(|program| program.tx.value = U256::ZERO);
        self.attempt(|program| program.tx.data = Bytes::new());
        self.attempt(|program| program.tx.access_list.clear());
        self.attempt(|program| {
            program.tx.gas_price = U256::ZERO;
            program.tx.max_priority_fee = U256::ZERO;
            program.block.base_fee = 0;
        });
        self.attempt(|program| program.block = BlockEnv::default());
        for count in (0..self.program.tx.authorizations.len()).rev() {
            self.attempt(|program| {
                program.tx.authorizations.remove(count);
            });
        }
        for count in (0..self.program.tx.blob_hashes.len()).rev() {
            self.attempt(|program| {
                program.tx.blob_hashes.remove(count);
            });
        }
        let contracts: Vec<_> = self.program.actors.keys().copied().collect();
        for at in contracts {
            if self.program.tx.to != TxKind::Call(at) && self.program.tx.to != TxKind::Create {
                self.attempt(|program| program.tx.to = TxKind::Call(at));
            }
        }
        let round = 1_000_000;
        if self.program.tx.gas_limit != round {
            self.attempt(|program| program.tx.gas_limit = round);
        }
    }
}

fn actor(program: &mut Program, at: Address) -> &mut crate::Actor {
    program.actors.entry(at).or_default()
}

fn code<'a>(program: &'a mut Program, path: &Path) -> Option<&'a mut Code> {
    let mut code = match path.actor {
        None => &mut program.initcode,
        Some(at) => &mut program.actors.get_mut(&at)?.code,
    };
    for &part in &path.parts {
        code = code.parts.get_mut(part)?;
    }
    Some(code)
}

//! State tests taken apart, for those who execute them in their own way: again and again against
//! the clock, or on another engine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use zvm_core::{AccountInfo, Address, BlockEnv, Bytes, Database, Transaction, U256};
use zvm_evm::{Config, Executed};

use crate::{
    FixtureError, UsageError,
    shape::{self, Shape},
    source::{self, File},
    state::Case,
};

/// One post entry of a state test with all that it takes to run it.
#[derive(Debug)]
pub struct Workload {
    /// `FILE_STEM/CASE/FORK/D-G-V`: the file without its extension, the label of the hard fork, and
    /// the indexes of data, gas limit and value.
    pub name: String,
    /// The rules to run by.
    pub config: Config,
    /// The block around the transaction.
    pub block: BlockEnv,
    /// The transaction.
    pub transaction: Transaction,
    case: Arc<Case>,
    entry: usize,
}

/// An account of a workload's state.
#[derive(Clone, Debug)]
pub struct WorkloadAccount {
    /// Nonce, balance and code hash.
    pub info: AccountInfo,
    /// Its code, possibly empty.
    pub code: Bytes,
    /// Its slots; no word is zero.
    pub storage: Vec<(U256, U256)>,
}

/// What files hold for those who want to run it themselves.
#[derive(Debug, Default)]
pub struct Workloads {
    /// In the order of the files.
    pub ready: Vec<Workload>,
    /// Names of entries that there is nothing to run for, and why.
    pub left_out: Vec<(String, String)>,
}

/// Files that cannot be taken apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// A path is wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A file is no fixture.
    #[error("{file}: {source}")]
    Fixture {
        /// Its path, and the case if one is to blame.
        file: String,
        /// What is wrong with it.
        source: FixtureError,
    },
}

/// Takes apart every state test in `paths`: folders, JSON files and `.tar.zst` archives.
///
/// # Errors
///
/// [`WorkloadError`] for the first path or file that cannot be read.
pub fn workloads(paths: &[PathBuf]) -> Result<Workloads, WorkloadError> {
    source::check(paths)?;
    let mut found = Workloads::default();
    let mut failure = None;
    source::read_all(paths, &mut |item| {
        let read = item.map_err(|(file, source)| WorkloadError::Fixture { file, source });
        failure = read.and_then(|file| found.add(&file)).err();
        failure.is_none()
    });
    failure.map_or(Ok(found), Err)
}

impl Workloads {
    fn add(&mut self, file: &File) -> Result<(), WorkloadError> {
        let fault = |case: Option<&str>| {
            let file = case.map_or(file.name.clone(), |case| format!("{}, {case}", file.name));
            move |source| WorkloadError::Fixture { file, source }
        };
        if Shape::detect(&file.text).map_err(fault(None))? != Shape::State {
            self.left_out.push((file.name.clone(), "no state test".to_owned()));
            return Ok(());
        }
        let stem = Path::new(&file.name).file_stem().unwrap_or_default().to_string_lossy();
        for (name, text) in shape::split(Shape::State, &file.text).map_err(fault(None))? {
            if shape::is_comment(text) {
                continue;
            }
            let case = Case::parse(text, &file.text).map_err(fault(Some(&name)))?;
            let case = Arc::new(case);
            for entry in 0..case.len() {
                let (fork, at) = case.label(entry);
                let name = format!("{stem}/{name}/{fork}/{}-{}-{}", at.data, at.gas, at.value);
                match case.set_up(entry) {
                    Ok((config, block, transaction)) => self.ready.push(Workload {
                        name,
                        config,
                        block,
                        transaction,
                        case: case.clone(),
                        entry,
                    }),
                    Err(why) => self.left_out.push((name, why)),
                }
            }
        }
        Ok(())
    }
}

impl Workload {
    /// The state before the transaction.
    #[must_use]
    pub fn database(&self) -> &dyn Database {
        self.case.world()
    }

    /// Every account of the state before the transaction, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, WorkloadAccount)> + '_ {
        self.case.world().accounts()
    }

    /// Compares state root and logs with what the fixture expects.
    ///
    /// # Errors
    ///
    /// What differs, in one line.
    pub fn check(&self, executed: &Executed) -> Result<(), String> {
        self.case.judge(self.entry, executed)
    }
}

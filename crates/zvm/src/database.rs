//! Every kind of database, opened in one place.

use std::{fmt, sync::Arc};

use zvm_core::{BlockEnv, DbError, StateBackend};
use zvm_fork::{Origin, Recorder, Source, Traffic};
use zvm_state::{DatabaseConfig, ForkConfig, open_with};

use crate::forking::Saving;

/// A database that was opened, and what there is to know of it beside the state.
pub struct OpenedDatabase {
    /// The state.
    pub backend: Box<dyn StateBackend>,
    /// The remote state below, if it is a fork.
    pub fork: Option<Fork>,
}

/// The remote state that a database is a fork of.
#[derive(Clone)]
pub struct Fork {
    /// What is read of it goes through this.
    pub source: Arc<dyn Source>,
    /// What reading has cost; `None` where nobody is asked.
    pub traffic: Option<Arc<Traffic>>,
    /// What was read, where the database was opened to be recorded.
    pub recorder: Option<Arc<Recorder>>,
    /// Writes that at the end.
    pub(crate) saving: Option<Arc<Saving>>,
}

impl OpenedDatabase {
    /// Opens the database that `config` names, whatever it is and below whatever caches.
    pub fn open(config: &DatabaseConfig) -> Result<Self, DbError> {
        Self::open_by(config, zvm_fork::open)
    }

    /// [`open`](Self::open), where a fork remembers all that is read of it.
    pub fn open_recorded(config: &DatabaseConfig) -> Result<Self, DbError> {
        Self::open_by(config, zvm_fork::open_recorded)
    }

    fn open_by(
        config: &DatabaseConfig,
        open_fork: fn(&ForkConfig) -> Result<zvm_fork::Opened, DbError>,
    ) -> Result<Self, DbError> {
        let mut fork = None;
        let backend = open_with(config, &mut |remote| match remote {
            DatabaseConfig::Fork(config) => {
                let opened = open_fork(config)?;
                let source = opened.db.source().clone();
                let (traffic, recorder) = (opened.traffic, opened.recorder);
                fork = Some(Fork { source, traffic, recorder, saving: None });
                Ok(Box::new(opened.db))
            }
            #[cfg(feature = "net")]
            DatabaseConfig::Net(config) => Ok(Box::new(zvm_net::NetDb::from_config(config)?)),
            other => Err(DbError::Config {
                config: other.to_string(),
                what: "not in this build".to_owned(),
            }),
        })?;
        Ok(Self { backend, fork })
    }
}

impl Fork {
    /// Which state of which chain it is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.source.origin()
    }

    /// The block that follows the forked one, with whatever that one had.
    #[must_use]
    pub fn next_block(&self) -> BlockEnv {
        let header = &self.origin().header;
        BlockEnv {
            number: header.number.saturating_add(1),
            timestamp: header.timestamp.saturating_add(1),
            ..header.env()
        }
    }
}

impl fmt::Debug for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fork").field("origin", self.origin()).finish_non_exhaustive()
    }
}

//! The sessions there are, and the state each stands at.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tonic::{Code, Status};

use super::{
    held::{Held, Refusal, StateName, Written},
    overlay::Overlay,
};
use crate::{
    fault::refused,
    token::Role,
    wire::{SessionId, Standing},
};

/// The sessions by their names.
pub(super) struct Sessions {
    by_id: Mutex<HashMap<SessionId, Arc<Session>>>,
    max: usize,
}

/// What one client has here.
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) role: Role,
    place: Mutex<Place>,
}

/// Where a session is.
struct Place {
    standing: Standing,
    /// What leads to its state from the state with this name.
    overlay: Option<(StateName, Arc<Overlay>)>,
    /// Counts the calls that hold the session, and says whether the last still does.
    attached: u64,
    is_held: bool,
}

/// Of which call of `attach` a client holds its session.
pub(super) type Attachment = u64;

impl Sessions {
    pub(super) fn new(max: usize) -> Self {
        Self { by_id: Mutex::default(), max }
    }

    /// Begins a session at `standing`.
    pub(super) fn begin(&self, role: Role, standing: Standing) -> Result<Arc<Session>, Status> {
        let mut by_id = self.lock();
        if by_id.len() >= self.max {
            let what = format!("{} sessions are open, as many as may be", self.max);
            return Err(refused(Code::ResourceExhausted, what));
        }
        let mut id = SessionId::default();
        getrandom::fill(&mut id)
            .map_err(|error| refused(Code::Internal, format!("no random bytes: {error}")))?;
        let place = Place { standing, overlay: None, attached: 0, is_held: false };
        let session = Arc::new(Session { id, role, place: Mutex::new(place) });
        by_id.insert(id, Arc::clone(&session));
        Ok(session)
    }

    /// The session with this name, for a client that may do what `role` says. A client that shows
    /// another token has another session.
    pub(super) fn get(&self, id: SessionId, role: Role) -> Option<Arc<Session>> {
        self.lock().get(&id).filter(|session| session.role == role).cloned()
    }

    pub(super) fn remove(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    /// The states that the sessions but `session` stand at.
    pub(super) fn places_of_others(&self, session: SessionId) -> BTreeSet<StateName> {
        let by_id = self.lock();
        let others = by_id.values().filter(|other| other.id != session);
        others.map(|other| other.standing().state).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        // What is done under the lock does not fail half way.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    pub(super) fn standing(&self) -> Standing {
        self.lock().standing
    }

    /// Moves to another state.
    pub(super) fn stand(&self, standing: Standing) {
        self.lock().standing = standing;
    }

    /// Moves where a write has led.
    pub(super) fn follow(&self, written: &Written) {
        let mut place = self.lock();
        if written.at != place.standing.state {
            place.standing = written.standing;
        }
    }

    /// What leads to the state it stands at, if that is not the present one.
    pub(super) fn way(&self, held: &Held) -> Result<Option<Arc<Overlay>>, Refusal> {
        let mut place = self.lock();
        let (tip, at) = (held.tip(), place.standing.state);
        if let Some((from, overlay)) = place.overlay.as_ref().filter(|_| at != tip)
            && *from == tip
        {
            return Ok(Some(Arc::clone(overlay)));
        }
        let overlay = held.way_to(at)?.map(Arc::new);
        place.overlay = overlay.clone().map(|overlay| (tip, overlay));
        Ok(overlay)
    }

    /// A client takes hold of the session; whoever held it before does no more.
    pub(super) fn attach(&self) -> Attachment {
        let mut place = self.lock();
        place.attached = place.attached.saturating_add(1);
        place.is_held = true;
        place.attached
    }

    /// The client has let go of the session.
    pub(super) fn let_go(&self, attachment: Attachment) {
        let mut place = self.lock();
        place.is_held &= place.attached != attachment;
    }

    /// Whether nobody has taken hold of it since that client let go.
    pub(super) fn is_left(&self, attachment: Attachment) -> bool {
        let place = self.lock();
        !place.is_held && place.attached == attachment
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
